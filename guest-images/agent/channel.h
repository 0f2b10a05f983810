/* channel.h - frames over a stream socket, without ever waiting unless asked to.
 *
 * Both ends of an exec stream in both directions at once, so neither may stop reading
 * because the other does not read: a channel keeps what could not be sent, and takes
 * no more until it is gone. It holds one frame each way, and allocates nothing else
 * whatever comes.
 *
 * A channel belongs to one thread. It does not own its descriptor.
 */
#ifndef GUEST_IMAGES_AGENT_CHANNEL_H
#define GUEST_IMAGES_AGENT_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>

#include "guest-images/agent/protocol.h"

struct channel;

/* As it was received. payload is valid until the next call for the channel, and has a
 * zero byte behind it. */
struct frame {
	enum frame_type type;
	const char *payload;
	size_t len;
};

/* Makes fd non-blocking. -ENOMEM, or fcntl()'s. */
int channel_create(int fd, struct channel **ret);

/* Accepts NULL. */
void channel_destroy(struct channel *c);

int channel_fd(const struct channel *c);

/* What to poll() the descriptor for. wants_frame: the caller would take one. */
short channel_events(const struct channel *c, bool wants_frame);

/* How long a payload may be put just now; 0: flush first. */
size_t channel_room(const struct channel *c);

/* Queues a frame of at most channel_room() and sends what the socket takes at once. 0, or
 * the socket's error; -EAGAIN: no room, nothing was queued. */
int channel_put(struct channel *c, enum frame_type type, const void *payload, size_t len);

/* Sends what is queued, as far as the socket takes it. 0, or the socket's error. */
int channel_flush(struct channel *c);

/* The next frame. 0; -EAGAIN: not yet; -ENODATA: the other side is done; -EPROTO: what
 * comes is no frame, or ends within one. */
int channel_take(struct channel *c, struct frame *ret);

/* The same, waiting for as long as it takes. channel_drain() and channel_send() return when
 * all is sent. */
int channel_drain(struct channel *c);
int channel_send(struct channel *c, enum frame_type type, const void *payload, size_t len);
int channel_receive(struct channel *c, struct frame *ret);

/* As channel_receive(), but -ETIMEDOUT when no whole frame has come in that time. */
int channel_receive_within(struct channel *c, int limit_ms, struct frame *ret);

#endif
