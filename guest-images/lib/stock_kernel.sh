# stock_kernel.sh - Debian's own kernels, and an initrd of ours for each.
#
# Their virtio drivers are modules, so they cannot mount a root without an initrd; and
# they have no virtio_mmio.device= parameter, so they need a machine with ACPI (or
# virtio-PCI).

# What a microVM may have, the power button, and XFS. ext4 is built in.
stock_modules='virtio_mmio virtio_pci virtio_blk virtio_net virtio_rng virtio_balloon
	virtio_pmem nd_pmem virtio_mem virtiofs
	virtio_console vmw_vsock_virtio_transport button xfs'

# stock_kernel_make META VMLINUZ INITRD: from the image package that META depends on.
stock_kernel_make() {
	package=$(package_depends "$1" '^linux-image-[0-9].*-amd64$')
	[ -n "$package" ] || fail "$1 depends on no kernel image"
	package_unpack "$package" kernel
	version=${package#linux-image-}
	cp "kernel/boot/vmlinuz-$version" "$2"

	initrd_tree initrd
	initrd_busybox initrd
	# shellcheck disable=SC2086 # a list of names
	initrd_modules initrd "$PWD/kernel" "$version" $stock_modules
	initrd_pack initrd "$3"
}
