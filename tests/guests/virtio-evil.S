/* virtio-evil.S - a driver that breaks the rules, on a block device. Each time the
 * device must say that it needs a reset (1: it went on), take that, and at the end
 * serve an honest request as if nothing had been (20 to 26: virtio.inc).
 * 2: it needs a reset because a queue was notified that does not exist; 3: such a
 * queue has a size, or gets ready; 4: a queue of a wrong size is ready. */
#include "tests/guests/guest.inc"
#ifdef EVIL_ON_PCI
#include "tests/guests/virtio-pci.inc"
#else
#include "tests/guests/virtio.inc"
#endif

/* What is wrong with an honest read: the size of the queue, or descriptor n. */
	.macro	evil size, n, address, len, flags, next
	.long	\size, \n * 16
	.quad	\address
	.long	\len
	.short	\flags, \next
	.endm
#define EVIL_BYTES 24

/* Looks at the status before the guest gives up: each is an exit, so that this is
 * a long time for a device that serves a queue at once. */
#define PATIENCE 200000

main:
#ifdef EVIL_ON_PCI
	call	evil_before
#endif
	movl	$evils, %ebp
1:	call	virtio_reset
	movl	(%ebp), %ecx
	call	virtio_start
	cmpl	$QUEUE_SIZE, (%ebp)
	je	2f
	queue_ready_is 0
	require	e, 4
2:	call	virtio_describe_read
	movl	4(%ebp), %edi
	addl	$desc, %edi
	leal	8(%ebp), %esi
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
	call	virtio_describe_read
	movw	$QUEUE_SIZE + 1, avail + 2
	virtio_notify 0
	call	await_failure

	call	virtio_reset
	movl	$QUEUE_SIZE, %ecx
	call	virtio_start
	virtio_notify 1
	virtio_notify NO_QUEUE
	virtio_failed
	require	z, 2
	queue_select NO_QUEUE
	queue_is_none
	require	e, 3
	queue_enable
	queue_ready_is 0
	require	e, 3
	call	virtio_read_disk
	call	virtio_reset
#ifdef EVIL_ON_PCI
	call	evil_after
#endif
	xorl	%eax, %eax
	ret

/* Waits until the device needs a reset. Changes ECX. */
await_failure:
	movl	$PATIENCE, %ecx
1:	virtio_failed
	jnz	2f
	decl	%ecx
	require	nz, 1
	jmp	1b
2:	ret

#define IN (DESC_NEXT | DESC_WRITE)
evils:
	/* No power of two; no queue at all; larger than the largest. */
	evil	3, 0, request, 16, DESC_NEXT, 1
	evil	0, 0, request, 16, DESC_NEXT, 1
	evil	0x10000, 0, request, 16, DESC_NEXT, 1
	/* A chain without an end, and one that leaves the table. */
	evil	QUEUE_SIZE, 2, request_status, 1, IN, 1
	evil	QUEUE_SIZE, 0, request, 16, DESC_NEXT, QUEUE_SIZE
	/* Not RAM, and never any. */
	evil	QUEUE_SIZE, 1, LAYOUT_GAP_START, 512, IN, 2
	evil	QUEUE_SIZE, 1, 0x1000000000000000, 512, IN, 2
	/* More than there is; around the end of all addresses; nothing. */
	evil	QUEUE_SIZE, 1, sector, 0xfffffe00, IN, 2
	evil	QUEUE_SIZE, 1, 0xfffffffffffffe00, 1024, IN, 2
	evil	QUEUE_SIZE, 1, sector, 0, IN, 2
	/* To be read, behind what is to be written. */
	evil	QUEUE_SIZE, 2, request_status, 1, 0, 0
evils_end:
