/* reboot.S - says that it is ready and does what it is told by a byte on COM1: i, a
 * and t reset it (keyboard controller, ACPI, triple fault), o powers it off. It leaves
 * marks in memory (1) and in the serial port (2), which must be gone at the next boot.
 * 3: it went on instead; 4: an unknown byte. */
#include "tests/guests/guest.inc"
#include "tests/guests/print.inc"

#define MARK	     0x200000
#define SCRATCH	     (LAYOUT_SERIAL + 7)
#define SLEEP_ENABLE 0x20
#define S5	     5		/* ACPI_SLP_TYP_S5 */

main:
	cmpl	$0, MARK
	require	e, 1
	movl	$-1, MARK
	movw	$SCRATCH, %dx
	inb	%dx, %al
	cmpb	$0x5a, %al
	require	ne, 2
	movb	$0x5a, %al
	outb	%al, %dx

	movl	$ready, %esi
	call	print
1:	movw	$LAYOUT_SERIAL + 5, %dx	/* a byte has come? */
	inb	%dx, %al
	testb	$0x01, %al
	jz	1b
	movw	$LAYOUT_SERIAL, %dx
	inb	%dx, %al

	cmpb	$'i', %al
	jne	2f
	movb	$0xfe, %al
	outb	%al, $LAYOUT_I8042 + 4
	exit	$3
2:	cmpb	$'a', %al
	jne	3f
	movw	$LAYOUT_ACPI_RESET, %dx
	movb	$LAYOUT_RESET_VALUE, %al
	outb	%al, %dx
	exit	$3
3:	cmpb	$'t', %al
	jne	4f
	lidt	no_idt
	ud2
	exit	$3
4:	cmpb	$'o', %al
	require	e, 4
	movw	$LAYOUT_ACPI_SLEEP, %dx
	movb	$(S5 << 2) | SLEEP_ENABLE, %al
	outb	%al, %dx
	exit	$3

ready:
	.asciz	"ready\n"
no_idt:
	.word	0
	.long	0
