/* virtio-probe.S - the device in the first virtio-mmio window, by the book: its
 * registers (1 to 4), the status handshake, a queue (5), and with a block device
 * the first sector (20 to 26: virtio.inc). */
#include "tests/guests/guest.inc"
#include "tests/guests/virtio.inc"

#define BLOCK_DEVICE 2

main:
	cmpl	$0x74726976, VIRTIO + REG_MAGIC		/* "virt" */
	require	e, 1
	cmpl	$2, VIRTIO + REG_VERSION
	require	e, 2
	cmpl	$0, VIRTIO + REG_DEVICE_ID
	require	ne, 3
	call	virtio_reset
	virtio_write REG_QUEUE_SEL, $0
	cmpl	$QUEUE_SIZE, VIRTIO + REG_QUEUE_MAX
	require	ae, 4

	movl	$QUEUE_SIZE, %ecx
	call	virtio_start
	cmpl	$1, VIRTIO + REG_QUEUE_READY
	require	e, 5
	cmpl	$BLOCK_DEVICE, VIRTIO + REG_DEVICE_ID
	jne	1f
	call	virtio_read_disk
1:	call	virtio_reset
	xorl	%eax, %eax
	ret
