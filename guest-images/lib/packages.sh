# packages.sh - Debian packages as material: fetched and unpacked, never installed.

# packages_versions NAME...: "NAME VERSION" lines, the versions that apt would install.
packages_versions() {
	[ $# -eq 0 ] || apt-cache policy "$@" | awk '
		/^[^ ]/ { name = substr($1, 1, length($1) - 1) }
		$1 == "Candidate:" { print name, $2 }' | sort -u
}

# package_version NAME: from what was asked at the start.
package_version() {
	echo "$package_versions" | awk -v name="$1" '$1 == name && $2 != "(none)" { print $2 }'
}

# package_depends NAME PATTERN: the package matching PATTERN that NAME depends on.
package_depends() {
	apt-cache depends --important "$1" | awk -v pattern="$2" '
		$1 == "Depends:" && $2 ~ pattern { print $2; exit }'
}

# package_unpack NAME DIR: downloads the package and unpacks it into DIR.
package_unpack() {
	step "downloading $1" package_download "$1"
	step "unpacking $1" dpkg-deb -x "$scratch/$1.deb" "$2"
	rm "$scratch/$1.deb"
}

# Run as a step, and so in a process of its own.
package_download() {
	mkdir "$scratch/download"
	cd "$scratch/download"
	# Sandboxed, apt's own user would have to be able to write here.
	if ! apt-get -q -o APT::Sandbox::User=root download "$1"; then
		echo "If the archive does not have it any more: apt-get update"
		return 1
	fi
	mv ./*.deb "$scratch/$1.deb"
	rmdir "$scratch/download"
}
