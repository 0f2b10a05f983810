/* echo.h - one end sends back what the other sends, and the other checks it. */
#ifndef GUEST_IMAGES_VSOCK_ECHO_H
#define GUEST_IMAGES_VSOCK_ECHO_H

#include <stdint.h>

#include "guest-images/vsock/address.h"

/* Says "listening", then echoes every connection to the end of its stream, each in a
 * process of its own. Returns only when it cannot: 1. */
int echo_serve(const struct address *a);

/* Makes so many connections at once, sends so many bytes on each, ends its half, and
 * compares what comes back up to the end of the stream. Says how many were right; 0 when
 * all were, else 1. */
int echo_check(const struct address *a, uint64_t connections, uint64_t bytes);

#endif
