# initrd.sh - initrds, put together as a directory tree and packed as cpio.
#
# No device nodes: the kernel has /dev/console built in, and wisp-init mounts the rest.
# Not compressed: the file is in the host's page cache, where every guest that starts
# from it shares it, and unpacking in the guest is a copy. (The stock kernels unpack
# gzip at about 100 MB/s, and do so in every boot.)

# initrd_tree DIR: what every initrd has.
initrd_tree() {
	mkdir -p "$1/dev" "$1/proc" "$1/sys" "$1/run" "$1/tmp" "$1/root" "$1/sysroot"
	chmod 1777 "$1/tmp"
	chmod 700 "$1/root"
	cp "$init" "$1/init"
	chmod 755 "$1/init"
}

# initrd_busybox DIR: busybox-static, a link for each of its programs, and wisp-vsock.
initrd_busybox() {
	package_unpack busybox-static "$scratch/busybox"
	mkdir -p "$1/bin" "$1/sbin" "$1/usr/bin" "$1/usr/sbin" "$1/etc"
	cp "$scratch/busybox/bin/busybox" "$1/bin/busybox"
	cp "$vsock" "$1/usr/bin/wisp-vsock"
	chmod 755 "$1/usr/bin/wisp-vsock"
	"$1/bin/busybox" --list-full | while read -r program; do
		[ -e "$1/$program" ] || ln -s /bin/busybox "$1/$program"
	done
	echo 'root:x:0:0:root:/root:/bin/sh' >"$1/etc/passwd"
	echo 'root:x:0:' >"$1/etc/group"
}

# initrd_modules DIR TREE VERSION MODULE...: the modules of the kernel unpacked in TREE
# and what they depend on, and their list in the order of dependencies.
initrd_modules() {
	initrd_dir=$1 initrd_source=$2 initrd_version=$3
	shift 3
	PATH=$PATH:/usr/sbin:/sbin
	mkdir -p "$initrd_dir/etc/wisp" "$initrd_dir/lib/modules"
	depmod -b "$initrd_source" "$initrd_version"
	for module in "$@"; do
		modprobe -d "$initrd_source" -S "$initrd_version" --show-depends "$module" ||
			fail "kernel $initrd_version has no module $module"
	done >"$scratch/modules"
	# A module that several need is there several times, and a built-in one as such.
	awk '$1 == "insmod" && !seen[$2]++ { print $2 }' "$scratch/modules" |
		while read -r path; do
			file=$(basename "$path" .xz)
			case $path in
			*.xz) xz -dc "$path" >"$initrd_dir/lib/modules/$file" ;;
			*) cp "$path" "$initrd_dir/lib/modules/$file" ;;
			esac
			echo "/lib/modules/$file"
		done >"$initrd_dir/etc/wisp/modules"
}

# initrd_pack DIR FILE: the same tree gives the same bytes.
initrd_pack() {
	find "$1" -exec touch -h -d @0 {} +
	(cd "$1" && find . -mindepth 1 -print0 | LC_ALL=C sort -z |
		cpio --null --quiet --reproducible -o -H newc -R 0:0) >"$2"
}
