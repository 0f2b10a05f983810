image_about='Initramfs for the minimal kernel: wisp-init with busybox, and wisp-init alone'
image_files='initramfs.cpio initramfs-init.cpio'
image_packages='busybox-static'
image_inputs='lib/initrd.sh'
image_init=yes

image_make() {
	initrd_tree alone
	initrd_pack alone "$1/initramfs-init.cpio"

	initrd_tree initramfs
	initrd_busybox initramfs
	initrd_pack initramfs "$1/initramfs.cpio"
}
