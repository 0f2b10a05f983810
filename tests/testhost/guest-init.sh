#!/busybox sh
# guest-init.sh - the test host's init, first half: in the initial RAM disk.
#
# Loads the modules that the way to the machine's files needs, lays a tmpfs over
# the machine's root (9p, read-only), and goes there, to guest-run.sh. Whatever
# is said here appears on the kernel's console.

die() {
	echo "testhost: $*"
	echo o >/proc/sysrq-trigger
	sleep 60
}

/busybox mount -t proc proc /proc
mount -t devtmpfs devtmpfs /dev
while read -r module; do
	insmod "/modules/$module" || die "cannot load $module"
done </modules/list

mkdir -p /host /writable /newroot
mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=loose,ro host /host ||
	die "cannot mount the machine's root file system"
mount -t tmpfs -o mode=755 tmpfs /writable
mkdir /writable/upper /writable/work
chmod 755 /writable/upper
mount -t overlay -o lowerdir=/host,upperdir=/writable/upper,workdir=/writable/work \
	overlay /newroot || die "cannot lay a writable layer over the root file system"

mount -t tmpfs -o mode=755 tmpfs /newroot/run
mkdir /newroot/run/testhost
cp /busybox /guest-run.sh /job /newroot/run/testhost/
mount --move /dev /newroot/dev
# Without /proc the shell no longer finds its applets by itself.
/busybox mount --move /proc /newroot/proc
exec /busybox switch_root /newroot /run/testhost/guest-run.sh
die "cannot change to the new root"
