/* memory.S - the first and the last byte of each range of RAM below 4 GiB: they
 * start as 0 (1, 2) and keep what is written (3, 4). 5: all ranges, whatever their
 * type, do not add up to wisp.mib=N. */
#include "tests/guests/guest.inc"
#include "tests/guests/cmdline.inc"

#define INFO_MAP	40
#define INFO_MAP_COUNT	48
#define MAP_ENTRY	24	/* base, length, type, reserved */
#define MAP_RAM		1

main:
	movl	$mib, %edi
	call	cmdline_number
	movl	$1 << 20, %edx
	mull	%edx
	movl	%eax, total
	movl	%edx, total + 4

	movl	INFO_MAP_COUNT(%ebx), %ecx
	movl	INFO_MAP(%ebx), %ebx
1:	movl	8(%ebx), %eax		/* length */
	subl	%eax, total
	movl	12(%ebx), %eax
	sbbl	%eax, total + 4
	call	check_range
	addl	$MAP_ENTRY, %ebx
	decl	%ecx
	jnz	1b

	movl	total, %eax
	orl	total + 4, %eax
	require	z, 5
	ret

/* The range whose entry is at EBX. Changes ESI, EDI. */
check_range:
	cmpl	$MAP_RAM, 16(%ebx)
	jne	1f
	cmpl	$0, 4(%ebx)		/* above 4 GiB */
	jne	1f
	movl	(%ebx), %esi
	movl	8(%ebx), %edi
	leal	-1(%esi,%edi), %edi
	cmpb	$0, (%esi)
	require	e, 1
	cmpb	$0, (%edi)
	require	e, 2
	movb	$0xa5, (%esi)
	movb	$0x5a, (%edi)
	cmpb	$0xa5, (%esi)
	require	e, 3
	cmpb	$0x5a, (%edi)
	require	e, 4
1:	ret

mib:
	.asciz	"wisp.mib="

	.bss
	.balign	8
total:	.skip	8			/* what is left of N MiB */
