/* lost.S - goes on where there is no memory: no hypervisor can run what it cannot read. */
#include "tests/guests/guest.inc"

#define NO_ADDRESS 0xd0000000

main:
	movl	$NO_ADDRESS, %eax
	jmp	*%eax
