/* plug.S - blocks of memory (virtio-mem in the first virtio-mmio window), plugged, filled,
 * looked at and unplugged as bytes on COM1 say. The memory lies above 4 GiB. So this is a
 * 64-bit guest, with page tables of its own: it sees the blocks from 1 GiB on, and the device
 * in the last GiB of all addresses, which 32-bit displacements reach.
 *
 *   p and a letter   plugs block a, b, c...: all zero (30), and fills it
 *   u and a letter   unplugs it
 *   c                looks at all that was plugged: each word as it was stored (31)
 *   q                ends
 *
 * Each but the last is answered with a line: done. or refused.; done. comes first of all, too.
 * The device failed: 32. */
#define GUEST_LINUX64
#include "tests/guests/guest.inc"

#define VIRTIO	     (LAYOUT_VIRTIO_MMIO - (1 << 32))
#define FEATURES_LOW (1 << 1)	/* VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE */
#include "tests/guests/virtio.inc"
#include "tests/guests/print.inc"

#define LINE_STATUS	(LAYOUT_SERIAL + 5)
#define WINDOW		0x40000000	/* where the guest sees the blocks */
#define BLOCKS		16
#define BLOCK_SHIFT	21
#define TABLE		0x03		/* present, writable */
#define LARGE_PAGE	0x83		/* and of 2 MiB */
#define LAST		(511 * 8)	/* the last entry of a table */
#define CONFIG_BLOCK	0x100
#define CONFIG_ADDR	0x110
#define REQUEST_PLUG	0
#define REQUEST_UNPLUG	1

main:
	call	map
	cmpl	$1 << BLOCK_SHIFT, VIRTIO + CONFIG_BLOCK
	require	e, 1
	movl	$QUEUE_SIZE, %ecx
	call	virtio_start
	jmp	done

command:
	call	get
	cmpb	$'q', %al
	je	1f
	cmpb	$'c', %al
	je	look
	cmpb	$'p', %al
	je	plug
	cmpb	$'u', %al
	je	unplug
	jmp	command
1:	xorl	%eax, %eax
	ret

/* The first GiB is where it is, behind it come the blocks; the fourth is the last. */
map:
	movl	$LAYOUT_VIRTIO_MMIO + CONFIG_ADDR, %esi
	movl	(%rsi), %eax
	movl	4(%rsi), %edx
	movl	$window, %edi
	call	map_gib
	movl	$low, %edi
	xorl	%eax, %eax
	xorl	%edx, %edx
	call	map_gib
	movl	$high, %edi
	movl	$0xc0000000, %eax
	xorl	%edx, %edx
	call	map_gib
	movl	$first + TABLE, top
	movl	$last + TABLE, top + LAST
	movl	$low + TABLE, first
	movl	$window + TABLE, first + 8
	movl	$high + TABLE, last + LAST
	movl	$top, %eax
	movq	%rax, %cr3
	ret

/* The table at EDI: a GiB from EDX:EAX on. */
map_gib:
	movl	$512, %ecx
	orl	$LARGE_PAGE, %eax
1:	movl	%eax, (%edi)
	movl	%edx, 4(%edi)
	addl	$1 << BLOCK_SHIFT, %eax
	adcl	$0, %edx
	addl	$8, %edi
	loop	1b
	ret

/* A byte from COM1, in AL. */
get:
	movw	$LINE_STATUS, %dx
1:	inb	%dx, %al
	testb	$0x01, %al
	jz	1b
	movw	$LAYOUT_SERIAL, %dx
	inb	%dx, %al
	ret

/* The block that the next byte names: its number in EBX. */
get_block:
	call	get
	subb	$'a', %al
	movzbl	%al, %ebx
	cmpl	$BLOCKS, %ebx
	require	b, 2
	ret

plug:
	call	get_block
	movl	$REQUEST_PLUG, %eax
	call	ask
	jnz	refused
	movb	$1, plugged(%ebx)
	call	block_address
1:	cmpl	$0, (%edi)
	require	e, 30
	movl	%edi, (%edi)
	cmpl	$0, 4092(%edi)
	require	e, 30
	movl	%edi, 4092(%edi)
	addl	$4096, %edi
	cmpl	%ecx, %edi
	jb	1b
	jmp	done

unplug:
	call	get_block
	movl	$REQUEST_UNPLUG, %eax
	call	ask
	jnz	refused
	movb	$0, plugged(%ebx)
	jmp	done

look:
	xorl	%ebx, %ebx
1:	cmpb	$0, plugged(%ebx)
	je	3f
	call	block_address
2:	cmpl	%edi, (%edi)
	require	e, 31
	cmpl	%edi, 4092(%edi)
	require	e, 31
	addl	$4096, %edi
	cmpl	%ecx, %edi
	jb	2b
3:	incl	%ebx
	cmpl	$BLOCKS, %ebx
	jb	1b

done:
	movl	$done_text, %esi
	call	print
	jmp	command
refused:
	movl	$refused_text, %esi
	call	print
	jmp	command

/* Of block EBX: its first byte in EDI, the one behind it in ECX. */
block_address:
	movl	%ebx, %edi
	shll	$BLOCK_SHIFT, %edi
	addl	$WINDOW, %edi
	leal	1 << BLOCK_SHIFT(%edi), %ecx
	ret

/* Request EAX for block EBX; Z when it was granted. */
ask:
	movl	%eax, mem_request
	movl	%ebx, %eax
	shll	$BLOCK_SHIFT, %eax
	xorl	%edx, %edx
	addl	VIRTIO + CONFIG_ADDR, %eax
	adcl	VIRTIO + CONFIG_ADDR + 4, %edx
	movl	%eax, mem_request + 8
	movl	%edx, mem_request + 12
	movl	$1, mem_request + 16	/* blocks */
	descriptor 0, $mem_request, $24, DESC_NEXT, 1
	descriptor 1, $mem_answer, $10, DESC_WRITE, 0
	movzwl	avail + 2, %eax
	andl	$QUEUE_SIZE - 1, %eax
	movw	$0, avail + 4(,%eax,2)
	incw	avail + 2
	virtio_notify 0
1:	virtio_failed
	require	z, 32
	movw	used + 2, %ax
	cmpw	avail + 2, %ax
	jne	1b
	cmpw	$0, mem_answer		/* VIRTIO_MEM_RESP_ACK */
	ret

done_text:
	.asciz	"done.\n"
refused_text:
	.asciz	"refused.\n"

	.bss
	.balign	4096
top:	.skip	4096
first:	.skip	4096
last:	.skip	4096
low:	.skip	4096
window:	.skip	4096
high:	.skip	4096
mem_request:
	.skip	24
mem_answer:
	.skip	16
plugged:
	.skip	BLOCKS
