/* console.c - a terminal line for the guest (virtio 1.2, section 5.3).
 *
 * One port: receiveq 0 takes what clients type, transmitq 1 what the guest prints.
 * Multiple ports, which need two more queues and a protocol of their own, would give a
 * guest what vsock gives it already.
 *
 * A driver waits, spinning, for its output to be taken: Linux prints with a lock held.
 * So output is taken always and at once, into the history (console_history.h), however
 * fast or slow its readers are; a rate limit makes it shorter, never later.
 *
 * What a guest can do here: print for ever, which costs one copy and one write(2) a
 * client a request, in turns with the other devices. One request costs at most a copy
 * of the history's size. Nothing it does allocates.
 *
 * Input is only taken from a client when the guest has offered a buffer for it, so
 * none is held here (console_clients.h).
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_console.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "devices/virtio/console.h"
#include "devices/virtio/console_clients.h"
#include "devices/virtio/life.h"
#include "vmm/base/clock.h"
#include "vmm/base/log.h"

enum {
	QUEUE_INPUT,
	QUEUE_OUTPUT,
	QUEUES,
	QUEUE_SIZE = 64,
	OUTPUT_BURST = 32,	   /* requests a turn */
	OUTPUT_BYTES = 256 * 1024, /* the same in bytes */
	INPUT_BYTES = 4096,	   /* of one request; Linux offers as much */
};

struct virtio_console {
	struct virtio_dev dev;
	struct console_clients *clients;
	size_t history_bytes;
	struct limiter limiter;
	uint16_t columns, rows; /* 0: not known */
};

static struct virtio_console *to_console(struct virtio_dev *d)
{
	return container_of(d, struct virtio_console, dev);
}

static uint64_t console_features(const struct virtio_dev *d)
{
	(void)d;
	return 1ull << VIRTIO_CONSOLE_F_SIZE;
}

static void console_config_read(const struct virtio_dev *d, size_t off, void *dst, size_t len)
{
	const struct virtio_console *c = container_of(d, const struct virtio_console, dev);
	const struct virtio_console_config config = {
		.cols = htole16(c->columns),
		.rows = htole16(c->rows),
	};

	memcpy(dst, (const char *)&config + off, len);
}

static void on_resized(void *ctx, uint16_t columns, uint16_t rows)
{
	struct virtio_console *c = ctx;

	if (c->columns == columns && c->rows == rows)
		return;
	c->columns = columns;
	c->rows = rows;
	virtio_dev_config_changed(&c->dev);
}

/* --- output --- */

static void lose(struct virtio_console *c)
{
	c->dev.counters.errors++;
	log_guest("virtio-console: output came too fast, some of it was dropped");
}

/* Into the history, from its start or as much of its end as fits there. */
static void take_output(struct virtio_console *c, struct iov *out)
{
	c->dev.counters.write_bytes += out->len;
	if (limiter_take(&c->limiter, out->len, clock_now_us()) > 0) {
		lose(c);
		return;
	}
	if (out->len > c->history_bytes) {
		iov_skip(out, out->len - c->history_bytes);
		lose(c);
	}
	for (unsigned i = 0; i < out->count; i++)
		console_clients_add(c->clients, out->vec[i].iov_base, out->vec[i].iov_len);
	console_clients_send(c->clients);
}

static bool kick_output(struct virtio_console *c)
{
	struct virtq *q = c->dev.vq[QUEUE_OUTPUT];
	unsigned served = 0;
	uint64_t taken = 0;
	struct virtq_req req;

	while (served < OUTPUT_BURST && taken < OUTPUT_BYTES && virtq_pop(q, &req) > 0) {
		if (req.in.len > 0) {
			virtio_dev_fail(&c->dev, "console output in a writable buffer");
			break;
		}
		taken += req.out.len;
		take_output(c, &req.out);
		virtq_push(q, &req, 0);
		served++;
	}
	virtq_publish(q);
	return served == OUTPUT_BURST || taken >= OUTPUT_BYTES;
}

/* --- input --- */

/* What readv(2) said of a client: a terminal that was closed says EIO. */
static int read_result(ssize_t n)
{
	if (n > 0)
		return 1;
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? -EAGAIN : 0;
}

static int on_input(void *ctx, int fd)
{
	struct virtio_console *c = ctx;
	struct virtq *q = c->dev.vq[QUEUE_INPUT];
	struct virtq_req req;
	ssize_t n;
	int r;

	if (!virtio_dev_live(&c->dev) || virtq_pop(q, &req) <= 0)
		return -ENOBUFS;
	if (req.out.len > 0) {
		virtio_dev_fail(&c->dev, "console input into a readable buffer");
		return -ENOBUFS;
	}
	iov_truncate(&req.in, INPUT_BYTES);
	n = readv(fd, req.in.vec, (int)req.in.count);
	r = read_result(n);
	if (r <= 0) {
		virtq_unpop(q);
		return r;
	}
	virtq_push(q, &req, (uint32_t)n);
	virtq_publish(q);
	c->dev.counters.read_bytes += (uint64_t)n;
	return r;
}

static bool console_kick(struct virtio_dev *d, unsigned index)
{
	if (index == QUEUE_OUTPUT)
		return kick_output(to_console(d));
	console_clients_listen(to_console(d)->clients);
	return false;
}

/* --- life --- */

static int console_attach(struct virtio_dev *d)
{
	return console_clients_attach(to_console(d)->clients, d->events);
}

static void console_detach(struct virtio_dev *d)
{
	console_clients_detach(to_console(d)->clients);
}

static void console_destroy(struct virtio_dev *d)
{
	struct virtio_console *c = to_console(d);

	console_clients_destroy(c->clients);
	free(c);
}

static const uint16_t console_queue_sizes[QUEUES] = { QUEUE_SIZE, QUEUE_SIZE };

static const struct virtio_ops console_ops = {
	.name = "console",
	.id = VIRTIO_ID_CONSOLE,
	.nqueues = QUEUES,
	.queue_sizes = console_queue_sizes,
	.config_len = sizeof(struct virtio_console_config),
	.features = console_features,
	.config_read = console_config_read,
	.attach = console_attach,
	.detach = console_detach,
	.kick = console_kick,
	.section = STATE_CONSOLE,
	.destroy = console_destroy,
};

static const struct console_clients_ops clients_ops = {
	.input = on_input,
	.resized = on_resized,
};

int virtio_console_create(const struct virtio_console_options *options, struct virtio_dev **ret,
			  struct error *err)
{
	const struct limiter_config limits = { .bandwidth = options->limit, .has_bandwidth = true };
	struct virtio_console *c = calloc(1, sizeof(*c));
	const struct console_clients_config clients = {
		.uds_path = options->uds_path,
		.pty_path = options->pty_path,
		.history_bytes = options->history_bytes,
		.ops = &clients_ops,
		.ctx = c,
	};
	int r;

	if (!c)
		return error_set(err, -ENOMEM, NULL, NULL, "no memory for the console");
	c->dev.ops = &console_ops;
	c->history_bytes = options->history_bytes;
	limiter_configure(&c->limiter, &limits, clock_now_us());
	r = console_clients_create(&clients, &c->clients, err);
	if (r < 0) {
		free(c);
		return r;
	}
	*ret = &c->dev;
	return 0;
}
