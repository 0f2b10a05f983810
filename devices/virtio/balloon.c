/* balloon.c - memory that the guest lends to the host (virtio 1.2, section 5.5).
 *
 * The host sets a target; the driver takes pages from its own allocator until the
 * balloon has that size and names them on the inflate queue, and their memory goes
 * back to the host (gmem_discard). On the deflate queue the driver says which pages
 * it uses again. Nothing has to be done for that: a page that was given back reads
 * as zeros when it is next touched. So the device keeps no list of pages, and a
 * driver that names pages it still uses, or the same ones again and again, has
 * emptied its own memory and nothing else. What it names outside of RAM is counted
 * as an error and left alone. `actual`, which the driver writes, is a number to
 * show and decides nothing.
 *
 * Page lists are copied once, sorted, and given back in runs (balloon_pages.h). Lists and
 * reports are unlimited by the specification: what goes beyond BALLOON_PFNS_MAX or
 * BALLOON_GIVE_MAX_BYTES stays with the guest, and a turn ends after BURST_RUNS calls or
 * BALLOON_GIVE_MAX_BYTES.
 *
 * With free page reporting the driver offers the pages themselves, as buffers,
 * whenever it has large free blocks; it takes them back by taking the buffers back.
 *
 * Free page hinting is the same for once, when the host asks for it (5.5.6.6). The host
 * gives a run a number; the driver answers with it, offers its free pages, which it keeps
 * from everybody else meanwhile, and says when it has no more; then the host ends the run.
 * What comes without the present number is ignored. A driver short of memory may use its
 * pages again before the end, even before the device has seen them: what it stores there
 * in that moment may be lost, which no device can tell that does not track the guest's
 * stores. Free page reporting has no such moment.
 *
 * The statistics queue turns the roles around: the driver leaves one filled buffer
 * there, the device holds it, and giving it back asks for the next (5.5.6.3). A
 * timer does that. The buffer in hand is dropped when the device quiesces.
 *
 * Queues: the specification gives each optional queue a fixed index; Linux up to
 * this day counts only those that were negotiated. A driver that has the last of those
 * set up where the specification has it means the first, any other the second.
 *
 * System calls: timerfd_settime, read, and those of gmem_discard.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_balloon.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "devices/virtio/balloon.h"
#include "devices/virtio/balloon_pages.h"
#include "devices/virtio/life.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum {
	QUEUE_SIZE = 256,
	BURST_RUNS = 1024, /* requests to the host in a turn */
	BURST_REQUESTS = 64,
	STATS_MAX = 64, /* entries of one buffer that are looked at */
};

/* 5.5.2 */
enum { QUEUE_INFLATE, QUEUE_DEFLATE, QUEUE_STATS, QUEUE_HINTING, QUEUE_REPORTING, QUEUES };

#define BIT(n) (UINT64_C(1) << (n))

/* The part of struct virtio_balloon_config that exists without poisoning (5.5.4). */
struct config {
	uint32_t num_pages, actual, free_page_hint_cmd_id;
};

/* Commands below are not numbers of runs. */
enum { FIRST_RUN = VIRTIO_BALLOON_CMD_ID_DONE + 1 };

struct virtio_balloon {
	struct virtio_dev dev;
	struct virtio_balloon_options options; /* target and interval: the present ones */
	uint32_t actual_pages;
	int timer;
	struct virtio_watch *watch;

	bool stats_held; /* stats_req is the driver's buffer */
	struct virtq_req stats_req;
	uint32_t stats_known;
	uint64_t stats[VIRTIO_BALLOON_STATS];

	struct virtio_balloon_hinting hinting;
	uint32_t last_run;
	bool acknowledge; /* end the run when the driver says that it is through */

	uint32_t pfn[BALLOON_PFNS_MAX]; /* the list being served */
};

static struct virtio_balloon *to_balloon(struct virtio_dev *d)
{
	return container_of(d, struct virtio_balloon, dev);
}

