/* classes.h - of what passes by a guest's tap, how much is with the world and how much within.
 *
 * Each tap has two chains of nftables' family netdev in a table "wispd_TAG" of their own. They see
 * every frame that the tap gives and takes, refused or not, and count it by the address at its
 * other end, in one of four named counters:
 *
 *	world		addresses of neither one of wispd's networks nor the host
 *	internal	all else: guests, gateways, the host itself, links' own protocols
 *
 * They decide nothing. The table stays when the others are made anew (rules.h), so that what it
 * has counted stays; the counters of a tap go with its lease's rules. A kernel before 5.16, which
 * has no such chains for what is sent, refuses the text, and nothing is counted then.
 *
 * Texts for nft (nft.h). Any thread.
 */
#ifndef SUPERVISOR_NETWORK_CLASSES_H
#define SUPERVISOR_NETWORK_CLASSES_H

#include <pthread.h>
#include <stdio.h>

#include "supervisor/network/lease.h"

struct nl_sock;

/* The table with its sets: made if it is missing. */
void classes_print_base(const char *tag, FILE *out);
/* What is within: its prefixes. */
void classes_print_network(const char *tag, const struct network *n, FILE *out);
/* Of a tap that is there; what was counted stays. */
void classes_print_lease(const char *tag, const struct lease *l, FILE *out);

/* Behind the base; what is not there is added first. */
void classes_forget_networks(const char *tag, FILE *out);
void classes_remove_network(const char *tag, const struct network *n, FILE *out);
void classes_remove_lease(const char *tag, const struct lease *l, FILE *out);
/* The table, whether it is there or not. */
void classes_remove_all(const char *tag, FILE *out);

/* Bytes of whole frames since the counters were made, seen from the guest. */
struct class_counters {
	int64_t in_world, out_world, in_internal, out_internal;
};

/* By netlink, and one socket that is kept: to close one waits for what the kernel has to do after
 * each transaction of nft's, whoever made it. */
struct class_reader {
	pthread_mutex_t lock;
	struct nl_sock *socket; /* under lock; NULL: not open */
};

void class_reader_init(struct class_reader *r);
void class_reader_clear(struct class_reader *r);
/* Any thread. -ENOENT: nobody counts them. */
int classes_read(struct class_reader *r, const char *tag, const struct lease *l,
		 struct class_counters *ret, struct error *err);

#endif
