/* lease.c - the rows of leases: who gets which address, and which ports of the host. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/books/quota.h"
#include "supervisor/books/store.h"
#include "supervisor/network/lease.h"

enum { PORT_MAX = 65535, PORT_UNPRIVILEGED = 1024 };

#define COLUMNS "n, instance, slot, network, place, rx_bytes_per_s, tx_bytes_per_s, egress"

/* --- what is asked for --- */

/* "8080:80", "5353:53/udp". */
static int parse_port(const char *text, struct lease_port *ret, struct error *err)
{
	unsigned long port, guest_port = 0;
	char *end;

	port = strtoul(text, &end, 10);
	if (*end == ':')
		guest_port = strtoul(end + 1, &end, 10);
	*ret = (struct lease_port){
		.protocol = strcmp(end, "/udp") == 0 ? IPPROTO_UDP : IPPROTO_TCP,
		.port = (uint16_t)port,
		.guest_port = (uint16_t)guest_port,
	};
	if (strspn(text, "0123456789:") == (size_t)(end - text) && port && guest_port &&
	    port <= PORT_MAX && guest_port <= PORT_MAX &&
	    (!*end || strcmp(end, "/udp") == 0 || strcmp(end, "/tcp") == 0))
		return 0;
	return error_set(err, -EINVAL, "publish", "HOST_PORT:GUEST_PORT, and /udp if it is that",
			 "\"%.23s\" cannot be published", text);
}

int lease_check(const struct lease_request *q, struct error *err)
{
	struct policy_rule rule;
	struct address address;
	struct lease_port port;
	int r = 0;

	if (q->address[0] && (address_parse(q->address, &address) < 0 || address.family != AF_INET))
		return error_set(err, -EINVAL, "address", "an address of IPv4",
				 "The address cannot be used");
	for (uint32_t i = 0; i < q->negress && r == 0; i++)
		r = policy_rule_parse(q->egress[i], &rule, err);
	for (uint32_t i = 0; i < q->npublish && r == 0; i++)
		r = parse_port(q->publish[i], &port, err);
	return r;
}

/* --- lists of networks --- */

bool lease_list_networks(const struct lease_request *q, unsigned count,
			 char ret[LEASE_NETWORKS_BYTES])
{
	size_t used = 0;

	ret[0] = '\0';
	for (unsigned i = 0; i < count; i++) {
		if (!instance_name_ok(q[i].network) || q[i].address[0])
			return false;
		used += (size_t)snprintf(ret + used, LEASE_NETWORKS_BYTES - used, "%s%s",
					 i ? " " : "", q[i].network);
	}
	return true;
}

bool lease_next_network(const char **list, char name[NAME_BYTES])
{
	size_t len = strcspn(*list, " ");

	snprintf(name, NAME_BYTES, "%.*s", (int)len, *list);
	*list += len + ((*list)[len] == ' ');
	return len > 0;
}

/* --- taking --- */

static int refuse_address(const struct network *n, struct error *err)
{
	char prefix[PREFIX_TEXT];

	return error_set(err, -EINVAL, "address", prefix_print(&n->prefix4, prefix),
			 "The address is not one for guests of network %s", n->name);
}

/* Behind the highest that is taken, while there are any; then the lowest gap: an address
 * that has become free is not at once another guest's. */
static int choose_place(struct truth *t, const struct network *n, int64_t *place, struct error *err)
{
	const int64_t end = (int64_t)prefix_size(&n->prefix4) - 1;
	int r = store_number(t->store, place, err,
			     "SELECT ifnull(max(place) + 1, ?2) FROM lease WHERE network = ?1",
			     "ii", n->n, (int64_t)NETWORK_FIRST_GUEST);

	if (r < 0 || *place < end)
		return r;
	r = store_number(t->store, place, err,
			 "SELECT min(p) FROM (SELECT ?2 AS p UNION ALL"
			 " SELECT place + 1 FROM lease WHERE network = ?1)"
			 " WHERE p NOT IN (SELECT place FROM lease WHERE network = ?1)",
			 "ii", n->n, (int64_t)NETWORK_FIRST_GUEST);
	if (r < 0 || *place < end)
		return r;
	return error_set(err, -EUSERS, "network", "delete instances, or make another network",
			 "All addresses of network %s are taken", n->name);
}