static uint64_t balloon_features(const struct virtio_dev *d)
{
	const struct virtio_balloon_options *o =
		&container_of(d, const struct virtio_balloon, dev)->options;

	return (o->interval_s ? BIT(VIRTIO_BALLOON_F_STATS_VQ) : 0) |
	       (o->deflate_on_oom ? BIT(VIRTIO_BALLOON_F_DEFLATE_ON_OOM) : 0) |
	       (o->free_page_hinting ? BIT(VIRTIO_BALLOON_F_FREE_PAGE_HINT) : 0) |
	       (o->free_page_reporting ? BIT(VIRTIO_BALLOON_F_REPORTING) : 0);
}

static struct config config_of(const struct virtio_balloon *b)
{
	return (struct config){
		.num_pages = htole32(b->options.target_pages),
		.actual = htole32(b->actual_pages),
		.free_page_hint_cmd_id = htole32(b->hinting.host_cmd),
	};
}

static void balloon_config_read(const struct virtio_dev *d, size_t off, void *dst, size_t len)
{
	struct config c = config_of(container_of(d, const struct virtio_balloon, dev));

	memcpy(dst, (const char *)&c + off, len);
}

/* Any part of `actual`; what is written elsewhere is lost. */
static void balloon_config_write(struct virtio_dev *d, size_t off, const void *src, size_t len)
{
	struct virtio_balloon *b = to_balloon(d);
	struct config c = config_of(b);

	memcpy((char *)&c + off, src, len);
	b->actual_pages = le32toh(c.actual);
}

static bool serve_inflate(struct virtio_balloon *b, struct virtq *q)
{
	unsigned runs = 0, served = 0;
	struct virtq_req req;

	while (runs < BURST_RUNS && served < BURST_REQUESTS && virtq_pop(q, &req) > 0) {
		if (req.in.len > 0 || req.out.len % sizeof(b->pfn[0]) != 0) {
			virtio_dev_fail(&b->dev, "not a list of pages");
			break;
		}
		runs += balloon_give_listed(&b->dev, &req.out, b->pfn);
		virtq_push(q, &req, 0);
		served++;
	}
	virtq_publish(q);
	return runs >= BURST_RUNS || served == BURST_REQUESTS;
}

static bool serve_deflate(struct virtq *q)
{
	unsigned served = 0;
	struct virtq_req req;

	while (served < BURST_REQUESTS && virtq_pop(q, &req) > 0) {
		virtq_push(q, &req, 0);
		served++;
	}
	virtq_publish(q);
	return served == BURST_REQUESTS;
}

static bool serve_reports(struct virtio_balloon *b, struct virtq *q)
{
	size_t runs = 0, bytes = 0;
	struct virtq_req req;

	while (runs < BURST_RUNS && bytes < BALLOON_GIVE_MAX_BYTES && virtq_pop(q, &req) > 0) {
		if (req.out.len > 0) {
			virtio_dev_fail(&b->dev, "reported pages that are not writable");
			break;
		}
		runs += req.in.count;
		bytes += balloon_give_spans(&b->dev, &req.in);
		virtq_push(q, &req, 0);
	}
	virtq_publish(q);
	return runs >= BURST_RUNS || bytes >= BALLOON_GIVE_MAX_BYTES;
}

static void command(struct virtio_balloon *b, uint32_t cmd)
{
	b->hinting.host_cmd = cmd;
	virtio_dev_config_changed(&b->dev);
}

/* The driver begins a run, or has no more pages for it. False: that is no command. */
static bool take_command(struct virtio_balloon *b, const struct iov *out)
{
	struct virtio_balloon_hinting *h = &b->hinting;
	uint32_t cmd;

	if (out->len != sizeof(cmd) || iov_read(out, 0, &cmd, sizeof(cmd)) < 0)
		return false;
	h->guest_cmd = le32toh(cmd);
	h->guest_told = true;
	if (h->guest_cmd == VIRTIO_BALLOON_CMD_ID_STOP && b->acknowledge &&
	    h->host_cmd >= FIRST_RUN)
		command(b, VIRTIO_BALLOON_CMD_ID_DONE);
	return true;
}

