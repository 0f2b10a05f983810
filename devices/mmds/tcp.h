/* tcp.h - one TCP connection of the metadata service (RFC 9293), opened by the guest.
 *
 * The smallest that serves requests well: segments are taken in order alone, what a
 * guest may send is bounded by the room for a request, one answer at a time is sent, as
 * fast as the guest's window allows, and sent again from the first byte that was not
 * acknowledged when nothing comes back. There is no estimate of the round trip and no
 * congestion: the wire is a ring in memory.
 *
 * Knows neither addresses nor time: both are its caller's (endpoint.h). One thread.
 */
#ifndef DEVICES_MMDS_TCP_H
#define DEVICES_MMDS_TCP_H

#include "devices/mmds/segment.h"

enum {
	TCP_REQUEST_BYTES = 2500,  /* the longest request, and the window */
	TCP_MSS = 1460,		   /* of a frame of 1500 bytes */
	TCP_DEFAULT_MSS = 536,	   /* of a guest that gives none */
	TCP_MIN_MSS = 64,	   /* whatever it gives */
	TCP_RETRY_US = 200 * 1000, /* until something is sent again; doubles each time */
	TCP_MAX_RETRIES = 8,	   /* then the connection is given up */
	TCP_RETRY_MAX_SHIFT = 6,
};

enum tcp_state {
	TCP_FREE, /* no connection, or one that was reset or given up */
	TCP_SYN_RECEIVED,
	TCP_OPEN,
};

struct tcp {
	enum tcp_state state;

	/* What comes: a request, as far as it is here. */
	uint32_t received_next; /* RCV.NXT */
	bool ack_due, peer_finished;
	char request[TCP_REQUEST_BYTES];
	size_t request_len;

	/* What goes. The SYN stands before the first answer's first byte, our FIN behind
	 * the last one's last. */
	uint32_t sent_first; /* ISS */
	uint32_t acked;	     /* SND.UNA */
	uint32_t send_next;  /* SND.NXT; goes back to acked to send again */
	uint32_t sent_most;  /* how far it has been */
	uint32_t window;     /* the guest's, from acked on */
	uint16_t mss;	     /* the guest's */
	char *reply;	     /* owned; NULL: none */
	size_t reply_len;
	uint32_t reply_seq; /* of its first byte, or where the next one will begin */
	bool closing;	    /* a FIN follows the reply */

	uint64_t retry_us; /* when something is sent again; 0: nothing is under way */
	unsigned retries;
	bool probe; /* a byte more than the window has */
};

/* A guest's SYN, on a connection that is free. */
void tcp_open(struct tcp *c, const struct segment *syn, uint32_t first_seq, uint64_t now_us);

/* A segment of the guest's for it. */
void tcp_input(struct tcp *c, const struct segment *s, uint64_t now_us);

/* Drops the first bytes of the request. */
void tcp_consume(struct tcp *c, size_t len);

/* Sends this text, which it then owns, and with close nothing after it: what comes from
 * then on is ignored. Only when there is no other under way. */
void tcp_reply(struct tcp *c, char *text, size_t len, bool close, uint64_t now_us);

/* Both sides have finished, and know it of each other. */
bool tcp_is_done(const struct tcp *c);

/* It was answered, all of that is acknowledged, and no more is asked for yet. */
bool tcp_is_idle(const struct tcp *c);

/* When it has something to send: 0 is now, UINT64_MAX never. */
uint64_t tcp_due_us(const struct tcp *c);

/* The next segment, its ports left out; borrows the payload. False: nothing is to be
 * sent now, or it has given up and is free. */
bool tcp_output(struct tcp *c, uint64_t now_us, struct segment *ret);

/* Frees what it holds; the connection is free. Idempotent. */
void tcp_drop(struct tcp *c);

#endif
