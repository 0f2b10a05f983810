# source.sh - the source of a Debian package, as material.

# package_source NAME DIR: downloads the source that the package was built from, with
# Debian's changes, and unpacks it into DIR.
package_source() {
	step "downloading the source of $1" source_download "$1"
	step "unpacking the source of $1" dpkg-source --no-check -x "$scratch"/source/*.dsc "$2"
	rm -r "$scratch/source"
}

# The archive that has the package, asked for sources: machines are seldom set up to have
# those in their lists.
source_line() {
	apt-cache madison "$1" | awk -F ' *[|] *' -v version="$(package_version "$1")" '
		$2 == version { split($3, at, " "); sub("/", " ", at[2])
				print "deb-src", at[1], at[2]; exit }'
}

# A package that was built once more than its source was uploaded ends in +bN.
source_version() {
	package_version "$1" | sed 's/+b[0-9]*$//'
}

# Run as a step, and so in a process of its own. Lists of our own: no need to be root.
source_download() {
	mkdir -p "$scratch/source" "$scratch/apt/parts" "$scratch/apt/lists/partial"
	cd "$scratch/source"
	source_line "$1" >"$scratch/apt/sources.list"
	[ -s "$scratch/apt/sources.list" ] || {
		echo "apt knows no archive that has $1: apt-get update?"
		return 1
	}
	source_apt update
	source_apt source --download-only "$(source_name "$1")=$(source_version "$1")"
}

source_name() {
	apt-cache show --no-all-versions "$1" | awk '
		$1 == "Package:" { name = $2 } $1 == "Source:" { name = $2 } END { print name }'
}

# Sandboxed, apt's own user would have to be able to write here.
source_apt() {
	apt-get -q -o APT::Sandbox::User=root -o Dir::Etc::sourcelist="$scratch/apt/sources.list" \
		-o Dir::Etc::sourceparts="$scratch/apt/parts" \
		-o Dir::State::lists="$scratch/apt/lists" "$@"
}