static bool in_run(const struct virtio_balloon *b)
{
	const struct virtio_balloon_hinting *h = &b->hinting;

	return h->guest_told && h->guest_cmd == h->host_cmd && h->host_cmd >= FIRST_RUN;
}

static bool serve_hints(struct virtio_balloon *b, struct virtq *q)
{
	size_t runs = 0, bytes = 0;
	unsigned served = 0;
	struct virtq_req req;

	while (runs < BURST_RUNS && bytes < BALLOON_GIVE_MAX_BYTES && served < BURST_REQUESTS &&
	       virtq_pop(q, &req) > 0) {
		if (req.out.len > 0 && !take_command(b, &req.out)) {
			virtio_dev_fail(&b->dev, "not a hinting command");
			break;
		}
		if (in_run(b)) {
			runs += req.in.count;
			bytes += balloon_give_spans(&b->dev, &req.in);
		}
		virtq_push(q, &req, 0);
		served++;
	}
	virtq_publish(q);
	return runs >= BURST_RUNS || bytes >= BALLOON_GIVE_MAX_BYTES || served == BURST_REQUESTS;
}

/* Tags that are not known, and what follows the last whole entry, are skipped. */
static void read_stats(struct virtio_balloon *b, const struct iov *out)
{
	struct virtio_balloon_stat stats[STATS_MAX];
	size_t count = out->len / sizeof(stats[0]);

	if (count > STATS_MAX)
		count = STATS_MAX;
	iov_read(out, 0, stats, count * sizeof(stats[0]));
	for (size_t i = 0; i < count; i++) {
		unsigned tag = le16toh(stats[i].tag);

		if (tag >= VIRTIO_BALLOON_STATS)
			continue;
		b->stats[tag] = le64toh(stats[i].val);
		b->stats_known |= 1u << tag;
	}
}

/* Gives the held buffer back, which asks the driver for the next. */
static void return_stats(struct virtio_balloon *b)
{
	virtq_push(b->dev.vq[QUEUE_STATS], &b->stats_req, 0);
	b->stats_held = false;
}

/* A second buffer breaks 5.5.6.3.1; the first goes back, the last one is held. */
static bool serve_stats(struct virtio_balloon *b, struct virtq *q)
{
	unsigned served = 0;
	struct virtq_req req;

	while (served < BURST_REQUESTS && virtq_pop(q, &req) > 0) {
		if (b->stats_held)
			return_stats(b);
		read_stats(b, &req.out);
		b->stats_req = req;
		b->stats_held = true;
		served++;
	}
	virtq_publish(q);
	return served == BURST_REQUESTS;
}

static bool on_timer(void *arg, uint32_t events)
{
	struct virtio_balloon *b = arg;
	uint64_t ticks;

	(void)events;
	if (read(b->timer, &ticks, sizeof(ticks)) < 0 || !b->stats_held ||
	    !virtio_dev_live(&b->dev))
		return false;
	return_stats(b);
	virtq_publish(b->dev.vq[QUEUE_STATS]);
	return false;
}

static int set_timer(const struct virtio_balloon *b)
{
	const struct itimerspec t = {
		.it_interval.tv_sec = b->options.interval_s,
		.it_value.tv_sec = b->options.interval_s,
	};

	return timerfd_settime(b->timer, 0, &t, NULL) < 0 ? -errno : 0;
}

static int balloon_attach(struct virtio_dev *d)
{
	struct virtio_balloon *b = to_balloon(d);
	int r;

	if (b->options.interval_s == 0)
		return 0;
	r = virtio_watch_create(d->events, b->timer, EPOLLIN, on_timer, b, &b->watch);
	return r < 0 ? r : set_timer(b);
}