static int find_place(struct truth *t, const struct network *n, const struct lease_request *q,
		      int64_t *place, struct error *err)
{
	struct address wanted;

	if (!q->address[0])
		return choose_place(t, n, place, err);
	if (address_parse(q->address, &wanted) < 0 || !prefix_contains(&n->prefix4, &wanted))
		return refuse_address(n, err);
	*place = prefix_index(&n->prefix4, &wanted);
	if (*place < NETWORK_FIRST_GUEST || *place >= (int64_t)prefix_size(&n->prefix4) - 1)
		return refuse_address(n, err);
	return 0;
}

/* passt listens as a user without privileges. */
static int check_port(const struct network *n, const struct lease_port *port, struct error *err)
{
	if (n->bridge[0])
		return error_set(err, -EINVAL, "publish", "ask whoever has the bridge",
				 "The host is not the router of network %s", n->name);
	if (n->mode != NETWORK_PASST || port->port >= PORT_UNPRIVILEGED)
		return 0;
	return error_set(err, -EINVAL, "publish", "choose one from 1024 on",
			 "Port %u cannot be published by passt", port->port);
}

static int publish(struct truth *t, const struct network *n, int64_t lease,
		   const struct lease_request *q, struct error *err)
{
	for (uint32_t i = 0; i < q->npublish; i++) {
		struct lease_port port;
		int r = parse_port(q->publish[i], &port, err);

		if (r == 0)
			r = check_port(n, &port, err);
		if (r == 0)
			r = store_run(t->store, err, "INSERT INTO publication VALUES (?, ?, ?, ?)",
				      "iiii", (int64_t)port.protocol, (int64_t)port.port, lease,
				      (int64_t)port.guest_port);
		if (r == -EEXIST)
			return error_set(err, -EEXIST, "publish", "choose another",
					 "Port %u is published already", port.port);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The rules know a passt by its user, and him as one of one network (rules.h). */
static int check_alone(struct truth *t, const char *instance, const struct network *n,
		       struct error *err)
{
	int64_t others = 0;
	int r;

	if (n->mode != NETWORK_PASST)
		return 0;
	r = store_number(t->store, &others, err,
			 "SELECT count(*) FROM lease JOIN network ON network.n = lease.network"
			 " WHERE instance = ? AND mode = ?",
			 "ss", instance, network_mode_names[NETWORK_PASST]);
	if (r < 0 || !others)
		return r;
	return error_set(err, -EINVAL, "network", "choose networks of other modes for the others",
			 "Only one interface of an instance can be in a network of mode passt");
}

static int take_one(struct truth *t, const char *instance, const char *tenant,
		    const struct lease_request *q, unsigned slot, struct error *err)
{
	char egress[POLICY_TEXT_BYTES];
	int64_t place = 0, n = 0;
	struct network network;
	int r = network_find(t, tenant, q->network, &network, err);

	if (r == 0)
		r = check_alone(t, instance, &network, err);
	if (r == 0)
		r = find_place(t, &network, q, &place, err);
	if (r == 0)
		r = store_number(t->store, &n, err, "SELECT ifnull(max(n), 0) + 1 FROM lease", "");
	if (r < 0)
		return r;
	policy_join(q->egress, q->negress, egress);
	r = store_run(t->store, err,
		      "INSERT INTO lease (" COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?)", "isiiiiis",
		      n, instance, (int64_t)slot, network.n, place, (int64_t)q->rx_bytes_per_s,
		      (int64_t)q->tx_bytes_per_s, egress);
	if (r == -EEXIST)
		return error_set(err, -EEXIST, "address", "choose another, or none",
				 "%s is another instance's", q->address);
	return r < 0 ? r : publish(t, &network, n, q, err);
}

/* Of a blank's, which is as its network says. */
static int change_one(struct truth *t, const char *instance, const char *tenant,
		      const struct lease_request *q, unsigned slot, struct error *err)
{
	char egress[POLICY_TEXT_BYTES];
	struct network network;
	int64_t n = 0;
	int r;

	if (!q->negress && !q->npublish && !q->rx_bytes_per_s && !q->tx_bytes_per_s)
		return 0;
	r = network_find(t, tenant, q->network, &network, err);
	if (r == 0)
		r = store_number(t->store, &n, err,
				 "SELECT n FROM lease WHERE instance = ? AND slot = ?", "si",
				 instance, (int64_t)slot);
	if (r < 0)
		return r;
	policy_join(q->egress, q->negress, egress);
	r = store_run(t->store, err,
		      "UPDATE lease SET rx_bytes_per_s = ?, tx_bytes_per_s = ?, egress = ?"
		      " WHERE n = ?",
		      "iisi", (int64_t)q->rx_bytes_per_s, (int64_t)q->tx_bytes_per_s, egress, n);
	return r < 0 ? r : publish(t, &network, n, q, err);
}

bool lease_is_special(const struct lease *l)
{
	return l->nports || strcmp(l->egress, l->network.egress) != 0;
}

int lease_take(struct truth *t, const struct instance *i, const struct lease_request *q,
	       unsigned count, struct error *err)
{
	int64_t has = 0;
	int r = quota_hold(t, i->id, i->tenant, RESOURCE_ADDRESSES, count, err);

	if (r == 0)
		r = store_number(t->store, &has, err,
				 "SELECT count(*) FROM lease WHERE instance = ?", "s", i->id);
	for (unsigned slot = 0; slot < count && r == 0; slot++)
		r = has ? change_one(t, i->id, i->tenant, &q[slot], slot, err)
			: take_one(t, i->id, i->tenant, &q[slot], slot, err);
	return r;
}

int lease_prepare(struct truth *t, const char *instance, const char *tenant, const char *networks,
		  struct error *err)
{
	struct lease_request *q = calloc(1, sizeof(*q));
	unsigned slot = 0;
	int r = 0;

	if (!q)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	while (r == 0 && lease_next_network(&networks, q->network))
		r = take_one(t, instance, tenant, q, slot++, err);
	free(q);
	return r;
}

int lease_drop(struct truth *t, const struct instance *i, struct error *err)
{
	int r = store_run(t->store, err,
			  "DELETE FROM publication WHERE lease IN"
			  " (SELECT n FROM lease WHERE instance = ?)",
			  "s", i->id);

	if (r >= 0)
		r = store_run(t->store, err, "DELETE FROM lease WHERE instance = ?", "s", i->id);
	return r < 0 ? r : quota_hold(t, i->id, i->tenant, RESOURCE_ADDRESSES, 0, err);
}

/* --- reading --- */

static void read_row(const struct rows *r, struct lease *l)
{
	*l = (struct lease){
		.n = rows_int(r, 0),
		.slot = (unsigned)rows_int(r, 2),
		.network.n = rows_int(r, 3),
		.place = (uint32_t)rows_int(r, 4),
		.rx_bytes_per_s = rows_int(r, 5),
		.tx_bytes_per_s = rows_int(r, 6),
	};
	rows_text(r, 1, l->instance, sizeof(l->instance));
	rows_text(r, 7, l->egress, sizeof(l->egress));
}

static int read_ports(struct truth *t, struct lease *l, struct error *err)
{
	struct rows rows;
	int r = store_select(t->store, &rows, err,
			     "SELECT protocol, port, guest_port FROM publication WHERE lease = ?"
			     " ORDER BY protocol, port",
			     "i", l->n);

	if (r < 0)
		return r;
	while (l->nports < LEASE_PORTS_MAX && (r = rows_next(&rows, err)) > 0)
		l->ports[l->nports++] = (struct lease_port){
			.protocol = (int)rows_int(&rows, 0),
			.port = (uint16_t)rows_int(&rows, 1),
			.guest_port = (uint16_t)rows_int(&rows, 2),
		};
	rows_end(&rows);
	return r < 0 ? r : 0;
}

void lease_mac(const struct address *a, char mac[MAC_BYTES])
{
	const uint8_t *b = a->bytes;

	snprintf(mac, MAC_BYTES, "06:00:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3]);
}

void lease_link_local(const struct lease *l, char buf[ADDRESS_TEXT])
{
	const uint8_t *a = l->address4.bytes;
	struct address address = {
		.family = AF_INET6,
		.bytes = { 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x04, 0x00, a[0], 0xff, 0xfe, a[1], a[2],
			   a[3] },
	};

	address_print(&address, buf);
}

static int read_user(struct truth *t, struct lease *l, struct error *err)
{
	int64_t user = 0;
	int r = store_number(t->store, &user, err,
			     "SELECT ifnull(max(uid), 0) FROM uid_lease WHERE instance = ?", "s",
			     l->instance);

	l->user = (uid_t)user;
	return r;
}

/* What follows from the row: its names and addresses. */
static int complete(struct truth *t, struct lease *l, struct error *err)
{
	char tag[NETWORK_TAG_BYTES];
	int r = network_load(t, l->network.n, &l->network, err);

	if (r < 0)
		return r;
	network_tag(t, tag);
	snprintf(l->link, sizeof(l->link), "wt%.6s%x", tag, (unsigned)l->n & 0xfffffffU);
	l->address4 = prefix_address(&l->network.prefix4, l->place);
	l->address6 = prefix_address(&l->network.prefix6, l->place);
	lease_mac(&l->address4, l->mac);
	if (!l->egress[0])
		memcpy(l->egress, l->network.egress, sizeof(l->egress));
	r = read_user(t, l, err);
	return r < 0 ? r : read_ports(t, l, err);
}

int lease_load(struct truth *t, const char *instance, struct lease ret[LEASES_MAX],
	       struct error *err)
{
	struct rows rows;
	int count = 0;
	int r = store_select(t->store, &rows, err,
			     "SELECT " COLUMNS " FROM lease WHERE instance = ? ORDER BY slot", "s",
			     instance);

	if (r < 0)
		return r;
	while (count < LEASES_MAX && (r = rows_next(&rows, err)) > 0)
		read_row(&rows, &ret[count++]);
	rows_end(&rows);
	for (int i = 0; i < count && r >= 0; i++)
		r = complete(t, &ret[i], err);
	return r < 0 ? r : count;
}

/* Of a lease's instance; below 0: it is a blank's. */
#define STATE_OF "ifnull((SELECT state FROM instance WHERE id = lease.instance), -1)"

static bool is_alive(int64_t state)
{
	return state < 0 || (state < STATES_COUNT && states[state].alive);
}

int lease_each_alive(struct truth *t, lease_fn fn, void *ctx, struct error *err)
{
	struct rows rows;
	struct lease l;
	int r = store_select(t->store, &rows, err,
			     "SELECT " COLUMNS ", " STATE_OF " FROM lease ORDER BY n", "");

	if (r < 0)
		return r;
	while ((r = rows_next(&rows, err)) > 0) {
		if (!is_alive(rows_int(&rows, 8)))
			continue;
		read_row(&rows, &l);
		r = complete(t, &l, err);
		if (r == 0)
			r = fn(ctx, &l);
		if (r < 0)
			break;
	}
	rows_end(&rows);
	return r < 0 ? r : 0;
}

bool lease_may_live(struct truth *t, int64_t n)
{
	struct error err;
	int64_t state = 0;
	int r = store_number(t->store, &state, &err, "SELECT " STATE_OF " FROM lease WHERE n = ?",
			     "i", n);

	return r == -ENOENT ? false : r < 0 || is_alive(state);
}

/* --- showing --- */

static json_t *describe_ports(const struct lease *l)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < l->nports; i++) {
		char text[LEASE_PORT_BYTES];

		snprintf(text, sizeof(text), "%u:%u%s", l->ports[i].port, l->ports[i].guest_port,
			 l->ports[i].protocol == IPPROTO_UDP ? "/udp" : "");
		json_array_append_new(list, json_string(text));
	}
	return list;
}

