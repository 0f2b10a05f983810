/* address.h - either end of a guest's vsock, by one notation.
 *
 *   PORT        in the guest: listen on that port; connect to the host's
 *   PATH:PORT   on the host, where PATH is the uds_path of the guest's vsock: listen for
 *               guests that connect to that port; connect to the guest's
 *
 * Errors are told on standard error.
 */
#ifndef GUEST_IMAGES_VSOCK_ADDRESS_H
#define GUEST_IMAGES_VSOCK_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

struct address {
	const char *path; /* of the host's socket; NULL: we are the guest */
	uint32_t port;
};

/* Cuts text at its last colon. False when it is no address. */
bool address_parse(char *text, struct address *ret);

/* A listening socket, or -1. */
int address_listen(const struct address *a);

/* A connected socket, with the host's greetings exchanged, or -1. */
int address_connect(const struct address *a);

#endif
