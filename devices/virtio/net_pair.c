/* net_pair.c - the frames of a pair of queues of a network interface (net.c has the theory).
 *
 * Pairs are served at the same time, each with its lane's lock. What they share is the
 * rate limiters, which have a lock, the configuration and the driver's features, which only
 * change while all lanes stand still, and whether the back end is gone: the pair that finds
 * it out first says so.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "devices/virtio/net_device.h"
#include "devices/virtio/net_header.h"
#include "vmm/base/clock.h"
#include "vmm/base/log.h"

enum { NET_BURST = 64, NET_BURST_BYTES = 1 << 20 };

void net_pair_watch(struct net_pair *p)
{
	const struct net_backend *b = p->net->backend;
	bool out = p->tx_waits || (p->index == 0 && b->left_over);
	uint32_t events = (p->rx_waits ? EPOLLIN : 0u) | (out ? EPOLLOUT : 0u);

	if (p->watch)
		virtio_watch_set(p->watch, net_is_gone(p->net) ? 0 : events);
}

static void backend_gone(struct virtio_net *net, int why)
{
	if (__atomic_exchange_n(&net->gone, true, __ATOMIC_RELAXED))
		return;
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

	if (!net_rx_gather(rx, net_pair_rx(p), merge,
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
		virtq_counters(net_pair_rx(p))->errors++;
	return true;
}

/* Gives the frame in hand to the driver. Its length; 0: not yet. */
static size_t rx_give(struct net_pair *p, uint64_t now_us)
{
	struct virtio_net *net = p->net;
	size_t len = p->rx.frame;

	if (!throttle_admit(&net->rx_throttle, len - NET_HEADER_BYTES, now_us))
		return 0;
	net_rx_deliver(&p->rx, net_pair_rx(p));
	virtq_counters(net_pair_rx(p))->read_bytes += len - NET_HEADER_BYTES;
	return len;
}

bool net_pair_receive(struct net_pair *p)
{
	struct virtio_net *net = p->net;
	uint64_t now_us = clock_now_us();
	size_t bytes = 0;
	bool left = false;

	p->rx_waits = false;
	for (int frames = 1; !left && !net_is_gone(net) && !throttle_waits(&net->rx_throttle);
	     frames++) {
		if (p->rx.frame == 0 && !rx_read(p))
			break;
		if (p->rx.frame > 0)
			bytes += rx_give(p, now_us);
		left = frames == NET_BURST || bytes >= NET_BURST_BYTES;
	}
	virtq_publish(net_pair_rx(p));
	loop_moved(net->dev.events->lane[p->lane].loop, bytes, now_us);
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
	struct virtio_counters *c = virtq_counters(net_pair_tx(p));
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
		r = net_is_gone(net) ? -ENOTCONN : tx_send(p, &req->out, &head);
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
	if (virtq_pop_into(net_pair_tx(p), req, p->tx_spans + 1) <= 0)
		return false;
	if (req->in.len == 0 && req->out.len >= NET_HEADER_BYTES)
		return true;
	virtio_dev_fail(&p->net->dev, "network frame without a header, or in a writable buffer");
	return false;
}

bool net_pair_transmit(struct net_pair *p)
{
	struct virtio_net *net = p->net;
	struct virtq *q = net_pair_tx(p);
	uint64_t now_us = clock_now_us();
	size_t bytes = 0;
	struct virtq_req req;
	bool left = false;

	p->tx_waits = false;
	for (int frames = 1; !left && !throttle_waits(&net->tx_throttle) && tx_pop(p, &req);
	     frames++) {
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
	loop_moved(net->dev.events->lane[p->lane].loop, bytes, now_us);
	return left;
}
