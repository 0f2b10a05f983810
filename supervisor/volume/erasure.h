/* erasure.h - making the bytes of a file go: overwritten, synced, read again.
 *
 * What is certified is the file: blocks that a copy shares are the copy's. Any thread.
 */
#ifndef SUPERVISOR_VOLUME_ERASURE_H
#define SUPERVISOR_VOLUME_ERASURE_H

#include <jansson.h>
#include <stdint.h>

struct erasure {
	uint64_t overwritten_bytes; /* with zeros: all that had blocks */
	uint64_t verified_bytes;    /* read again from the disk, and zero */
};

/* The file stays, so that it can be done again with the same result. 0 or a negative errno;
 * -EIO: what was read again was not zero. */
int erasure_run(int fd, struct erasure *ret);

/* The certificate is a text that says what was done to what; the body of the event that has
 * it, and its hash. NULL: memory is short. The caller's. */
json_t *erasure_certify(const char *what, const struct erasure *e);

#endif
