/* memory.S - the first and the last byte of each range of RAM below 4 GiB: they
 * start as 0 (1, 2) and keep what is written (3, 4). 5: there is no RAM. */
#include "tests/guests/guest.inc"

#define INFO_MAP	40
#define INFO_MAP_COUNT	48
#define MAP_ENTRY	24	/* base, length, type, reserved */
#define MAP_RAM		1

main:
	movl	INFO_MAP(%ebx), %esi
	movl	INFO_MAP_COUNT(%ebx), %ecx
	xorl	%edx, %edx		/* ranges seen */
1:	cmpl	$MAP_RAM, 16(%esi)
	jne	2f
	cmpl	$0, 4(%esi)		/* above 4 GiB */
	jne	2f
	incl	%edx
	movl	(%esi), %edi
	cmpb	$0, (%edi)
	require	e, 1
	movl	8(%esi), %ebp
	leal	-1(%edi,%ebp), %ebp
	cmpb	$0, (%ebp)
	require	e, 2
	movb	$0xa5, (%edi)
	movb	$0x5a, (%ebp)
	cmpb	$0xa5, (%edi)
	require	e, 3
	cmpb	$0x5a, (%ebp)
	require	e, 4
2:	addl	$MAP_ENTRY, %esi
	decl	%ecx
	jnz	1b

	testl	%edx, %edx
	require	nz, 5
	xorl	%eax, %eax
	ret
