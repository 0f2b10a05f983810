/* mmds.h - the metadata service: what it knows, and how it answers a guest's requests.
 *
 * One for a machine; the endpoints of its network interfaces (endpoint.h) share it. The
 * protocol is that of Firecracker's MMDS, versions 1 and 2, which is that of EC2's IMDS.
 * Main thread.
 */
#ifndef DEVICES_MMDS_MMDS_H
#define DEVICES_MMDS_MMDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mmds;

/* MMDS_V2 answers no request for data without a session token. */
enum mmds_version { MMDS_V1, MMDS_V2 };

/* What has happened on all interfaces since the service was made. */
struct mmds_counters {
	uint64_t rx_count;	      /* frames for the service */
	uint64_t rx_accepted;	      /* that were ARP or IPv4 */
	uint64_t rx_accepted_err;     /* of them broken or not for anyone here */
	uint64_t rx_accepted_unusual; /* not TCP */
	uint64_t rx_bad_eth;	      /* too short for what they say they are */
	uint64_t rx_no_token;	      /* requests without a token */
	uint64_t rx_invalid_token;
	uint64_t tx_count;  /* frames made */
	uint64_t tx_frames; /* given to the guest */
	uint64_t tx_bytes;
	uint64_t tx_errors;
	uint64_t connections_created, connections_destroyed;
};

/* Version 1 and no data. 0 and *ret, or -ENOMEM. */
int mmds_create(size_t limit_bytes, struct mmds **ret);
void mmds_destroy(struct mmds *m); /* accepts NULL */

/* imds_compat: the answer to every request for data is text. */
void mmds_configure(struct mmds *m, enum mmds_version version, bool imds_compat);

/* As data.h's. */
int mmds_put(struct mmds *m, json_t *data);
int mmds_patch(struct mmds *m, const json_t *patch);
const json_t *mmds_data(const struct mmds *m); /* NULL: never put */

/* What it once knew, or NULL, again. */
void mmds_reset(struct mmds *m, json_t *data);

struct mmds_counters *mmds_counters(struct mmds *m);

struct mmds_answer {
	char *text; /* to be freed; NULL when memory is short */
	size_t len;
	bool close; /* no other request can follow */
};

/* Answers the request at the start of these bytes; how many of them it took. 0: it has
 * not all come yet, which is refused when `full` says that there is no room for more. */
size_t mmds_answer(struct mmds *m, const char *bytes, size_t len, bool full, uint64_t now_us,
		   struct mmds_answer *ret);

#endif
