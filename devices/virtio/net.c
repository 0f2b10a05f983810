/* net.c - a network interface (virtio 1.2, section 5.1).
 *
 * Pairs of queues, one a vCPU: an even queue receives, the next odd one transmits; with
 * more than one pair a control queue comes last. A back end (net_backend.h) carries the
 * frames. Data moves between it and guest memory on the very spans of the driver's
 * buffers. One thread serves all pairs.
 *
 * Receiving needs two things, a frame and buffers for it. Without buffers the back end's
 * descriptor is not watched, and the driver's kick goes on; without a frame it is. With
 * MRG_RXBUF a frame goes over as many buffers as it needs (net_rx.h), and nothing is
 * read until there are enough for the longest that the driver can take: frames wait in
 * the back end, which is how a slow guest slows its peers down, rather than be lost.
 *
 * Transmitting needs a back end that takes the frame. What it does not take goes back
 * to its queue, until the descriptor can be written to.
 *
 * What a guest can do:
 * - Send from its own MAC address and no other. The virtio header and the Ethernet header
 *   are copied once, checked in the copy, and sent from the copy; the rest of the frame
 *   is the guest's own, and nothing is decided by it.
 * - Ask for the checksums and segments that were negotiated, within its frame. The
 *   kernel checks that, too. A frame that asks for more is dropped, and counted.
 * - Flood. A turn ends after BURST frames or BURST_BYTES, each way, and the other devices
 *   get theirs.
 * - Offer buffers too small for what is sent to it: frames that do not fit are dropped.
 * - Leave out the virtio header, make a transmit buffer writable or a receive buffer
 *   readable: the device fails.
 *
 * Rate limiters (throttle.h), one for each direction and all pairs of it. A frame to
 * transmit is asked for before it is sent and goes back to its queue. The length of one to
 * receive is known only when it is in the guest's buffers; there it stays, not yet
 * given to the driver, until it may be.
 *
 * Before a pause, and before a queue goes away, all receive buffers in hand go back to
 * their rings. A frame that waits in them for its limiter is lost, as frames are.
 *
 * The metadata service (net_mmds.h) takes the frames that are for it before the back end
 * does, and gives its own before the back end's are read.
 *
 * A back end that is gone (a tap deleted, passt ended) takes the link down; the guest sees
 * the cable pulled. One that can come back is looked for (net_retry.h), and then the link
 * is up again; what the guest sends meanwhile is dropped.
 */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "devices/virtio/life.h"
#include "devices/virtio/net.h"
#include "devices/virtio/net_control.h"
#include "devices/virtio/net_header.h"
#include "devices/virtio/net_mmds.h"
#include "devices/virtio/net_retry.h"
#include "devices/virtio/net_rx.h"
#include "devices/virtio/throttle.h"
#include "vmm/base/clock.h"
#include "vmm/base/log.h"

#define BIT(n) (UINT64_C(1) << (n))

enum {
	NET_QUEUE_SIZE = 256,
	NET_BURST = 64,
	NET_BURST_BYTES = 1 << 20,
	NET_ID_LEN = 64,
};

struct net_pair {
	struct virtio_net *net;
	unsigned index;
	struct virtio_watch *watch; /* of the back end's descriptor; NULL: of none */
	bool rx_waits;		    /* for a frame */
	bool tx_waits;		    /* for room */
	struct net_rx rx;
	struct iovec tx_spans[1 + VIRTQ_MAX_SIZE]; /* the copied headers, and the rest */
};

struct virtio_net {
	struct virtio_dev dev;
	struct virtio_ops ops; /* with queues of its own number */
	char id[NET_ID_LEN + 1];
	struct net_backend *backend;
	struct net_mmds *mmds;		 /* NULL: no service here */
	struct virtio_net_config config; /* what the guest reads */
	bool mac_is_made_up;
	bool gone;		/* the back end is */
	struct net_retry retry; /* attached when it may come back */
	struct throttle rx_throttle, tx_throttle;
	unsigned active; /* pairs that the driver uses */
	struct net_pair pair[NET_MAX_PAIRS];
};

static struct virtio_net *to_net(const struct virtio_dev *d)
{
	return container_of(d, struct virtio_net, dev);
}

static struct virtq *rx_queue(const struct net_pair *p)
{
	return p->net->dev.vq[(size_t)p->index * 2];
}

