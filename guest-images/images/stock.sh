image_about="Debian's kernel for any machine (6.1), and an initrd with the virtio modules"
image_files='vmlinuz-stock initrd-stock'
image_packages='linux-image-amd64 busybox-static'
image_inputs='lib/initrd.sh lib/stock_kernel.sh'
image_init=yes

image_make() {
	# And those that a device of the host's may want.
	stock_modules="$stock_modules e1000e nvme"
	stock_kernel_make linux-image-amd64 "$1/vmlinuz-stock" "$1/initrd-stock"
}