static void balloon_detach(struct virtio_dev *d)
{
	struct virtio_balloon *b = to_balloon(d);

	virtio_watch_destroy(b->watch);
	b->watch = NULL;
}

/* A driver that comes up has an empty balloon and has told nothing. */
static int balloon_activate(struct virtio_dev *d)
{
	struct virtio_balloon *b = to_balloon(d);

	b->actual_pages = 0;
	b->stats_known = 0;
	b->hinting = (struct virtio_balloon_hinting){ .host_cmd = VIRTIO_BALLOON_CMD_ID_STOP };
	return 0;
}

/* Which of the optional queues the driver means by this index; QUEUES: none. */
static unsigned optional_queue(const struct virtio_dev *d, unsigned index)
{
	static const struct {
		unsigned queue, feature;
	} optional[] = {
		{ QUEUE_STATS, VIRTIO_BALLOON_F_STATS_VQ },
		{ QUEUE_HINTING, VIRTIO_BALLOON_F_FREE_PAGE_HINT },
		{ QUEUE_REPORTING, VIRTIO_BALLOON_F_REPORTING },
	};
	unsigned fixed = QUEUES, counted = QUEUES, last = QUEUE_STATS, next = QUEUE_STATS;

	for (unsigned i = 0; i < sizeof(optional) / sizeof(optional[0]); i++) {
		if (!virtio_dev_has(d, optional[i].feature))
			continue;
		last = optional[i].queue;
		if (index == last)
			fixed = last;
		if (index == next++)
			counted = last;
	}
	return virtq_enabled(d->vq[last]) ? fixed : counted;
}

static bool balloon_kick(struct virtio_dev *d, unsigned index)
{
	struct virtio_balloon *b = to_balloon(d);
	struct virtq *q = d->vq[index];

	switch (index < QUEUE_STATS ? index : optional_queue(d, index)) {
	case QUEUE_INFLATE:
		return serve_inflate(b, q);
	case QUEUE_DEFLATE:
		return serve_deflate(q);
	case QUEUE_STATS:
		return serve_stats(b, q);
	case QUEUE_HINTING:
		return serve_hints(b, q);
	case QUEUE_REPORTING:
		return serve_reports(b, q);
	default:
		virtio_dev_fail(d, "kick of a queue whose feature was not negotiated");
		return false;
	}
}

/* The buffer of the statistics goes back to its queue, as the last that was taken off; a
 * kick after the pause takes it again. */
static void balloon_drain(struct virtio_dev *d)
{
	struct virtio_balloon *b = to_balloon(d);

	if (!b->stats_held)
		return;
	virtq_unpop(d->vq[QUEUE_STATS]);
	b->stats_held = false;
	fd_event_signal(d->sink->kick_fd(d->sink, QUEUE_STATS));
}

static void balloon_state(struct virtio_dev *d, struct state *s)
{
	struct virtio_balloon *b = to_balloon(d);

	state_u32(s, &b->options.target_pages);
	state_u32(s, &b->actual_pages);
	state_u32(s, &b->stats_known);
	for (unsigned i = 0; i < VIRTIO_BALLOON_STATS; i++)
		state_u64(s, &b->stats[i]);
	state_u32(s, &b->hinting.host_cmd);
	state_u32(s, &b->hinting.guest_cmd);
	state_bool(s, &b->hinting.guest_told);
	state_u32(s, &b->last_run);
	state_bool(s, &b->acknowledge);
}

static void balloon_quiesce(struct virtio_dev *d)
{
	to_balloon(d)->stats_held = false;
}

static void balloon_destroy(struct virtio_dev *d)
{
	if (!d)
		return;
	fd_close(to_balloon(d)->timer);
	free(to_balloon(d));
}

static const uint16_t balloon_queue_sizes[QUEUES] = {
	QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE,
};

