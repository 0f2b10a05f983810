/* reset-acpi.S - writes the value of the FADT to its reset register. 1: it went on. */
#include "tests/guests/guest.inc"

main:
	movw	$LAYOUT_ACPI_RESET, %dx
	movb	$LAYOUT_RESET_VALUE, %al
	outb	%al, %dx
	exit	$1
