/* scripts.c - the guest's init scripts, carried inside the program.
 *
 * So that it works wherever it lies; they stay files of their own in the source.
 * GUEST_DIR is that folder, given by CMake.
 */
#include "tests/testhost/scripts.h"

#define EMBED(name, file)                                                                    \
	__asm__(".pushsection .rodata." #name ", \"a\"\n"                                    \
		".global " #name ", " #name "_end\n"                                         \
		".hidden " #name ", " #name "_end\n" #name ": .incbin \"" GUEST_DIR "/" file \
		"\"\n" #name "_end: .byte 0\n"                                               \
		".popsection\n")

EMBED(guest_init_sh, "guest-init.sh");
EMBED(guest_run_sh, "guest-run.sh");
