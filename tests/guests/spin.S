/* spin.S - runs for ever without an exit: to be paused, killed, stopped. */
#include "tests/guests/guest.inc"

main:
	jmp	main
