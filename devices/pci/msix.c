/* msix.c - MSI-X: messages in, KVM's routes out.
 *
 * A guest writes its table while it sets the device up, a vector at a time and each
 * several times, and a change of KVM's routes costs a grace period. But a message
 * only matters when it can be sent: the vector is unmasked, MSI-X is on, and the
 * device is live. So writes go to the table alone; when a device becomes live all
 * of its vectors are told at once, and afterwards only a vector that is unmasked
 * with another message than KVM has is worth a call. Masking is none: a masked
 * vector's eventfd is simply not signalled.
 *
 * With a device that another process serves, that process signals the eventfds and
 * knows of no mask. There a masked vector has no route, so that what is signalled
 * leads nowhere, and unmasking delivers one interrupt in case it was. The driver
 * then looks at its queue in vain, at worst.
 *
 * What a guest can do wrong: any message to itself. KVM takes each as it is.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "devices/pci/msix.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

/* A row of the table, as it lies there. */
struct entry {
	uint32_t address_low, address_high, data, control;
};

_Static_assert(sizeof(struct entry) == MSIX_ENTRY_LEN, "as PCI lays it out");

struct msix {
	const struct msix_ops *ops;
	void *ctx;
	unsigned vectors;
	bool remote, live;
	uint16_t flags;		/* of Message Control */
	uint64_t pending, open; /* a bit a vector; open: could be delivered */
	int fd[MSIX_MAX_VECTORS];
	struct entry entry[MSIX_MAX_VECTORS];
	struct msix_route known[MSIX_MAX_VECTORS]; /* to KVM */
};

static uint64_t bit(unsigned v)
{
	return UINT64_C(1) << v;
}

int msix_create(unsigned vectors, bool remote, const struct msix_ops *ops, void *ctx,
		struct msix **ret)
{
	struct msix *m;

	if (vectors == 0 || vectors > MSIX_MAX_VECTORS)
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->ops = ops;
	m->ctx = ctx;
	m->remote = remote;
	for (; m->vectors < vectors; m->vectors++) {
		int fd = fd_event();

		if (fd < 0) {
			msix_destroy(m);
			return fd;
		}
		m->fd[m->vectors] = fd;
		m->entry[m->vectors].control = PCI_MSIX_ENTRY_CTRL_MASKBIT;
	}
	*ret = m;
	return 0;
}

void msix_destroy(struct msix *m)
{
	if (!m)
		return;
	for (unsigned v = 0; v < m->vectors; v++)
		fd_close(m->fd[v]);
	free(m);
}

unsigned msix_vectors(const struct msix *m)
{
	return m->vectors;
}

int msix_fd(const struct msix *m, unsigned v)
{
	return m->fd[v];
}

bool msix_enabled(const struct msix *m)
{
	return m->flags & PCI_MSIX_FLAGS_ENABLE;
}

static uint64_t open_vectors(const struct msix *m)
{
	uint64_t open = 0;

	if (!msix_enabled(m) || (m->flags & PCI_MSIX_FLAGS_MASKALL))
		return 0;
	for (unsigned v = 0; v < m->vectors; v++) {
		if (!(m->entry[v].control & PCI_MSIX_ENTRY_CTRL_MASKBIT))
			open |= bit(v);
	}
	return open;
}

/* What KVM should have: a closed vector keeps its old route, which nobody uses, but
 * for one that another process may signal. */
static struct msix_route wanted_route(const struct msix *m, unsigned v)
{
	const struct entry *e = &m->entry[v];
	struct msix_route route = { 0 };

	if (!(m->open & bit(v)))
		return m->remote ? route : m->known[v];
	route.used = true;
	route.address = (uint64_t)e->address_high << 32 | e->address_low;
	route.data = e->data;
	return route;
}

static bool route_equals(const struct msix_route *a, const struct msix_route *b)
{
	return a->used == b->used && a->address == b->address && a->data == b->data;
}

static void tell_routes(struct msix *m)
{
	struct msix_route routes[MSIX_MAX_VECTORS];
	bool changed = false;

	for (unsigned v = 0; v < m->vectors; v++) {
		routes[v] = wanted_route(m, v);
		changed = changed || !route_equals(&routes[v], &m->known[v]);
	}
	if (!changed)
		return;

	int r = m->ops->set_routes(m->ctx, routes, m->vectors);

	if (r < 0) {
		log_guest("msi-x: KVM refused the routes: %s", strerror(-r));
		return;
	}
	memcpy(m->known, routes, m->vectors * sizeof(routes[0]));
}

/* After any change: routes first, then what waited for them. */
static void update(struct msix *m)
{
	uint64_t before = m->open, due;

	m->open = open_vectors(m);
	if (!m->live)
		return;
	tell_routes(m);
	due = m->open & (m->remote ? ~before : m->pending);
	m->pending &= ~due;
	for (unsigned v = 0; v < m->vectors; v++) {
		if (due & bit(v))
			fd_event_signal(m->fd[v]);
	}
}

void msix_set_control(struct msix *m, uint16_t flags)
{
	m->flags = flags;
	if (!msix_enabled(m))
		m->pending = 0;
	update(m);
}

void msix_set_live(struct msix *m, bool live)
{
	m->live = live;
	if (!live)
		m->pending = 0;
	update(m);
}

void msix_state(struct msix *m, struct state *s)
{
	for (unsigned v = 0; v < m->vectors; v++) {
		struct entry *e = &m->entry[v];

		state_u32(s, &e->address_low);
		state_u32(s, &e->address_high);
		state_u32(s, &e->data);
		state_u32(s, &e->control);
		e->control &= PCI_MSIX_ENTRY_CTRL_MASKBIT;
	}
	state_u64(s, &m->pending);
}

void msix_raise(struct msix *m, unsigned v)
{
	if (v >= m->vectors || !msix_enabled(m))
		return;
	if (m->open & bit(v))
		fd_event_signal(m->fd[v]);
	else
		__atomic_fetch_or(&m->pending, bit(v), __ATOMIC_RELAXED);
}

/* --- table and pending bits --- */

static bool access_is_valid(uint64_t off, size_t len, size_t end)
{
	return (len == 4 || len == 8) && off % len == 0 && off < end && len <= end - off;
}

bool msix_table_read(const struct msix *m, uint64_t off, void *data, size_t len)
{
	memset(data, 0, len);
	if (!access_is_valid(off, len, m->vectors * sizeof(m->entry[0])))
		return false;
	memcpy(data, (const char *)m->entry + off, len);
	return true;
}

bool msix_table_write(struct msix *m, uint64_t off, const void *data, size_t len)
{
	if (!access_is_valid(off, len, m->vectors * sizeof(m->entry[0])))
		return false;
	memcpy((char *)m->entry + off, data, len);
	m->entry[off / MSIX_ENTRY_LEN].control &= PCI_MSIX_ENTRY_CTRL_MASKBIT;
	update(m);
	return true;
}

bool msix_pending_read(const struct msix *m, uint64_t off, void *data, size_t len)
{
	memset(data, 0, len);
	if (!access_is_valid(off, len, sizeof(m->pending)))
		return false;
	memcpy(data, (const char *)&m->pending + off, len);
	return true;
}
