/* blk_busy.S - a guest that reads its disk for ever: DEPTH reads of BLOCK bytes each, and
 * when all are done, the same again. Polled, on the first virtio-mmio device. Its status
 * (20 to 22: tests/guests/virtio.inc) comes only when the device cannot be started. */
#define QUEUE_SIZE	128
#define DEPTH		32
#define BUFFERS		0x400000	/* far behind the guest itself */

#include "tests/guests/guest.inc"
#include "tests/guests/virtio.inc"

main:
	call	virtio_reset
	movl	$QUEUE_SIZE, %ecx
	call	virtio_start
	call	describe

1:	addw	$DEPTH, avail + 2
	virtio_write REG_NOTIFY, $0
	movw	avail + 2, %ax
2:	pause
	cmpw	used + 2, %ax
	jne	2b
	jmp	1b

/* Request n is descriptors 3n to 3n + 2: header, data, status. Every entry of the ring
 * names one, so that offering them is a matter of the index. */
describe:
	xorl	%ecx, %ecx		/* n */
	movl	$desc, %edi
	movl	$headers, %esi		/* zeroes but for the sector: VIRTIO_BLK_T_IN */
	movl	$BUFFERS, %ebp
1:	imull	$BLOCK / 512, %ecx, %eax
	movl	%eax, 8(%esi)
	leal	1(%ecx, %ecx, 2), %ebx	/* 3n + 1 */

	movl	%esi, (%edi)
	movl	$16, 8(%edi)
	movw	$DESC_NEXT, 12(%edi)
	movw	%bx, 14(%edi)
	movl	%ebp, 16(%edi)
	movl	$BLOCK, 24(%edi)
	movw	$DESC_NEXT | DESC_WRITE, 28(%edi)
	incl	%ebx
	movw	%bx, 30(%edi)
	leal	statuses(%ecx), %eax
	movl	%eax, 32(%edi)
	movl	$1, 40(%edi)
	movw	$DESC_WRITE, 44(%edi)

	addl	$48, %edi
	addl	$16, %esi
	addl	$BLOCK, %ebp
	incl	%ecx
	cmpl	$DEPTH, %ecx
	jb	1b

	xorl	%ecx, %ecx
2:	movl	%ecx, %eax
	andl	$DEPTH - 1, %eax
	leal	(%eax, %eax, 2), %eax
	movw	%ax, avail + 4(, %ecx, 2)
	incl	%ecx
	cmpl	$QUEUE_SIZE, %ecx
	jb	2b
	ret

	.bss
	.balign	16
headers:
	.skip	16 * DEPTH
statuses:
	.skip	DEPTH
