/* work.h - what wisp-bench asks of the program in the guest. */
#ifndef GUEST_IMAGES_VSOCK_WORK_H
#define GUEST_IMAGES_VSOCK_WORK_H

#include <stdint.h>

#include "guest-images/vsock/address.h"

enum { WORK_MESSAGE_BYTES = 64, WORK_CHUNK = 64 * 1024 };

enum work_kind {
	WORK_SEND, /* so many bytes, of any value */
	WORK_TAKE, /* so many bytes, then answer with one */
	WORK_ECHO, /* so many messages, each of which is waited for */
};

/* As it is on the stream; both ends are of one architecture. */
struct work_request {
	uint64_t kind; /* enum work_kind */
	uint64_t count;
};

/* Connects, then does what the other end asks until the end of the stream. 0, or 1 after
 * saying what failed. */
int work_serve(const struct address *a);

#endif