static const struct virtio_ops balloon_ops = {
	.name = "balloon",
	.id = VIRTIO_ID_BALLOON,
	.nqueues = QUEUES,
	.queue_sizes = balloon_queue_sizes,
	.config_len = sizeof(struct config),
	.features = balloon_features,
	.config_read = balloon_config_read,
	.config_write = balloon_config_write,
	.attach = balloon_attach,
	.detach = balloon_detach,
	.activate = balloon_activate,
	.kick = balloon_kick,
	.drain = balloon_drain,
	.quiesce = balloon_quiesce,
	.section = STATE_BALLOON,
	.state = balloon_state,
	.destroy = balloon_destroy,
};

int virtio_balloon_create(const struct virtio_balloon_options *options, struct virtio_dev **ret)
{
	struct virtio_balloon *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->dev.ops = &balloon_ops;
	b->options = *options;
	b->last_run = FIRST_RUN - 1;
	b->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (b->timer < 0) {
		int r = -errno;

		balloon_destroy(&b->dev);
		return r;
	}
	*ret = &b->dev;
	return 0;
}

int virtio_balloon_set_target(struct virtio_dev *d, uint32_t pages)
{
	int r = -ENODEV;

	virtio_events_lock(d->events);
	if (virtio_dev_live(d)) {
		to_balloon(d)->options.target_pages = pages;
		virtio_dev_config_changed(d);
		r = 0;
	}
	virtio_events_unlock(d->events);
	return r;
}

int virtio_balloon_set_interval(struct virtio_dev *d, uint32_t interval_s)
{
	struct virtio_balloon *b = to_balloon(d);
	int r;

	virtio_events_lock(d->events);
	if ((interval_s == 0) != (b->options.interval_s == 0)) {
		r = -ENODATA;
	} else {
		b->options.interval_s = interval_s;
		r = set_timer(b);
	}
	virtio_events_unlock(d->events);
	return r;
}

int virtio_balloon_statistics(struct virtio_dev *d, struct virtio_balloon_statistics *ret)
{
	struct virtio_balloon *b = to_balloon(d);
	int r = 0;

	virtio_events_lock(d->events);
	ret->target_pages = b->options.target_pages;
	ret->actual_pages = b->actual_pages;
	if (b->options.interval_s == 0) {
		r = -ENODATA;
	} else if (!virtio_dev_live(d)) {
		r = -ENODEV;
	} else {
		ret->known = b->stats_known;
		memcpy(ret->value, b->stats, sizeof(ret->value));
	}
	virtio_events_unlock(d->events);
	return r;
}

/* With the lock held: whether runs can be had. */
static int check_hinting(const struct virtio_balloon *b)
{
	if (!b->options.free_page_hinting)
		return -ENODATA;
	return virtio_dev_live(&b->dev) && virtio_dev_has(&b->dev, VIRTIO_BALLOON_F_FREE_PAGE_HINT)
		       ? 0
		       : -ENODEV;
}

static int give_command(struct virtio_balloon *b, bool start, bool acknowledge)
{
	int r;

	virtio_events_lock(b->dev.events);
	r = check_hinting(b);
	if (r == 0 && start) {
		b->last_run = b->last_run < UINT32_MAX ? b->last_run + 1 : FIRST_RUN;
		b->acknowledge = acknowledge;
	}
	if (r == 0)
		command(b, start ? b->last_run : VIRTIO_BALLOON_CMD_ID_DONE);
	virtio_events_unlock(b->dev.events);
	return r;
}

int virtio_balloon_hint_start(struct virtio_dev *d, bool acknowledge)
{
	return give_command(to_balloon(d), true, acknowledge);
}

int virtio_balloon_hint_stop(struct virtio_dev *d)
{
	return give_command(to_balloon(d), false, false);
}

int virtio_balloon_hint_status(struct virtio_dev *d, struct virtio_balloon_hinting *ret)
{
	int r;

	virtio_events_lock(d->events);
	r = check_hinting(to_balloon(d));
	if (r == 0)
		*ret = to_balloon(d)->hinting;
	virtio_events_unlock(d->events);
	return r;
}