static struct virtq *tx_queue(const struct net_pair *p)
{
	return p->net->dev.vq[(size_t)p->index * 2 + 1];
}

/* Waits for what the pair needs of the back end. */
static void pair_watch(struct net_pair *p)
{
	const struct net_backend *b = p->net->backend;
	bool out = p->tx_waits || (p->index == 0 && b->left_over);
	uint32_t events = (p->rx_waits ? EPOLLIN : 0u) | (out ? EPOLLOUT : 0u);

	if (p->watch)
		virtio_watch_set(p->watch, p->net->gone ? 0 : events);
}

static void backend_gone(struct virtio_net *net, int why)
{
	if (net->gone)
		return;
	net->gone = true;
	net->config.status = 0;
	log_guest_at(LOG_WARN, "network interface '%s': the link is down: %s", net->id,
		     strerror(-why));
	virtio_dev_config_changed(&net->dev);
	if (net->backend->ops->reconnect)
		net_retry_later(&net->retry);
}

/* --- to the guest --- */

/* Reads a frame into the buffers in hand; one that does not fit is dropped. False: no
 * frame is there, or no room for one. */
static bool rx_read(struct net_pair *p)
{
	struct virtio_net *net = p->net;
	struct net_rx *rx = &p->rx;
	bool merge = virtio_dev_has(&net->dev, VIRTIO_NET_F_MRG_RXBUF);

	if (!net_rx_gather(rx, rx_queue(p), merge,
			   net_header_longest(net->dev.accepted, net->config.mtu)))
		return false;

	struct iov into = net_rx_spans(rx);
	ssize_t n = net_mmds_give(net->mmds, &into);

	if (n == 0)
		n = net->backend->ops->receive(net->backend, p->index, &into);
	p->rx_waits = n == -EAGAIN;
	if (n < 0) {
		if (n != -EAGAIN)
			backend_gone(net, (int)n);
		return false;
	}
	if (n >= NET_HEADER_BYTES && (size_t)n <= rx->len)
		rx->frame = (size_t)n;
	else
		net->dev.counters.errors++;
	return true;
}

/* Gives the frame in hand to the driver. Its length; 0: not yet. */
static size_t rx_give(struct net_pair *p, uint64_t now_us)
{
	struct virtio_net *net = p->net;
	size_t len = p->rx.frame;

	if (!throttle_admit(&net->rx_throttle, len - NET_HEADER_BYTES, now_us))
		return 0;
	net_rx_deliver(&p->rx, rx_queue(p));
	net->dev.counters.read_bytes += len - NET_HEADER_BYTES;
	return len;
}

/* True when the budget ran out before the frames did. */
static bool rx_turn(struct net_pair *p)
{
	struct virtio_net *net = p->net;
	uint64_t now_us = clock_now_us();
	size_t bytes = 0;
	bool left = false;

	p->rx_waits = false;
	for (int frames = 1; !left && !net->gone && !net->rx_throttle.waiting; frames++) {
		if (p->rx.frame == 0 && !rx_read(p))
			break;
		if (p->rx.frame > 0)
			bytes += rx_give(p, now_us);
		left = frames == NET_BURST || bytes >= NET_BURST_BYTES;
	}
	virtq_publish(rx_queue(p));
	loop_moved(net->dev.events->loop, bytes, now_us);
	return left;
}

/* --- from the guest --- */

/* Copies the head of a frame and checks it. */
static bool head_valid(struct virtio_net *net, const struct iov *frame, struct net_head *head)
{
	if (frame->len > NET_FRAME_MAX || iov_read(frame, 0, head, sizeof(*head)) < 0)
		return false;
	if (memcmp(head->ethernet.h_source, net->config.mac, ETH_ALEN) != 0) {
		log_guest("network interface '%s': frame from a foreign MAC address dropped",
			  net->id);
		return false;
	}
	return net_header_clean(&head->virtio, net->dev.accepted, frame->len - NET_HEADER_BYTES);
}

/* Sends the frame with our copy of its head, which takes the place of what was copied:
 * the array has room for it. 0 or a negative errno. */
static int tx_send(struct net_pair *p, struct iov *frame, struct net_head *head)
{
	struct net_backend *b = p->net->backend;

	iov_skip(frame, sizeof(*head));
	*--frame->vec = (struct iovec){ head, sizeof(*head) };
	frame->count++;
	frame->len += sizeof(*head);
	return b->ops->send(b, p->index, frame);
}

