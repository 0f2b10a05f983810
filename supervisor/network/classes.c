/* classes.c - the text of two chains a tap, and the kernel's counters by nfnetlink.
 *
 * The kernel shows a frame that comes in from behind its Ethernet header, and one that goes out
 * with it: what is read is mended by that.
 */
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>

#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdbool.h>
#include <stdio.h>

#include "supervisor/network/classes.h"

enum { NAME_OF_OBJECT_BYTES = 40 };

static const char *const counter_names[] = { "in_world", "out_world", "in_internal",
					     "out_internal" };

enum { COUNTERS = sizeof(counter_names) / sizeof(counter_names[0]) };

/* --- text --- */

/* Sets with names, for all taps: nft asks the kernel for each set without one before it does
 * anything. Who is near is never in the world. */
static const struct {
	const char *name, *type;
} sets[] = {
	{ "inside4", "ipv4_addr; flags interval" },
	{ "inside6", "ipv6_addr; flags interval" },
	{ "near_from6", "ipv6_addr; flags interval; elements = { ::, fe80::/10 }" },
	{ "near_to6", "ipv6_addr; flags interval; elements = { ::, fe80::/10, ff00::/8 }" },
	{ "host_from4", "fib_addrtype; elements = { local, broadcast }" },
	{ "host_to4", "fib_addrtype; elements = { local, broadcast, multicast }" },
	{ "host_to6", "fib_addrtype; elements = { local, anycast }" },
};

