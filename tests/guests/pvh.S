/* pvh.S - checks what a PVH entry promises: the processor's state (1 to 3), the
 * start info (4, 5), the memory map (6 to 9), a command line that starts with
 * "pvh-test" and ends (10, 11), the RSDP (12). */
#include "tests/guests/guest.inc"

#define INFO_MAGIC	0
#define INFO_VERSION	4
#define INFO_CMDLINE	24
#define INFO_RSDP	32
#define INFO_MAP	40
#define INFO_MAP_COUNT	48
#define MAP_ENTRY	24	/* base, length, type, reserved */
#define MAX_CMDLINE	2048

main:
	movl	%cr0, %eax
	andl	$0x80000001, %eax	/* paging off, protected mode on */
	cmpl	$1, %eax
	require	e, 1
	movl	%cr4, %eax
	testl	%eax, %eax
	require	z, 2
	pushfl
	popl	%eax
	testl	$0x20200, %eax		/* no interrupts, no virtual 8086 mode */
	require	z, 3

	cmpl	$0x336ec578, INFO_MAGIC(%ebx)
	require	e, 4
	cmpl	$1, INFO_VERSION(%ebx)
	require	ae, 5

	/* wisp's map starts with RAM at 0, ascends, and has no empty entry. */
	movl	INFO_MAP_COUNT(%ebx), %ecx
	cmpl	$2, %ecx
	require	ae, 6
	movl	INFO_MAP(%ebx), %esi
	movl	(%esi), %eax
	orl	4(%esi), %eax
	require	z, 7
	cmpl	$1, 16(%esi)
	require	e, 7
1:	movl	8(%esi), %eax
	orl	12(%esi), %eax
	require	nz, 8
	decl	%ecx
	jz	2f
	movl	(%esi), %eax		/* the end of this one... */
	movl	4(%esi), %edx
	addl	8(%esi), %eax
	adcl	12(%esi), %edx
	subl	MAP_ENTRY(%esi), %eax	/* ...is at most the start of the next */
	sbbl	MAP_ENTRY + 4(%esi), %edx
	jb	3f
	orl	%edx, %eax
	require	z, 9
3:	addl	$MAP_ENTRY, %esi
	jmp	1b

2:	movl	INFO_CMDLINE(%ebx), %edi
	movl	$cmdline, %esi
	movl	$8, %ecx
	repe	cmpsb
	require	e, 10
	movl	$MAX_CMDLINE, %ecx
	xorb	%al, %al
	repne	scasb
	require	e, 11

	movl	INFO_RSDP(%ebx), %esi
	movl	$rsdp, %edi
	movl	$8, %ecx
	repe	cmpsb
	require	e, 12
	xorl	%eax, %eax
	ret

cmdline:
	.ascii	"pvh-test"
rsdp:
	.ascii	"RSD PTR "