/* Serves one request. False: it is back in its queue. */
static bool tx_serve(struct net_pair *p, struct virtq_req *req, uint64_t now_us)
{
	struct virtio_net *net = p->net;
	struct virtio_counters *c = &net->dev.counters;
	size_t payload = req->out.len - NET_HEADER_BYTES;
	struct net_head head;
	int r;

	if (!head_valid(net, &req->out, &head)) {
		c->errors++;
		return true;
	}
	if (!throttle_admit(&net->tx_throttle, payload, now_us))
		return false;
	if (net_mmds_take(net->mmds, &head, &req->out))
		r = 0;
	else
		r = net->gone ? -ENOTCONN : tx_send(p, &req->out, &head);
	p->tx_waits = r == -EAGAIN;
	if (r == -EAGAIN)
		return false;
	if (r < 0)
		c->errors++;
	else
		c->write_bytes += payload;
	return true;
}

static bool tx_pop(struct net_pair *p, struct virtq_req *req)
{
	if (virtq_pop_into(tx_queue(p), req, p->tx_spans + 1) <= 0)
		return false;
	if (req->in.len == 0 && req->out.len >= NET_HEADER_BYTES)
		return true;
	virtio_dev_fail(&p->net->dev, "network frame without a header, or in a writable buffer");
	return false;
}

/* True when the budget ran out before the frames did. */
static bool tx_turn(struct net_pair *p)
{
	struct virtio_net *net = p->net;
	struct virtq *q = tx_queue(p);
	uint64_t now_us = clock_now_us();
	size_t bytes = 0;
	struct virtq_req req;
	bool left = false;

	p->tx_waits = false;
	for (int frames = 1; !left && !net->tx_throttle.waiting && tx_pop(p, &req); frames++) {
		size_t len = req.out.len;

		if (!tx_serve(p, &req, now_us)) {
			virtq_unpop(q);
			break;
		}
		virtq_push(q, &req, 0);
		bytes += len;
		left = frames == NET_BURST || bytes >= NET_BURST_BYTES;
	}
	virtq_publish(q);
	loop_moved(net->dev.events->loop, bytes, now_us);
	return left;
}

/* --- pairs in use --- */

/* The new ones look at their queues and at the back end; what the others have in hand
 * goes back. */
static int use_pairs(struct virtio_dev *d, unsigned n)
{
	struct virtio_net *net = to_net(d);
	struct net_backend *b = net->backend;
	int r = b->ops->use_pairs ? b->ops->use_pairs(b, n) : 0;

	if (r < 0)
		return r;
	for (unsigned i = 0; i < b->pairs; i++) {
		struct net_pair *p = &net->pair[i];
		bool fresh = i >= net->active && i < n;

		p->rx_waits = fresh || (p->rx_waits && i < n);
		p->tx_waits = fresh || (p->tx_waits && i < n);
		if (i >= n)
			net_rx_give_back(&p->rx, rx_queue(p));
		pair_watch(p);
	}
	net->active = n;
	return 0;
}

/* --- turns --- */

static bool net_kick(struct virtio_dev *d, unsigned queue)
{
	struct virtio_net *net = to_net(d);
	const struct net_control control = { net->backend->pairs, use_pairs };
	struct net_pair *p;
	bool left;

	if (net_control_is_at(d, control.pairs, queue))
		return net_control_turn(d, d->vq[queue], &control);
	if (queue / 2 >= net->active)
		return false;
	p = &net->pair[queue / 2];
	left = queue % 2 ? tx_turn(p) : rx_turn(p);
	pair_watch(p);
	return left;
}

/* A pair's turn for one or both directions. One that the driver has not set up, or whose
 * device is not live, waits for nothing: a kick brings it back. */
static bool pair_turn(struct net_pair *p, bool rx, bool tx)
{
	struct virtio_dev *d = &p->net->dev;
	bool left = false;

	if (tx) {
		p->tx_waits = false;
		left = virtio_dev_kick(d, 2 * p->index + 1);
	}
	if (rx) {
		p->rx_waits = false;
		left = virtio_dev_kick(d, 2 * p->index) || left;
	}
	pair_watch(p);
	return left;
}

