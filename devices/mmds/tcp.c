/* tcp.c - one TCP connection of the metadata service, opened by the guest.
 *
 * Sequence numbers wrap, so they are compared by their distance. The invariant, in that
 * arithmetic: acked <= send_next <= sent_most <= the end of the reply and its FIN, and
 * reply_seq <= acked but for the SYN.
 *
 * What a guest can do: send segments out of order, of all lengths, beyond the window,
 * with any acknowledgement and flags. What lies outside is answered with what we expect
 * and otherwise ignored (3.10.7.4; RFC 5961 for SYN and RST), so a stranger's segment ends
 * no connection. It can close its window: then one byte goes out from time to time.
 */
#include <stdlib.h>
#include <string.h>

#include "devices/mmds/tcp.h"

/* How far a is behind b; negative before it. */
static int32_t distance(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

static uint32_t reply_end(const struct tcp *c)
{
	return c->reply_seq + (uint32_t)c->reply_len;
}

/* Behind all that there is to send. */
static uint32_t send_end(const struct tcp *c)
{
	return reply_end(c) + c->closing;
}

static size_t room(const struct tcp *c)
{
	return sizeof(c->request) - c->request_len;
}

void tcp_drop(struct tcp *c)
{
	free(c->reply);
	*c = (struct tcp){ .state = TCP_FREE };
}

/* As long as something is not sent or not acknowledged. */
static void set_retry(struct tcp *c, uint64_t now_us)
{
	unsigned shift = c->retries < TCP_RETRY_MAX_SHIFT ? c->retries : TCP_RETRY_MAX_SHIFT;

	if (c->acked == send_end(c))
		c->retry_us = 0;
	else if (c->retry_us == 0)
		c->retry_us = now_us + ((uint64_t)TCP_RETRY_US << shift);
}

static uint16_t clamp_mss(uint16_t given)
{
	if (given == 0)
		return TCP_DEFAULT_MSS;
	return given < TCP_MIN_MSS ? TCP_MIN_MSS : given > TCP_MSS ? TCP_MSS : given;
}

void tcp_open(struct tcp *c, const struct segment *syn, uint32_t first_seq, uint64_t now_us)
{
	*c = (struct tcp){
		.state = TCP_SYN_RECEIVED,
		.received_next = syn->seq + 1,
		.sent_first = first_seq,
		.acked = first_seq,
		.send_next = first_seq,
		.sent_most = first_seq,
		.window = syn->window ? syn->window : 1, /* for our SYN */
		.mss = clamp_mss(syn->mss),
		.reply_seq = first_seq + 1,
	};
	set_retry(c, now_us);
}

/* --- what comes --- */

/* Another SYN: ours was lost, or it is from someone else. */
static void syn_again(struct tcp *c, const struct segment *s)
{
	if (c->state == TCP_SYN_RECEIVED && s->seq + 1 == c->received_next)
		c->send_next = c->acked;
	else
		c->ack_due = true;
}

static void reset(struct tcp *c, const struct segment *s)
{
	int32_t ahead = distance(s->seq, c->received_next);

	if (ahead == 0)
		tcp_drop(c);
	else if (ahead > 0 && (size_t)ahead < room(c))
		c->ack_due = true;
}

static void release_reply(struct tcp *c)
{
	c->reply_seq = reply_end(c);
	free(c->reply);
	c->reply = NULL;
	c->reply_len = 0;
}

static void advance(struct tcp *c, uint32_t ack)
{
	c->acked = ack;
	if (distance(c->send_next, ack) < 0)
		c->send_next = ack;
	if (c->reply && distance(ack, reply_end(c)) >= 0)
		release_reply(c);
	c->probe = false;
	c->retry_us = 0;
}

/* False when the segment is not of this connection. */
static bool take_ack(struct tcp *c, const struct segment *s)
{
	if (distance(s->ack, c->sent_most) > 0) {
		c->ack_due = c->state == TCP_OPEN;
		return false;
	}
	if (c->state == TCP_SYN_RECEIVED && s->ack != c->sent_first + 1)
		return false;
	c->state = TCP_OPEN;
	c->retries = 0;
	if (distance(s->ack, c->acked) < 0)
		return true;
	if (s->ack != c->acked)
		advance(c, s->ack);
	c->window = s->window;
	return true;
}

/* As much as there is room for; once closing, all of it into the void. */
static size_t store(struct tcp *c, const char *data, size_t len)
{
	if (c->closing)
		return len;
	if (len > room(c))
		len = room(c);
	memcpy(c->request + c->request_len, data, len);
	c->request_len += len;
	return len;
}

static void take_payload(struct tcp *c, const struct segment *s)
{
	bool fin = (s->flags & SEGMENT_FIN) && !s->cut;
	int32_t old = distance(c->received_next, s->seq);
	size_t n;

	/* Also what keeps a connection alive: a segment from before, with nothing. */
	c->ack_due = c->ack_due || s->len > 0 || fin || old != 0;
	if (old < 0 || (size_t)old >= s->len + fin || c->peer_finished)
		return;
	n = store(c, (const char *)s->payload + old, s->len - (size_t)old);
	c->received_next += (uint32_t)n;
	if (fin && (size_t)old + n == s->len) {
		c->received_next++;
		c->peer_finished = true;
	}
}

void tcp_input(struct tcp *c, const struct segment *s, uint64_t now_us)
{
	if (s->flags & SEGMENT_RST) {
		reset(c, s);
		return;
	}
	if (s->flags & SEGMENT_SYN) {
		syn_again(c, s);
		return;
	}
	if (!(s->flags & SEGMENT_ACK) || !take_ack(c, s))
		return;
	take_payload(c, s);
	set_retry(c, now_us);
}

void tcp_consume(struct tcp *c, size_t len)
{
	c->request_len -= len;
	memmove(c->request, c->request + len, c->request_len);
}

/* --- what goes --- */

void tcp_reply(struct tcp *c, char *text, size_t len, bool close, uint64_t now_us)
{
	c->reply = text;
	c->reply_len = len;
	c->closing = close;
	if (close)
		c->request_len = 0;
	set_retry(c, now_us);
}

bool tcp_is_done(const struct tcp *c)
{
	return c->closing && c->acked == send_end(c) && c->peer_finished && !c->ack_due;
}

bool tcp_is_idle(const struct tcp *c)
{
	bool answered = c->reply_seq != c->sent_first + 1;

	return answered && c->acked == send_end(c) && c->request_len == 0;
}

/* How much of sequence space may go now, and is there. */
static uint32_t sendable(const struct tcp *c)
{
	uint32_t there = send_end(c) - c->send_next;
	int32_t allowed = distance(c->acked + c->window, c->send_next);

	if (allowed <= 0)
		return c->probe && c->send_next == c->acked && there > 0 ? 1 : 0;
	return there < (uint32_t)allowed ? there : (uint32_t)allowed;
}

uint64_t tcp_due_us(const struct tcp *c)
{
	if (c->state == TCP_FREE)
		return UINT64_MAX;
	if (c->ack_due || sendable(c) > 0)
		return 0;
	return c->retry_us ? c->retry_us : UINT64_MAX;
}

/* The time to hear of it is over: from the start again, or no more. */
static void retry(struct tcp *c, uint64_t now_us)
{
	if (++c->retries > TCP_MAX_RETRIES) {
		tcp_drop(c);
		return;
	}
	c->send_next = c->acked;
	c->probe = true;
	c->retry_us = 0;
	set_retry(c, now_us);
}

static void fill_syn(struct tcp *c, struct segment *s)
{
	s->flags = SEGMENT_SYN | SEGMENT_ACK;
	s->mss = TCP_MSS;
	c->send_next++;
}

static void fill_data(struct tcp *c, struct segment *s)
{
	uint32_t most = sendable(c), data = reply_end(c) - c->send_next;

	s->flags = SEGMENT_ACK;
	if (c->send_next == send_end(c))
		data = 0; /* behind the FIN */
	s->len = data < most ? data : most;
	if (s->len > c->mss)
		s->len = c->mss;
	if (s->len > 0)
		s->payload = c->reply + (c->send_next - c->reply_seq);
	if (s->len > 0 && s->len == data)
		s->flags |= SEGMENT_PSH;
	c->send_next += (uint32_t)s->len;
	if (c->closing && c->send_next == reply_end(c) && most > s->len) {
		s->flags |= SEGMENT_FIN;
		c->send_next++;
	}
}

bool tcp_output(struct tcp *c, uint64_t now_us, struct segment *ret)
{
	if (c->state != TCP_FREE && c->retry_us && now_us >= c->retry_us)
		retry(c, now_us);
	if (c->state == TCP_FREE || tcp_due_us(c) != 0)
		return false;
	*ret = (struct segment){
		.seq = c->send_next,
		.ack = c->received_next,
		.window = (uint16_t)room(c),
	};
	if (c->send_next == c->sent_first && c->state == TCP_SYN_RECEIVED)
		fill_syn(c, ret);
	else
		fill_data(c, ret);
	if (distance(c->send_next, c->sent_most) > 0)
		c->sent_most = c->send_next;
	c->ack_due = false;
	return true;
}
