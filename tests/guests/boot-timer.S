/* boot-timer.S - says to the boot timer's page that its boot is done. */
#include "tests/guests/guest.inc"

#define REACHED 123

main:
	movb	$REACHED, LAYOUT_BOOT_TIMER
	xorl	%eax, %eax
	ret
