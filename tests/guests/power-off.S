/* power-off.S - enters S5 by the sleep control register. First a sleep type that
 * does not exist: the machine says that it woke up (1: it does not), and forgets
 * it when told to (2: it does not). 3: S5 went on. */
#include "tests/guests/guest.inc"

#define SLEEP_TYPE(n) ((n) << 2)
#define SLEEP_ENABLE  0x20
#define WAKE_STATUS   0x80
#define S5	      5		/* ACPI_SLP_TYP_S5 */

main:
	movw	$LAYOUT_ACPI_SLEEP, %dx
	movb	$SLEEP_TYPE(3) | SLEEP_ENABLE, %al
	outb	%al, %dx
	incw	%dx
	inb	%dx, %al
	testb	$WAKE_STATUS, %al
	require	nz, 1
	outb	%al, %dx
	inb	%dx, %al
	testb	$WAKE_STATUS, %al
	require	z, 2

	decw	%dx
	movb	$SLEEP_TYPE(S5) | SLEEP_ENABLE, %al
	outb	%al, %dx
	exit	$3
