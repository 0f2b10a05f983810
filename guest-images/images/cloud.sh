image_about="Debian's cloud kernel (6.1), and an initrd with the virtio modules"
image_files='vmlinuz-cloud initrd-cloud'
image_packages='linux-image-cloud-amd64 busybox-static'
image_inputs='lib/initrd.sh lib/stock_kernel.sh'
image_init=yes

image_make() {
	stock_kernel_make linux-image-cloud-amd64 "$1/vmlinuz-cloud" "$1/initrd-cloud"
}
