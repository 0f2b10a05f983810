image_about="Debian's cloud kernel 6.12, and an initrd with the virtio modules"
image_files='vmlinuz-6.12 initrd-6.12'
image_packages='linux-image-6.12-cloud-amd64 busybox-static'
image_inputs='lib/initrd.sh lib/stock_kernel.sh'
image_init=yes

image_make() {
	stock_kernel_make linux-image-6.12-cloud-amd64 "$1/vmlinuz-6.12" "$1/initrd-6.12"
}
