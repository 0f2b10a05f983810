/* console_clients.h - who reads and types at a console, attached or gone.
 *
 * Every client sees everything: first what the history has kept, then what comes. All
 * of them type into the same guest. One that does not read is passed over; when the
 * history has moved on without it, it has lost that much, and nobody else notices.
 *
 * Main thread with the device's lock held, as watches are.
 */
#ifndef DEVICES_VIRTIO_CONSOLE_CLIENTS_H
#define DEVICES_VIRTIO_CONSOLE_CLIENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/virtio/watch.h"
#include "vmm/base/error.h"

struct console_clients;

struct console_clients_ops {
	/* Takes what there is to read from fd into the guest, once. 1: took some; 0: that
	 * was the end; -EAGAIN: nothing there; -ENOBUFS: the guest has no room, and
	 * console_clients_listen() will be called when it has. */
	int (*input)(void *ctx, int fd);

	/* The terminal of a client is known to have this size. */
	void (*resized)(void *ctx, uint16_t columns, uint16_t rows);
};

struct console_clients_config {
	const char *uds_path, *pty_path; /* console_host.h */
	size_t history_bytes;
	const struct console_clients_ops *ops;
	void *ctx;
};

enum { CONSOLE_MAX_CLIENTS = 8 }; /* of a socket; one more is told so and let go */

/* Clients may connect from here on. 0 and *ret, or a negative errno and *err. */
int console_clients_create(const struct console_clients_config *config,
			   struct console_clients **ret, struct error *err);

/* Lets everybody go. Accepts NULL. */
void console_clients_destroy(struct console_clients *s);

/* Serves them on the loop of these events, which is another one after a detach; who
 * is there stays. 0 or a negative errno. */
int console_clients_attach(struct console_clients *s, struct virtio_events *events);
void console_clients_detach(struct console_clients *s);

/* Output for everybody, at most history_bytes of it; never waits. */
void console_clients_add(struct console_clients *s, const void *bytes, size_t len);

/* Sends what was added to whoever is ready for it. */
void console_clients_send(struct console_clients *s);

/* The guest has room for input. */
void console_clients_listen(struct console_clients *s);

#endif
