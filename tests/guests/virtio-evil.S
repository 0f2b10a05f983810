/* virtio-evil.S - a driver that breaks the rules, on a block device. Each time the
 * device must say that it needs a reset (1: it went on), take that, and at the end
 * serve an honest request as if nothing had been (20 to 26: virtio.inc).
 * 2: it needs a reset because a queue was notified that does not exist; 3: such a
 * queue has a size, or gets ready. */
#include "tests/guests/guest.inc"
#include "tests/guests/virtio.inc"

/* What is wrong: the size of the queue, or the first descriptor of a chain. */
	.macro	evil size, address, len, flags, next
	.long	\size
	.quad	\address
	.long	\len
	.short	\flags, \next
	.endm
#define EVIL_BYTES 20

/* Looks at the status before the guest gives up: each is an exit, so that this is
 * a long time for a device that serves a queue at once. */
#define PATIENCE 200000

main:
	movl	$evils, %ebp
1:	call	virtio_reset
	movl	(%ebp), %ecx
	call	virtio_start
	leal	4(%ebp), %esi
	movl	$desc, %edi
	movl	$16, %ecx
	rep	movsb
	call	virtio_offer
	call	await_failure
	addl	$EVIL_BYTES, %ebp
	cmpl	$evils_end, %ebp
	jb	1b

	/* More chains offered than the queue holds. */
	call	virtio_reset
	movl	$QUEUE_SIZE, %ecx
	call	virtio_start
	movw	$QUEUE_SIZE + 1, avail + 2
	virtio_write REG_NOTIFY, $0
	call	await_failure

	call	virtio_reset
	movl	$QUEUE_SIZE, %ecx
	call	virtio_start
	virtio_write REG_NOTIFY, $1
	virtio_write REG_NOTIFY, $0xffffffff
	testl	$NEEDS_RESET, VIRTIO + REG_STATUS
	require	z, 2
	virtio_write REG_QUEUE_SEL, $0xffffffff
	cmpl	$0, VIRTIO + REG_QUEUE_MAX
	require	e, 3
	virtio_write REG_QUEUE_READY, $1
	cmpl	$0, VIRTIO + REG_QUEUE_READY
	require	e, 3
	call	virtio_read_disk
	call	virtio_reset
	xorl	%eax, %eax
	ret

/* Waits until the device needs a reset. Changes ECX. */
await_failure:
	movl	$PATIENCE, %ecx
1:	testl	$NEEDS_RESET, VIRTIO + REG_STATUS
	jnz	2f
	decl	%ecx
	require	nz, 1
	jmp	1b
2:	ret

evils:
	evil	3, 0, 0, 0, 0				/* no power of two */
	evil	0, 0, 0, 0, 0				/* no queue at all */
	evil	0x10000, 0, 0, 0, 0			/* larger than the largest */
	evil	QUEUE_SIZE, 0x1000, 16, DESC_NEXT, 0	/* its own successor */
	evil	QUEUE_SIZE, 0x1000, 16, DESC_NEXT, QUEUE_SIZE
	evil	QUEUE_SIZE, LAYOUT_GAP_START, 16, 0, 0	/* not RAM */
	evil	QUEUE_SIZE, 0x1000000000000000, 16, 0, 0
	evil	QUEUE_SIZE, 0x1000, 0xffffffff, 0, 0	/* more than there is */
	evil	QUEUE_SIZE, 0xfffffffffffffff0, 0x20, 0, 0	/* wraps around */
evils_end:
