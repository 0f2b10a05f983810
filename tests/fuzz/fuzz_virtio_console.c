/* fuzz_virtio_console.c - a hostile driver and restless clients against a console.
 *
 * The input is a list of steps: descriptors of any content, heads offered, kicks and
 * register writes of any kind on the guest's side; clients of the host that connect,
 * type, read and hang up; pauses, restarts of the driver. The first byte chooses a
 * limit. What must hold is the sanitizers' to say.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/virtio_mmio.h>

#include "devices/virtio/console.h"
#include "tests/unit/virtio_driver.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum {
	MAX_STEPS = 128,
	CLIENTS = 10, /* two more than there is room for */
	QUEUES = 2,
	QUEUE_SIZE = 8,
	HISTORY = 256,
	OUTPUT_DESC = 0x100000,
	OUTPUT_AVAIL = 0x101000,
	OUTPUT_USED = 0x102000,
};

struct input {
	const uint8_t *at;
	size_t left;
};

struct scene {
	struct driver d;
	struct sockaddr_un address;
	int client[CLIENTS]; /* -1: none */
	uint16_t avail_idx[QUEUES];
	bool paused;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The next n bytes as a little-endian number; zeros behind the end. */
static uint64_t take(struct input *in, unsigned n)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < n && in->left > 0; i++, in->left--)
		value |= (uint64_t)*in->at++ << (8 * i);
	return value;
}

static void start(struct scene *s)
{
	const struct virtq_layout output = { QUEUE_SIZE, gpa(OUTPUT_DESC), gpa(OUTPUT_AVAIL),
					     gpa(OUTPUT_USED) };

	driver_start(&s->d, driver_offered(&s->d), QUEUE_SIZE);
	gmem_zero(s->d.mem, gpa(OUTPUT_DESC), 0x3000);
	driver_put(&s->d, VIRTIO_MMIO_QUEUE_SEL, 1);
	driver_set_queue(&s->d, &output);
	memset(s->avail_idx, 0, sizeof(s->avail_idx));
}

static void step_restart(struct scene *s, struct input *in)
{
	(void)in;
	start(s);
}

/* Mostly plausible: near a buffer, of a few hundred bytes. */
static void step_descriptor(struct scene *s, struct input *in)
{
	static const uint64_t near[] = { DRIVER_BUFFERS, DRIVER_HIGH, DRIVER_GAP - 16, 0 };
	uint64_t how = take(in, 1);
	struct vring_desc desc = {
		.addr = how & 0x80 ? take(in, 8) : near[how & 3] + take(in, 1),
		.len = (uint32_t)take(in, how & 0x40 ? 4 : 2),
		.flags = (uint16_t)take(in, 1) & 7,
		.next = (uint16_t)take(in, 1) % QUEUE_SIZE,
	};

	driver_desc(&s->d, how & 4 ? OUTPUT_DESC : DRIVER_DESC, (how >> 3) % QUEUE_SIZE, desc);
}

static void step_offer(struct scene *s, struct input *in)
{
	uint64_t how = take(in, 1);
	unsigned q = how & 1;
	struct vring_avail *avail = driver_at(&s->d, q ? OUTPUT_AVAIL : DRIVER_AVAIL,
					      sizeof(*avail) + sizeof(avail->ring[0]) * QUEUE_SIZE);

	avail->ring[s->avail_idx[q] % QUEUE_SIZE] = (uint16_t)(how >> 1) & 0xf;
	s->avail_idx[q] = (uint16_t)(s->avail_idx[q] + 1 + (how & 0x80 ? take(in, 1) : 0));
	avail->idx = s->avail_idx[q];
}

static void step_kick(struct scene *s, struct input *in)
{
	driver_kick(&s->d, (unsigned)take(in, 1) % (QUEUES + 1));
}

static void step_register(struct scene *s, struct input *in)
{
	uint64_t off = (take(in, 2) & 0x1fc) % VIRTIO_MMIO_LEN;

	driver_put(&s->d, off, (uint32_t)take(in, 4));
	driver_get(&s->d, off);
}

static void step_connect(struct scene *s, struct input *in)
{
	int *fd = &s->client[take(in, 1) % CLIENTS];

	fd_close(*fd);
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	(void)!connect(*fd, (const struct sockaddr *)&s->address, sizeof(s->address));
	driver_run(&s->d);
}

static void step_type(struct scene *s, struct input *in)
{
	static const char keys[16 * 255];
	int fd = s->client[take(in, 1) % CLIENTS];

	(void)!send(fd, keys, take(in, 1) * 16, MSG_NOSIGNAL);
	driver_run(&s->d);
}

static void step_read(struct scene *s, struct input *in)
{
	static char shown[16 * 255];
	int fd = s->client[take(in, 1) % CLIENTS];

	(void)!recv(fd, shown, take(in, 1) * 16, 0);
	driver_run(&s->d);
}

static void step_end(struct scene *s, struct input *in)
{
	int *fd = &s->client[take(in, 1) % CLIENTS];
	uint64_t how = take(in, 1) % 3;

	if (how < 2)
		(void)shutdown(*fd, how == 0 ? SHUT_WR : SHUT_RD);
	else
		*fd = fd_close(*fd);
	driver_run(&s->d);
}

static void step_pause(struct scene *s, struct input *in)
{
	(void)in;
	if (s->paused)
		virtio_transport_resume(s->d.transport);
	else
		virtio_transport_pause(s->d.transport);
	s->paused = !s->paused;
}

static void set_up(struct scene *s, const char *path, unsigned limit)
{
	const struct virtio_console_options options = {
		.uds_path = path,
		.pty_path = "",
		.history_bytes = HISTORY,
		.limit = { limit, 1, 0 },
	};
	struct virtio_dev *dev;

	*s = (struct scene){ .address.sun_family = AF_UNIX };
	snprintf(s->address.sun_path, sizeof(s->address.sun_path), "%s", path);
	for (unsigned i = 0; i < CLIENTS; i++)
		s->client[i] = -1;
	if (virtio_console_create(&options, &dev, NULL) < 0)
		abort();
	driver_create(&s->d, dev);
	start(s);
}

static void tear_down(struct scene *s)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		fd_close(s->client[i]);
	driver_destroy(&s->d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const steps[])(struct scene *, struct input *) = {
		step_descriptor, step_offer, step_kick,	    step_type,	  step_connect,
		step_read,	 step_end,   step_register, step_restart, step_pause,
	};
	struct input in = { data, size };
	char path[64];
	struct scene s;

	log_setup(&(struct log_config){ .id = "fuzz", .level = LOG_OFF, .fd = 2 });
	signal(SIGPIPE, SIG_IGN);
	snprintf(path, sizeof(path), "/tmp/wisp-fuzz-console-%d", (int)getpid());
	set_up(&s, path, (unsigned)take(&in, 1));
	for (int i = 0; i < MAX_STEPS && in.left > 0; i++)
		steps[take(&in, 1) % (sizeof(steps) / sizeof(steps[0]))](&s, &in);
	tear_down(&s);
	return 0;
}
