/* dirty.S - stores into page after page, over and over: the number of the round in the first
 * and the last word of each. So memory as it was at one moment has one step in it, from one
 * number to the one before, and what was put together from two moments has not. The guest
 * looks, too: words of a page differ (1), or are not of the round before (2).
 *
 * wisp.mib=N: pages in N MiB from 2 MiB on; wisp.fill=N: the N MiB behind them, once. Says so
 * when it has begun, and after each round for which it was asked; ends at a q. */
#include "tests/guests/guest.inc"
#include "tests/guests/cmdline.inc"
#include "tests/guests/print.inc"

#define FIRST	   (2 << 20)
#define LINE_STATUS (LAYOUT_SERIAL + 5)

main:
	movl	$fill, %edi
	call	cmdline_number
	movl	%eax, %ebp
	movl	$mib, %edi
	call	cmdline_number
	shll	$20, %eax
	addl	$FIRST, %eax		/* EAX: behind the last page */
	shll	$20, %ebp
	addl	%eax, %ebp		/* EBP: behind those that are filled once */
	movl	%eax, %edi
1:	cmpl	%ebp, %edi
	jae	2f
	movl	%edi, (%edi)
	addl	$4096, %edi
	jmp	1b
2:	movl	%eax, %ebp
	movl	$1, %ecx		/* the round */
	movl	$begun, %esi
	call	print

round:
	movl	$FIRST, %edi
1:	movl	(%edi), %eax
	cmpl	%eax, 4092(%edi)
	require	e, 1
	incl	%eax
	cmpl	%eax, %ecx
	require	e, 2
	movl	%ecx, (%edi)
	movl	%ecx, 4092(%edi)
	addl	$4096, %edi
	cmpl	%ebp, %edi
	jb	1b
	incl	%ecx

	movw	$LINE_STATUS, %dx	/* a byte has come? */
	inb	%dx, %al
	testb	$0x01, %al
	jz	round
	movw	$LAYOUT_SERIAL, %dx
	inb	%dx, %al
	cmpb	$'q', %al
	je	2f
	movl	$rounded, %esi
	call	print
	jmp	round
2:	xorl	%eax, %eax
	ret

mib:
	.asciz	"wisp.mib="
fill:
	.asciz	"wisp.fill="
begun:
	.asciz	"begun.\n"
rounded:
	.asciz	"round.\n"
