/* net.c - a network interface (virtio 1.2, section 5.1).
 *
 * Pairs of queues, one a vCPU: an even queue receives, the next odd one transmits; with
 * more than one pair a control queue comes last. A back end (net_backend.h) carries the
 * frames. Data moves between it and guest memory on the very spans of the driver's
 * buffers. Each pair may have a thread of its own (lanes.h); what the control queue is
 * asked for is done while all of them stand still.
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
#include "devices/virtio/net_device.h"
#include "devices/virtio/net_greeting.h"
#include "vmm/base/log.h"

#define BIT(n) (UINT64_C(1) << (n))

enum { NET_QUEUE_SIZE = 256 };

static struct virtio_net *to_net(const struct virtio_dev *d)
{
	return container_of(d, struct virtio_net, dev);
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
			net_rx_give_back(&p->rx, net_pair_rx(p));
		net_pair_watch(p);
	}
	net->active = n;
	return 0;
}

/* --- turns --- */

static bool net_needs_all(const struct virtio_dev *d, unsigned queue)
{
	return net_control_is_at(d, to_net(d)->backend->pairs, queue);
}

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
	left = queue % 2 ? net_pair_transmit(p) : net_pair_receive(p);
	net_pair_watch(p);
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
	net_pair_watch(p);
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

/* Those that the limiter refused, on whichever thread they are. */
static bool on_rx_admission(void *arg, uint32_t events)
{
	struct virtio_net *net = arg;

	(void)events;
	for (unsigned i = 0; i < net->active; i++)
		virtio_dev_poke(&net->dev, 2 * i);
	return false;
}

static bool on_tx_admission(void *arg, uint32_t events)
{
	struct virtio_net *net = arg;

	(void)events;
	for (unsigned i = 0; i < net->active; i++)
		virtio_dev_poke(&net->dev, 2 * i + 1);
	return false;
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
	p->lane = i % net->dev.events->lanes;
	return virtio_watch_create_on(net->dev.events, p->lane, net->backend->fd[i], 0, on_backend,
				      p, &p->watch);
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
	net_greet(net->backend, net->config.mac);
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
	/* One that can come back is none that the host's bridge learns for. */
	if (r == 0 && net->backend->ops->reconnect)
		net_greet(net->backend, net->config.mac);
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
		net_rx_give_back(&net->pair[i].rx, net_pair_rx(&net->pair[i]));
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
	.lane_queues = 2,
	.queue_sizes = net_queue_sizes,
	.config_len = offsetof(struct virtio_net_config, speed),
	.features = net_features,
	.config_read = net_config_read,
	.attach = net_attach,
	.detach = net_detach,
	.activate = net_activate,
	.kick = net_kick,
	.needs_all = net_needs_all,
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
	struct virtio_net *net = to_net(d);

	/* The service's data is the main thread's, and so are all pairs then. */
	net->ops.lane_queues = 0;
	return net_mmds_create(m, address, &net->mmds);
}

void virtio_net_set_limiters(struct virtio_dev *d, const struct limiter_config *rx,
			     const struct limiter_config *tx)
{
	struct virtio_net *net = to_net(d);

	virtio_events_lock(d->events);
	throttle_configure(&net->rx_throttle, rx);
	throttle_configure(&net->tx_throttle, tx);
	virtio_events_unlock(d->events);
}
