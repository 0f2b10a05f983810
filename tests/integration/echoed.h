/* echoed.h - a stream of bytes that a guest sends back, compared as it comes.
 *
 * A process of its own sends on one connection after the other for as long as the test
 * lives. It sends more than it takes back at a time, so that there is always something on the
 * way and in all buffers, and takes it slowly, to leave the processor to others. Each byte
 * depends on its place and on the connection: one that is lost, doubled, moved or another
 * stream's is seen.
 */
#ifndef TESTS_INTEGRATION_ECHOED_H
#define TESTS_INTEGRATION_ECHOED_H

#include <stdatomic.h>
#include <stdint.h>

struct echoed {
	_Atomic uint64_t bytes;	   /* that came back right, on all connections together */
	_Atomic unsigned begun;	   /* connections */
	_Atomic unsigned finished; /* of these, ended by the other side */
	_Atomic unsigned wrong;	   /* of these, because bytes were not right */
};

/* open: called in that process for each connection; a descriptor, or -1: try again soon. */
typedef int (*echoed_open)(const void *arg);

/* Counted by that process, read by the test; never NULL. */
const struct echoed *echoed_start(echoed_open open, const void *arg);

#endif