/* A deferred turn (0) is for both. */
static bool on_backend(void *arg, uint32_t events)
{
	struct net_pair *p = arg;
	struct net_backend *b = p->net->backend;
	const struct iov nothing = { 0 };

	if (b->left_over && (events & EPOLLOUT))
		b->ops->send(b, p->index, &nothing);
	return pair_turn(p, events != EPOLLOUT, events != EPOLLIN);
}

static bool all_turns(struct virtio_net *net, bool rx, bool tx)
{
	bool left = false;

	for (unsigned i = 0; i < net->active; i++)
		left = pair_turn(&net->pair[i], rx, tx) || left;
	return left;
}

static bool on_rx_admission(void *arg, uint32_t events)
{
	(void)events;
	return all_turns(arg, true, false);
}

static bool on_tx_admission(void *arg, uint32_t events)
{
	(void)events;
	return all_turns(arg, false, true);
}

/* --- the device --- */

static uint64_t net_features(const struct virtio_dev *d)
{
	const struct virtio_net *net = to_net(d);
	uint64_t f = BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_MRG_RXBUF) |
		     BIT(VIRTIO_NET_F_STATUS) | net->backend->offloads;

	if (net->config.mtu)
		f |= BIT(VIRTIO_NET_F_MTU);
	if (net->backend->pairs > 1)
		f |= BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_CTRL_VQ);
	return f;
}

static void net_config_read(const struct virtio_dev *d, size_t off, void *dst, size_t len)
{
	memcpy(dst, (const char *)&to_net(d)->config + off, len);
}

static int attach_pair(struct virtio_net *net, unsigned i)
{
	struct net_pair *p = &net->pair[i];

	p->net = net;
	p->index = i;
	p->rx.dev = &net->dev;
	return virtio_watch_create(net->dev.events, net->backend->fd[i], 0, on_backend, p,
				   &p->watch);
}

/* Looks for a back end that is gone. */
static bool on_retry(void *arg, uint32_t events)
{
	struct virtio_net *net = arg;
	struct net_pair *p = &net->pair[0];
	int r;

	(void)events;
	virtio_watch_destroy(p->watch);
	p->watch = NULL;
	r = net->backend->ops->reconnect(net->backend);
	if (r == 0)
		r = attach_pair(net, 0);
	if (r < 0) {
		net_retry_later(&net->retry);
		return false;
	}
	net_retry_found(&net->retry);
	net->gone = false;
	net->config.status = VIRTIO_NET_S_LINK_UP;
	log_guest_at(LOG_INFO, "network interface '%s': the link is up again", net->id);
	virtio_dev_config_changed(&net->dev);
	return pair_turn(p, true, true);
}

static int net_attach(struct virtio_dev *d)
{
	struct virtio_net *net = to_net(d);
	int r = throttle_attach(&net->rx_throttle, d->events, on_rx_admission, net);

	if (r == 0)
		r = throttle_attach(&net->tx_throttle, d->events, on_tx_admission, net);
	if (r == 0)
		r = net_mmds_attach(net->mmds, d->events, on_rx_admission, net);
	if (r == 0 && net->backend->ops->reconnect)
		r = net_retry_attach(&net->retry, d->events, on_retry, net);
	for (unsigned i = 0; i < net->backend->pairs && r == 0; i++)
		r = attach_pair(net, i);
	return r;
}

static void net_detach(struct virtio_dev *d)
{
	struct virtio_net *net = to_net(d);

	for (unsigned i = 0; i < net->backend->pairs; i++) {
		virtio_watch_destroy(net->pair[i].watch);
		net->pair[i].watch = NULL;
	}
	net_retry_detach(&net->retry);
	net_mmds_detach(net->mmds);
	throttle_detach(&net->tx_throttle);
	throttle_detach(&net->rx_throttle);
}

static int net_activate(struct virtio_dev *d)
{
	struct virtio_net *net = to_net(d);
	struct net_backend *b = net->backend;

	net->active = 1;
	return b->ops->start ? b->ops->start(b, d->accepted) : 0;
}

static void net_drain(struct virtio_dev *d)
{
	struct virtio_net *net = to_net(d);

	for (unsigned i = 0; i < net->active; i++)
		net_rx_give_back(&net->pair[i].rx, rx_queue(&net->pair[i]));
}

