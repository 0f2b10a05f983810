/* reset-i8042.S - pulses the keyboard controller's reset line. 1: it went on. */
#include "tests/guests/guest.inc"

main:
	movb	$0xfe, %al
	outb	%al, $LAYOUT_I8042 + 4
	exit	$1
