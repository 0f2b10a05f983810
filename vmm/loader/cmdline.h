/* cmdline.h - the kernel command line: the user's words and the VMM's.
 *
 * The kernel takes words up to a lone "--" and hands what follows to init
 * (Documentation/admin-guide/kernel-parameters.rst), so the VMM's words go in
 * front of that separator when the user's line has one, else at the end.
 * Main thread; the struct is the caller's.
 */
#ifndef VMM_LOADER_CMDLINE_H
#define VMM_LOADER_CMDLINE_H

#include <stddef.h>

#include "vmm/base/error.h"
#include "vmm/config.h"

/* What boots when no boot_args are given: Firecracker's default line. */
#define CMDLINE_DEFAULT                                          \
	"reboot=k panic=1 nomodule 8250.nr_uarts=0 i8042.noaux " \
	"i8042.nomux i8042.dumbkbd swiotlb=noforce"

struct cmdline {
	size_t len;		   /* without the NUL */
	size_t insert_at;	   /* of the separator, or len */
	char text[VM_MAX_CMDLINE]; /* always NUL-terminated */
};

/* Starts from the user's line. 0, or -EINVAL and *err (field "boot_args"): too
 * long, a byte that is not printable ASCII, or a quote that is never closed,
 * which would swallow the words that are added. *c is undefined then. */
int cmdline_init(struct cmdline *c, const char *line, struct error *err);

/* Adds one word: printable, without spaces and quotes. 0, or -EINVAL and *err as
 * above, and the line stays as it was. */
int cmdline_add(struct cmdline *c, struct error *err, const char *word);
int cmdline_addf(struct cmdline *c, struct error *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
