image_about='Debian 12 root file system (ext4): systemd, fio, iperf3, a login on the serial console'
image_files='debian.ext4'
image_packages='systemd fio'
image_inputs='debian/customize debian/filesystem debian/packages.txt'

debian_size=600M

image_make() {
	debian_sources >sources.list
	[ -s sources.list ] || fail 'apt has no Debian archive in its lists: apt-get update?'
	step 'installing Debian into a directory' debian_install
	step 'making the file system' \
		debian_as_root "$here/debian/filesystem" root.tar "$debian_size" "$1/debian.ext4"
}

# The machine's own sources, as far as they are Debian's: the image gets the packages
# from where the machine gets its own.
debian_sources() {
	apt-get indextargets --format 'deb $(REPO_URI) $(CODENAME) $(COMPONENT)' \
		'Created-By: Packages' 'Origin: Debian' | sort -u
}

# The hook's text rather than its path: in a user namespace, mmdebstrap's root may not be
# able to look into this user's directories.
debian_install() {
	suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
	include=$(sed 's/#.*//' "$here/debian/packages.txt" | xargs | tr ' ' ',')
	mmdebstrap --variant=minbase --include="$include" \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-include=/usr/share/doc/*/copyright' \
		--customize-hook="$(cat "$here/debian/customize")" \
		"$suite" root.tar sources.list
}

# debian_as_root COMMAND...: with the right to own files as any user. Who is not root gets
# it in a user namespace, as mmdebstrap does.
debian_as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		unshare --user --map-auto --map-root-user "$@"
	fi
}
