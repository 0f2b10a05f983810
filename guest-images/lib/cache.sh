# cache.sh - an image is made once for each state of what it is made from.

# Gives up unless everything that goes into the image can be had.
image_check() {
	[ "$image_init" != yes ] || [ -r "$init" ] ||
		fail "there is no $init: build it first (make build), or name it in WISP_INIT"
	[ "$image_init" != yes ] || [ -r "$vsock" ] ||
		fail "there is no $vsock: build it first (make build), or name it in WISP_VSOCK"
	for package in $image_packages; do
		[ -n "$(package_version "$package")" ] ||
			fail "apt knows no package $package: apt-get update?"
	done
}

# The hash of everything that the image depends on.
image_key() {
	{
		cat "$here/images/$image_name.sh"
		for input in $image_inputs; do
			cat "$here/$input"
		done
		for package in $image_packages; do
			echo "$package $(package_version "$package")"
		done
		[ "$image_init" != yes ] || cat "$init" "$vsock"
	} | sha256sum | cut -c 1-16
}

# True when WISP_IMAGES has the image's files, made from this key.
image_current() {
	[ "$(cat "$images/.$image_name.key" 2>/dev/null)" = "$1" ] || return 1
	for file in $image_files; do
		[ -e "$images/$file" ] || return 1
	done
}

# Makes sure that WISP_IMAGES has the files of the image that is loaded.
image_provide() {
	image_check
	key=$(image_key)
	entry=$cache/$image_name-$key
	if image_current "$key"; then
		echo "$image_name: ready"
		return
	fi
	[ -d "$entry" ] || image_cache "$entry"
	for file in $image_files; do
		cp --sparse=always --reflink=auto "$entry/$file" "$images/.$file.$$"
		mv "$images/.$file.$$" "$images/$file"
	done
	echo "$key" >"$images/.$image_name.key"
	echo "$image_name: ready in $images: $image_files"
}

# Makes the cache's entry.
image_cache() {
	scratch=$(mktemp -d "$cache/.$image_name.XXXXXX")
	step_pid= step_watcher=
	trap image_abandon EXIT
	trap 'exit 130' INT TERM HUP
	mkdir "$scratch/work" "$scratch/out"
	cd "$scratch/work"
	image_make "$scratch/out"
	for file in $image_files; do
		[ -s "$scratch/out/$file" ] || fail "$file was not made"
	done
	# Another build of the same may have been faster: then its entry stays.
	mv -T "$scratch/out" "$1" 2>/dev/null || [ -d "$1" ] || fail "cannot make $1"
	cd "$here"
	image_abandon
	trap - EXIT INT TERM HUP
}

# Ends what still runs and removes the scratch directory.
image_abandon() {
	step_abandon
	rm -rf "$scratch"
}