static json_t *describe(const struct lease *l)
{
	char address4[ADDRESS_TEXT], address6[ADDRESS_TEXT];

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:I, s:I}", "instance",
			 l->instance, "network", l->network.name, "address4",
			 address_print(&l->address4, address4), "address6",
			 address_print(&l->address6, address6), "mac", l->mac, "link", l->link,
			 "egress", network_egress_list(l->egress), "published", describe_ports(l),
			 "rx_bytes_per_s", (json_int_t)l->rx_bytes_per_s, "tx_bytes_per_s",
			 (json_int_t)l->tx_bytes_per_s);
}

json_t *lease_list(struct truth *t, const char *instance, int64_t network, struct error *err)
{
	json_t *list = json_array();
	struct rows rows;
	struct lease l;
	int r = store_select(t->store, &rows, err,
			     "SELECT " COLUMNS " FROM lease WHERE ifnull(?1, instance) = instance"
			     " AND (?1 IS NOT NULL OR network = ?2) ORDER BY n",
			     "si", instance, network);

	if (r < 0) {
		json_decref(list);
		return NULL;
	}
	while ((r = rows_next(&rows, err)) > 0) {
		read_row(&rows, &l);
		r = complete(t, &l, err);
		if (r < 0)
			break;
		json_array_append_new(list, describe(&l));
	}
	rows_end(&rows);
	if (r == 0)
		return list;
	json_decref(list);
	return NULL;
}
