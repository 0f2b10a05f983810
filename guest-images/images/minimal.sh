image_about='Our own kernel for the fastest boot, from linux-source-6.1 and kernel/minimal.config'
image_files='vmlinux-minimal bzImage-minimal'
image_packages='linux-source-6.1'
image_inputs='kernel/minimal.config'

# What make prints in all, for the percentage.
kernel_build_lines=1430

image_make() {
	package_unpack linux-source-6.1 package
	step 'unpacking the source' tar -xf package/usr/src/linux-source-6.1.tar.xz
	kernel_date=$(LC_ALL=C date -u -r linux-source-6.1/Makefile)
	config=$here/kernel/minimal.config
	kernel_make KCONFIG_ALLCONFIG="$config" allnoconfig >/dev/null
	kernel_config_check "$config" linux-source-6.1/.config

	step_lines=$kernel_build_lines
	step 'compiling the kernel' kernel_make -j"$(nproc)" vmlinux bzImage
	step_lines=

	# Without symbols; the segments stay where they are, aligned to pages.
	objcopy --strip-all linux-source-6.1/vmlinux "$1/vmlinux-minimal"
	cp linux-source-6.1/arch/x86/boot/bzImage "$1/bzImage-minimal"
}

# The same source gives the same bytes, whoever builds it, whenever.
kernel_make() {
	make -C linux-source-6.1 ARCH=x86_64 KBUILD_BUILD_USER=wisp KBUILD_BUILD_HOST=wisp \
		KBUILD_BUILD_VERSION=1 KBUILD_BUILD_TIMESTAMP="$kernel_date" "$@"
}

# Every line of the fragment must be in the configuration that came out.
kernel_config_check() {
	if grep -E '^(CONFIG_|# CONFIG_.* is not set)' "$1" | grep -vxFf "$2" >&2; then
		fail 'the kernel does not take the lines above of kernel/minimal.config'
	fi
}