void classes_print_base(const char *tag, FILE *out)
{
	fprintf(out, "add table netdev wispd_%s\n", tag);
	for (unsigned i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		fprintf(out, "add set netdev wispd_%s %s { type %s; }\n", tag, sets[i].name,
			sets[i].type);
}

static void print_network(const char *verb, const char *tag, const struct network *n, FILE *out)
{
	char prefix[PREFIX_TEXT];

	prefix_print(&n->prefix4, prefix);
	fprintf(out, "%s element netdev wispd_%s inside4 { %s }\n", verb, tag, prefix);
	prefix_print(&n->prefix6, prefix);
	if (prefix[0])
		fprintf(out, "%s element netdev wispd_%s inside6 { %s }\n", verb, tag, prefix);
}

void classes_print_network(const char *tag, const struct network *n, FILE *out)
{
	print_network("add", tag, n, out);
}

void classes_forget_networks(const char *tag, FILE *out)
{
	fprintf(out,
		"flush set netdev wispd_%s inside4\n"
		"flush set netdev wispd_%s inside6\n",
		tag, tag);
}

void classes_remove_network(const char *tag, const struct network *n, FILE *out)
{
	print_network("add", tag, n, out);
	print_network("delete", tag, n, out);
}

static void print_counters(const char *verb, const char *tag, long long n, FILE *out)
{
	for (unsigned c = 0; c < COUNTERS; c++)
		fprintf(out, "%s counter netdev wispd_%s %s_%lld\n", verb, tag, counter_names[c],
			n);
}

/* "!= local" of an address that the host cannot reach holds, too: it is the world's. */
static void print_chains(const char *tag, long long n, FILE *out)
{
	fprintf(out,
		"flush chain netdev wispd_%s to_%lld\n"
		"flush chain netdev wispd_%s from_%lld\n"
		"table netdev wispd_%s {\n",
		tag, n, tag, n, tag);
	fprintf(out,
		"	chain to_%lld {\n"
		"		ip saddr != @inside4 ip saddr != 169.254.0.0/16"
		" fib saddr type != @host_from4 counter name in_world_%lld accept\n"
		"		ip6 saddr != @inside6 ip6 saddr != @near_from6"
		" fib saddr type != local counter name in_world_%lld accept\n"
		"		counter name in_internal_%lld\n"
		"	}\n",
		n, n, n, n);
	fprintf(out,
		"	chain from_%lld {\n"
		"		ip daddr != @inside4 ip daddr != 169.254.0.0/16"
		" fib daddr type != @host_to4"
		" counter name out_world_%lld accept\n"
		"		ip6 daddr != @inside6 ip6 daddr != @near_to6"
		" fib daddr type != @host_to6 counter name out_world_%lld accept\n"
		"		counter name out_internal_%lld\n"
		"	}\n"
		"}\n",
		n, n, n, n);
}

void classes_print_lease(const char *tag, const struct lease *l, FILE *out)
{
	const long long n = l->n;

	print_counters("add", tag, n, out);
	fprintf(out,
		"add chain netdev wispd_%s to_%lld"
		" { type filter hook egress device \"%s\" priority 0; }\n"
		"add chain netdev wispd_%s from_%lld"
		" { type filter hook ingress device \"%s\" priority 0; }\n",
		tag, n, l->link, tag, n, l->link);
	print_chains(tag, n, out);
}

/* Some kernels have taken the chains away with the tap. */
void classes_remove_lease(const char *tag, const struct lease *l, FILE *out)
{
	static const char *const verbs[] = { "add", "flush", "delete" };
	const long long n = l->n;

	for (unsigned v = 0; v < sizeof(verbs) / sizeof(verbs[0]); v++)
		fprintf(out,
			"%s chain netdev wispd_%s to_%lld\n%s chain netdev wispd_%s from_%lld\n",
			verbs[v], tag, n, verbs[v], tag, n);
	print_counters("add", tag, n, out);
	print_counters("delete", tag, n, out);
}

void classes_remove_all(const char *tag, FILE *out)
{
	fprintf(out, "add table netdev wispd_%s\ndelete table netdev wispd_%s\n", tag, tag);
}

/* --- reading --- */

struct reading {
	bool there;
	int64_t packets, bytes;
};

static int64_t number(struct nlattr *a)
{
	return a && nla_len(a) == sizeof(uint64_t) ? (int64_t)be64toh(nla_get_u64(a)) : 0;
}

static int on_object(struct nl_msg *msg, void *arg)
{
	struct nlattr *of_object[NFTA_OBJ_MAX + 1], *of_counter[NFTA_COUNTER_MAX + 1];
	struct reading *ret = arg;

	if (nlmsg_parse(nlmsg_hdr(msg), sizeof(struct nfgenmsg), of_object, NFTA_OBJ_MAX, NULL) <
		    0 ||
	    !of_object[NFTA_OBJ_DATA] ||
	    nla_parse_nested(of_counter, NFTA_COUNTER_MAX, of_object[NFTA_OBJ_DATA], NULL) < 0)
		return NL_SKIP;
	*ret = (struct reading){ true, number(of_counter[NFTA_COUNTER_PACKETS]),
				 number(of_counter[NFTA_COUNTER_BYTES]) };
	return NL_OK;
}

static int ask(struct nl_sock *s, const char *table, const char *name)
{
	const struct nfgenmsg family = { .nfgen_family = NFPROTO_NETDEV };
	struct nl_msg *msg =
		nlmsg_alloc_simple(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETOBJ, NLM_F_REQUEST);
	int r = -NLE_NOMEM;

	if (msg && nlmsg_append(msg, (void *)&family, sizeof(family), NLMSG_ALIGNTO) == 0 &&
	    nla_put_string(msg, NFTA_OBJ_TABLE, table) == 0 &&
	    nla_put_string(msg, NFTA_OBJ_NAME, name) == 0 &&
	    nla_put_u32(msg, NFTA_OBJ_TYPE, htobe32(NFT_OBJECT_COUNTER)) == 0)
		r = nl_send_auto(s, msg);
	nlmsg_free(msg);
	return r;
}

static int read_one(struct nl_sock *s, const char *tag, const char *counter, int64_t n,
		    struct reading *ret)
{
	char table[NAME_OF_OBJECT_BYTES], name[NAME_OF_OBJECT_BYTES];
	int r;

	snprintf(table, sizeof(table), "wispd_%s", tag);
	snprintf(name, sizeof(name), "%s_%lld", counter, (long long)n);
	*ret = (struct reading){ 0 };
	r = nl_socket_modify_cb(s, NL_CB_VALID, NL_CB_CUSTOM, on_object, ret);
	if (r == 0)
		r = ask(s, table, name);
	if (r >= 0)
		r = nl_recvmsgs_default(s);
	return r == 0 && !ret->there ? -NLE_OBJ_NOTFOUND : r;
}

static int open_socket(struct class_reader *r)
{
	int e;

	if (r->socket)
		return 0;
	r->socket = nl_socket_alloc();
	e = r->socket ? nl_connect(r->socket, NETLINK_NETFILTER) : -NLE_NOMEM;
	if (r->socket)
		nl_socket_disable_auto_ack(r->socket);
	return e;
}

static void close_socket(struct class_reader *r)
{
	nl_socket_free(r->socket);
	r->socket = NULL;
}

void class_reader_init(struct class_reader *r)
{
	*r = (struct class_reader){ .lock = PTHREAD_MUTEX_INITIALIZER };
	if (open_socket(r) < 0)
		close_socket(r);
}

void class_reader_clear(struct class_reader *r)
{
	close_socket(r);
	pthread_mutex_destroy(&r->lock);
}

/* What an answer that was not understood has left behind goes with the socket. */
static int read_all(struct class_reader *r, const char *tag, int64_t n,
		    struct reading read[COUNTERS])
{
	int e;

	pthread_mutex_lock(&r->lock);
	e = open_socket(r);
	for (unsigned c = 0; c < COUNTERS && e == 0; c++)
		e = read_one(r->socket, tag, counter_names[c], n, &read[c]);
	if (e < 0 && e != -NLE_OBJ_NOTFOUND)
		close_socket(r);
	pthread_mutex_unlock(&r->lock);
	return e;
}

int classes_read(struct class_reader *r, const char *tag, const struct lease *l,
		 struct class_counters *ret, struct error *err)
{
	struct reading read[COUNTERS] = { 0 };
	int e = read_all(r, tag, l->n, read);

	if (e < 0)
		return error_set(err, e == -NLE_OBJ_NOTFOUND ? -ENOENT : -EIO, "network", NULL,
				 "Cannot read the counters of %s: %s", l->link, nl_geterror(e));
	*ret = (struct class_counters){
		.in_world = read[0].bytes,
		.out_world = read[1].bytes + read[1].packets * ETH_HLEN,
		.in_internal = read[2].bytes,
		.out_internal = read[3].bytes + read[3].packets * ETH_HLEN,
	};
	return 0;
}