/* The watches find out by themselves that there is nothing to wait for. */
static void net_quiesce(struct virtio_dev *d)
{
	struct net_backend *b = to_net(d)->backend;

	net_drain(d);
	net_mmds_forget(to_net(d)->mmds);
	to_net(d)->active = 1;
	if (b->ops->stop)
		b->ops->stop(b);
}

/* The guest keeps the address that was made up for it; one that was asked for is the one
 * that it had, or that a clone is to have. */
static void net_state(struct virtio_dev *d, struct state *s)
{
	struct virtio_net *net = to_net(d);
	uint32_t active = net->active;
	uint8_t mac[ETH_ALEN];

	memcpy(mac, net->config.mac, sizeof(mac));
	state_bytes(s, mac, sizeof(mac));
	if (net->mac_is_made_up && !state_failed(s))
		memcpy(net->config.mac, mac, sizeof(mac));
	state_u32(s, &active);
	if (!state_loading(s) || state_failed(s) || !(d->status & VIRTIO_CONFIG_S_DRIVER_OK))
		return;
	if (active < 1 || active > net->backend->pairs || use_pairs(d, active) < 0)
		state_fail(s, "more pairs of queues than the interface has here");
}

static void net_destroy(struct virtio_dev *d)
{
	if (!d)
		return;
	net_mmds_destroy(to_net(d)->mmds);
	net_backend_destroy(to_net(d)->backend);
	free(to_net(d));
}

static const uint16_t net_queue_sizes[VIRTIO_MAX_QUEUES] = {
	[0 ... VIRTIO_MAX_QUEUES - 1] = NET_QUEUE_SIZE,
};

static const struct virtio_ops net_ops = {
	.name = "net",
	.id = VIRTIO_ID_NET,
	.nqueues = 2,
	.queue_sizes = net_queue_sizes,
	.config_len = offsetof(struct virtio_net_config, speed),
	.features = net_features,
	.config_read = net_config_read,
	.attach = net_attach,
	.detach = net_detach,
	.activate = net_activate,
	.kick = net_kick,
	.drain = net_drain,
	.quiesce = net_quiesce,
	.section = STATE_NET,
	.state = net_state,
	.destroy = net_destroy,
};

int virtio_net_create(const struct virtio_net_options *o, struct net_backend *b,
		      struct virtio_dev **ret)
{
	struct virtio_net *net = calloc(1, sizeof(*net));

	if (!net)
		return -ENOMEM;
	net->ops = net_ops;
	net->dev.ops = &net->ops;
	snprintf(net->id, sizeof(net->id), "%s", o->id);
	net->backend = b;
	net->config = (struct virtio_net_config){
		.status = VIRTIO_NET_S_LINK_UP,
		.max_virtqueue_pairs = 1,
		.mtu = o->mtu,
	};
	memcpy(net->config.mac, o->mac, ETH_ALEN);
	net->mac_is_made_up = o->mac_is_made_up;
	net_retry_init(&net->retry);
	throttle_init(&net->rx_throttle);
	throttle_init(&net->tx_throttle);
	throttle_configure(&net->rx_throttle, &o->rx);
	throttle_configure(&net->tx_throttle, &o->tx);
	*ret = &net->dev;
	return 0;
}

void virtio_net_set_vcpus(struct virtio_dev *d, unsigned vcpus)
{
	struct virtio_net *net = to_net(d);
	struct net_backend *b = net->backend;

	if (vcpus > 1 && b->ops->open_pairs)
		b->ops->open_pairs(b, vcpus < NET_MAX_PAIRS ? vcpus : NET_MAX_PAIRS);
	net->ops.nqueues = b->pairs > 1 ? 2 * b->pairs + 1 : 2;
	net->config.max_virtqueue_pairs = (uint16_t)b->pairs;
}

int virtio_net_set_mmds(struct virtio_dev *d, struct mmds *m, in_addr_t address)
{
	return net_mmds_create(m, address, &to_net(d)->mmds);
}

void virtio_net_set_limiters(struct virtio_dev *d, const struct limiter_config *rx,
			     const struct limiter_config *tx)
{
	struct virtio_net *net = to_net(d);

	pthread_mutex_lock(d->events->lock);
	throttle_configure(&net->rx_throttle, rx);
	throttle_configure(&net->tx_throttle, tx);
	pthread_mutex_unlock(d->events->lock);
}
