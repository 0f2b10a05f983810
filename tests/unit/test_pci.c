/* test_pci.c - configuration space, the bus, MSI-X, and devices that come and go. */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "devices/pci/hotplug.h"
#include "devices/pci/msix.h"
#include "vmm/base/fd.h"

#define WINDOW UINT64_C(0xd0000000)

enum { SLOT = 3, BAR_LEN = 0x8000 };

/* A function that keeps what it is asked. */
struct toy {
	struct pci_function f;
	unsigned moves, reads, writes;
	uint64_t base, off;
	size_t len;
};

static void toy_moved(struct pci_function *f, uint64_t base)
{
	struct toy *t = (struct toy *)f;

	t->moves++;
	t->base = base;
}

static void toy_read(struct pci_function *f, uint64_t off, void *data, size_t len)
{
	struct toy *t = (struct toy *)f;

	t->reads++;
	t->off = off;
	t->len = len;
	memset(data, 0x5a, len);
}

static void toy_write(struct pci_function *f, uint64_t off, const void *data, size_t len)
{
	struct toy *t = (struct toy *)f;

	(void)data;
	t->writes++;
	t->off = off;
	t->len = len;
}

static const struct pci_function_ops toy_ops = {
	.bar_moved = toy_moved,
	.bar_read = toy_read,
	.bar_write = toy_write,
};

static const struct pci_ids toy_ids = {
	.vendor = 0x1234,
	.device = 0x5678,
	.subsystem_vendor = 0x9abc,
	.subsystem = 0xdef0,
	.class_code = 0x010203,
	.revision = 4,
};

static void toy_init(struct toy *t)
{
	*t = (struct toy){ .f.ops = &toy_ops };
	pci_config_init(&t->f.config, &toy_ids);
	pci_config_set_bar(&t->f.config, 0, BAR_LEN);
}

static struct pci_bus *bus_with(struct toy *t)
{
	struct pci_bus *b = NULL;

	toy_init(t);
	assert_int_equal(pci_bus_create(WINDOW, &b), 0);
	assert_int_equal(pci_bus_plug(b, SLOT, &t->f), 0);
	return b;
}

static uint64_t ecam(unsigned slot, unsigned reg)
{
	return (uint64_t)slot << 15 | reg;
}

static uint64_t get(struct pci_bus *b, uint64_t off, size_t len)
{
	uint64_t value = 0;

	pci_ecam_bus_ops.read(b, off, &value, len);
	return value;
}

static void put(struct pci_bus *b, uint64_t off, size_t len, uint64_t value)
{
	pci_ecam_bus_ops.write(b, off, &value, len);
}

static void enable(struct pci_bus *b, bool on)
{
	put(b, ecam(SLOT, PCI_COMMAND), 2, on ? PCI_COMMAND_MEMORY : 0);
}

/* --- configuration space --- */

static void identity(void **state)
{
	struct toy t;
	struct pci_bus *b = bus_with(&t);

	(void)state;
	assert_int_equal(get(b, ecam(0, 0), 4), 0x0d578086);
	assert_int_equal(get(b, ecam(0, PCI_CLASS_DEVICE), 2), 0x0600);
	assert_int_equal(get(b, ecam(SLOT, 0), 4), 0x56781234);
	assert_int_equal(get(b, ecam(SLOT, 1), 1), 0x12);
	assert_int_equal(get(b, ecam(SLOT, 1), 2), 0x7812);
	assert_int_equal(get(b, ecam(SLOT, PCI_CLASS_REVISION), 4), 0x01020304);
	assert_int_equal(get(b, ecam(SLOT, PCI_SUBSYSTEM_VENDOR_ID), 4), 0xdef09abc);
	assert_int_equal(get(b, ecam(SLOT, PCI_HEADER_TYPE), 1), PCI_HEADER_TYPE_NORMAL);
	assert_int_equal(get(b, ecam(SLOT, PCI_INTERRUPT_PIN), 1), 0);
	pci_bus_destroy(b);
}

/* Every byte by every width: reads agree with each other, and only what may be
 * written changes. */
static void every_access(void **state)
{
	struct toy t;
	struct pci_bus *b = bus_with(&t);

	(void)state;
	for (unsigned reg = 0; reg < PCI_CONFIG_SPACE; reg++) {
		for (size_t len = 1; len <= 8; len *= 2) {
			uint64_t want = UINT64_MAX >> (64 - 8 * len);

			if (reg + len <= PCI_CONFIG_SPACE) {
				want = 0;
				for (size_t i = 0; i < len; i++)
					want |= get(b, ecam(SLOT, reg + (unsigned)i), 1) << (8 * i);
			}
			assert_int_equal(get(b, ecam(SLOT, reg), len), want);
			put(b, ecam(SLOT, reg), len, UINT64_MAX);
		}
	}
	assert_int_equal(get(b, ecam(SLOT, 0), 4), 0x56781234);
	assert_int_equal(get(b, ecam(SLOT, PCI_COMMAND), 2),
			 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	assert_int_equal(get(b, ecam(SLOT, PCI_STATUS), 2), 0);
	assert_int_equal(get(b, ecam(SLOT, PCI_BASE_ADDRESS_0), 8),
			 (UINT64_MAX - (BAR_LEN - 1)) | PCI_BASE_ADDRESS_MEM_TYPE_64);
	assert_int_equal(get(b, ecam(SLOT, PCI_BASE_ADDRESS_2), 8), 0);
	assert_int_equal(get(b, ecam(SLOT, 0x100), 8), 0);
	assert_int_equal(t.reads + t.writes, 0);
	pci_bus_destroy(b);
}

static void nobody_there(void **state)
{
	struct toy t;
	struct pci_bus *b = bus_with(&t);

	(void)state;
	assert_int_equal(get(b, ecam(4, 0), 4), UINT32_MAX);
	assert_int_equal(get(b, ecam(SLOT, 0) | 1 << 12, 4), UINT32_MAX); /* function 1 */
	assert_int_equal(get(b, PCI_ECAM_LEN - 8, 8), UINT64_MAX);
	put(b, ecam(4, PCI_COMMAND), 2, UINT16_MAX);
	put(b, PCI_ECAM_LEN - 8, 8, 0);
	assert_int_equal(pci_bus_plug(b, SLOT, &t.f), -EBUSY);
	assert_int_equal(pci_bus_plug(b, 0, &t.f), -EINVAL);
	assert_int_equal(pci_bus_plug(b, PCI_SLOTS, &t.f), -EINVAL);
	assert_false(pci_bus_unplug(b, 0));
	assert_false(pci_bus_unplug(b, PCI_SLOTS));
	assert_false(pci_bus_unplug(b, 4));
	assert_true(pci_bus_unplug(b, SLOT));
	assert_int_equal(get(b, ecam(SLOT, 0), 4), UINT32_MAX);
	pci_bus_destroy(NULL);
	pci_bus_destroy(b);
}

/* The list is as long as it was made, and its writable bits are the only ones. */
static void capabilities(void **state)
{
	static const uint8_t body[] = { 1, 2, 3, 4, 5 }, writable[] = { 0, 0xf0, 0, 0, 0xff };
	const uint8_t ones[sizeof(body)] = { 255, 255, 255, 255, 255 };
	uint8_t got[sizeof(body)];
	struct pci_config c;
	uint8_t first, second;

	(void)state;
	pci_config_init(&c, &toy_ids);
	assert_int_equal(c.bytes[PCI_STATUS], 0);
	first = pci_config_add_cap(&c, PCI_CAP_ID_VNDR, body, writable, sizeof(body));
	second = pci_config_add_cap(&c, PCI_CAP_ID_MSIX, body, NULL, sizeof(body));
	assert_true(c.bytes[PCI_STATUS] & PCI_STATUS_CAP_LIST);
	assert_int_equal(c.bytes[PCI_CAPABILITY_LIST], first);
	assert_int_equal(c.bytes[first], PCI_CAP_ID_VNDR);
	assert_int_equal(c.bytes[first + 1], second);
	assert_int_equal(second % 4, 0);
	assert_int_equal(c.bytes[second + 1], 0);
	pci_config_write(&c, first + 2u, ones, sizeof(ones));
	pci_config_write(&c, second + 2u, ones, sizeof(ones));
	pci_config_read(&c, first + 2u, got, sizeof(got));
	assert_memory_equal(got, ((uint8_t[]){ 1, 0xf2, 3, 4, 0xff }), sizeof(got));
	pci_config_read(&c, second + 2u, got, sizeof(got));
	assert_memory_equal(got, body, sizeof(got));
}

/* --- BARs --- */

static uint64_t window_get(struct pci_bus *b, uint64_t off, size_t len)
{
	uint64_t value = 0;

	pci_window_bus_ops.read(b, off, &value, len);
	return value;
}

static void bar_decodes(void **state)
{
	const uint64_t at = SLOT * PCI_BAR_MAX;
	struct toy t;
	struct pci_bus *b = bus_with(&t);
	uint32_t value = 0;

	(void)state;
	assert_int_equal(get(b, ecam(SLOT, PCI_BASE_ADDRESS_0), 8),
			 pci_bus_bar(b, SLOT) | PCI_BASE_ADDRESS_MEM_TYPE_64);
	assert_int_equal(window_get(b, at, 4), UINT32_MAX);
	enable(b, true);
	assert_int_equal(t.moves, 0); /* it is where it was put */
	assert_int_equal(window_get(b, at + 8, 4), 0x5a5a5a5a);
	assert_int_equal(t.off, 8);
	pci_window_bus_ops.write(b, at + BAR_LEN - 4, &value, 4);
	assert_int_equal(t.off, BAR_LEN - 4);
	assert_int_equal(t.len, 4);
	pci_window_bus_ops.write(b, at + BAR_LEN - 2, &value, 4); /* leaves it */
	pci_window_bus_ops.write(b, at - 2, &value, 4);
	pci_window_bus_ops.write(b, at + BAR_LEN, &value, 4);
	assert_int_equal(t.writes, 1);
	enable(b, false);
	assert_int_equal(window_get(b, at, 4), UINT32_MAX);
	pci_bus_destroy(b);
}

/* As Linux does it: off, all ones, the old value, on. */
static void sizing_moves_nothing(void **state)
{
	struct toy t;
	struct pci_bus *b = bus_with(&t);
	uint64_t old = get(b, ecam(SLOT, PCI_BASE_ADDRESS_0), 8);

	(void)state;
	enable(b, false);
	put(b, ecam(SLOT, PCI_BASE_ADDRESS_0), 4, UINT32_MAX);
	assert_int_equal(get(b, ecam(SLOT, PCI_BASE_ADDRESS_0), 4),
			 (UINT32_MAX - (BAR_LEN - 1)) | PCI_BASE_ADDRESS_MEM_TYPE_64);
	put(b, ecam(SLOT, PCI_BASE_ADDRESS_0), 4, old);
	put(b, ecam(SLOT, PCI_BASE_ADDRESS_1), 4, UINT32_MAX);
	assert_int_equal(get(b, ecam(SLOT, PCI_BASE_ADDRESS_1), 4), UINT32_MAX);
	put(b, ecam(SLOT, PCI_BASE_ADDRESS_1), 4, old >> 32);
	enable(b, true);
	assert_int_equal(t.moves, 0);
	pci_bus_destroy(b);
}

static void bar_moves(void **state)
{
	static const uint64_t outside[] = { 0, WINDOW - BAR_LEN, WINDOW + PCI_WINDOW_LEN,
					    UINT64_C(1) << 40 | WINDOW,
					    UINT64_MAX - (BAR_LEN - 1) };
	struct toy t;
	struct pci_bus *b = bus_with(&t);

	(void)state;
	put(b, ecam(SLOT, PCI_BASE_ADDRESS_0), 8, WINDOW);
	assert_int_equal(t.moves, 0);
	enable(b, true);
	assert_int_equal(t.moves, 1);
	assert_int_equal(t.base, WINDOW);
	assert_int_equal(window_get(b, 0, 1), 0x5a);
	assert_int_equal(window_get(b, SLOT * PCI_BAR_MAX, 1), 0xff);
	put(b, ecam(SLOT, PCI_BASE_ADDRESS_0), 4, WINDOW + PCI_WINDOW_LEN - BAR_LEN);
	assert_int_equal(t.moves, 2);
	assert_int_equal(window_get(b, PCI_WINDOW_LEN - 1, 1), 0x5a);
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		put(b, ecam(SLOT, PCI_BASE_ADDRESS_0), 8, outside[i]);
		assert_int_equal(window_get(b, PCI_WINDOW_LEN - 1, 1), 0xff);
		assert_int_equal(window_get(b, 0, 1), 0xff);
	}
	assert_int_equal(t.moves, 2);
	pci_bus_destroy(b);
}

/* --- MSI-X --- */

struct routes {
	unsigned calls, n;
	int answer;
	struct msix_route route[MSIX_MAX_VECTORS];
};

static int on_routes(void *ctx, const struct msix_route *routes, unsigned n)
{
	struct routes *r = ctx;

	r->calls++;
	r->n = n;
	if (r->answer == 0)
		memcpy(r->route, routes, n * sizeof(routes[0]));
	return r->answer;
}

static const struct msix_ops msix_test_ops = { on_routes };

enum { VECTORS = 3, ENABLED = PCI_MSIX_FLAGS_ENABLE, ALL = PCI_MSIX_FLAGS_MASKALL };

static struct msix *new_msix(struct routes *r, bool remote)
{
	struct msix *m = NULL;

	*r = (struct routes){ 0 };
	assert_int_equal(msix_create(VECTORS, remote, &msix_test_ops, r, &m), 0);
	return m;
}

static void set_word(struct msix *m, unsigned v, unsigned word, uint32_t value)
{
	assert_true(msix_table_write(m, v * MSIX_ENTRY_LEN + word * 4, &value, 4));
}

static void set_message(struct msix *m, unsigned v, uint32_t data)
{
	set_word(m, v, 0, 0xfee00000);
	set_word(m, v, 1, 0);
	set_word(m, v, 2, data);
}

static void mask(struct msix *m, unsigned v, bool on)
{
	set_word(m, v, 3, on);
}

static uint64_t pending(const struct msix *m)
{
	uint64_t bits;

	assert_true(msix_pending_read(m, 0, &bits, 8));
	return bits;
}

/* A guest sets all up; KVM hears of it once. */
static void one_call_for_all_vectors(void **state)
{
	struct routes r;
	struct msix *m = new_msix(&r, false);

	(void)state;
	msix_set_control(m, ENABLED | ALL);
	for (unsigned v = 0; v < VECTORS; v++) {
		set_message(m, v, 0x20 + v);
		mask(m, v, v == 2);
	}
	msix_set_control(m, ENABLED);
	assert_int_equal(r.calls, 0);
	msix_set_live(m, true);
	assert_int_equal(r.calls, 1);
	assert_int_equal(r.n, VECTORS);
	assert_int_equal(r.route[0].address, 0xfee00000);
	assert_int_equal(r.route[1].data, 0x21);
	assert_false(r.route[2].used);
	/* The same again, masked or not, is no news. */
	msix_set_live(m, true);
	mask(m, 0, true);
	set_message(m, 0, 0x20);
	mask(m, 0, false);
	msix_set_control(m, ENABLED | ALL);
	msix_set_control(m, ENABLED);
	assert_int_equal(r.calls, 1);
	/* Another message is, when it can be sent. */
	mask(m, 0, true);
	set_message(m, 0, 0x30);
	assert_int_equal(r.calls, 1);
	mask(m, 0, false);
	assert_int_equal(r.calls, 2);
	assert_int_equal(r.route[0].data, 0x30);
	msix_destroy(m);
}

static void masked_vectors_wait(void **state)
{
	struct routes r;
	struct msix *m = new_msix(&r, false);

	(void)state;
	msix_set_control(m, ENABLED);
	mask(m, 0, false);
	msix_set_live(m, true);
	msix_raise(m, 0);
	assert_true(fd_event_drain(msix_fd(m, 0)));
	msix_raise(m, 1);
	msix_raise(m, 1);
	assert_false(fd_event_drain(msix_fd(m, 1)));
	assert_int_equal(pending(m), 2);
	mask(m, 1, false);
	assert_true(fd_event_drain(msix_fd(m, 1)));
	assert_int_equal(pending(m), 0);
	/* The mask of all. */
	msix_set_control(m, ENABLED | ALL);
	msix_raise(m, 0);
	assert_false(fd_event_drain(msix_fd(m, 0)));
	assert_int_equal(pending(m), 1);
	msix_set_control(m, ENABLED);
	assert_true(fd_event_drain(msix_fd(m, 0)));
	/* Vectors that are not there, and none while it is off. */
	msix_raise(m, VECTORS);
	msix_raise(m, UINT16_MAX);
	msix_set_control(m, 0);
	msix_raise(m, 0);
	assert_false(fd_event_drain(msix_fd(m, 0)));
	assert_int_equal(pending(m), 0);
	msix_destroy(m);
}

/* What another process signals while it is masked has no route, and is not lost. */
static void remote_vectors(void **state)
{
	struct routes r;
	struct msix *m = new_msix(&r, true);

	(void)state;
	msix_set_control(m, ENABLED);
	set_message(m, 1, 0x21);
	mask(m, 1, false);
	msix_set_live(m, true);
	assert_true(r.route[1].used);
	mask(m, 1, true);
	assert_false(r.route[1].used);
	assert_false(fd_event_drain(msix_fd(m, 1)));
	mask(m, 1, false);
	assert_true(r.route[1].used);
	assert_true(fd_event_drain(msix_fd(m, 1)));
	msix_destroy(m);
}

static void routes_that_kvm_refuses(void **state)
{
	struct routes r;
	struct msix *m = new_msix(&r, false);

	(void)state;
	r.answer = -ENOMEM;
	msix_set_control(m, ENABLED);
	set_message(m, 0, 0x20);
	mask(m, 0, false);
	msix_set_live(m, true);
	assert_int_equal(r.calls, 1);
	r.answer = 0;
	mask(m, 1, false);
	assert_int_equal(r.calls, 2);
	assert_int_equal(r.route[0].data, 0x20);
	msix_destroy(m);
}

static void table_accesses(void **state)
{
	static const struct {
		uint64_t off;
		size_t len;
	} wrong[] = {
		{ 0, 1 },
		{ 0, 2 },
		{ 2, 4 },
		{ 4, 8 },
		{ VECTORS * MSIX_ENTRY_LEN, 4 },
		{ VECTORS * MSIX_ENTRY_LEN, 8 },
		{ UINT64_MAX - 7, 8 },
		{ 0xffc, 4 },
	};
	struct routes r;
	struct msix *m = new_msix(&r, false);
	uint64_t value = UINT64_MAX;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		value = UINT64_MAX;
		assert_false(msix_table_write(m, wrong[i].off, &value, wrong[i].len));
		assert_false(msix_table_read(m, wrong[i].off, &value, wrong[i].len));
		assert_int_equal(value & 0xff, 0);
	}
	value = UINT64_MAX;
	assert_true(msix_table_write(m, 8, &value, 8));
	assert_true(msix_table_read(m, 8, &value, 8));
	assert_int_equal(value, UINT64_C(1) << 32 | UINT32_MAX); /* reserved bits stay 0 */
	assert_false(msix_pending_read(m, 8, &value, 8));
	assert_int_equal(msix_create(0, false, &msix_test_ops, &r, &m), -EINVAL);
	assert_int_equal(msix_create(MSIX_MAX_VECTORS + 1, false, &msix_test_ops, &r, &m), -EINVAL);
	msix_destroy(NULL);
	msix_destroy(m);
}

/* --- hot-plug --- */

static uint32_t reg(struct pci_hotplug *h, unsigned off)
{
	uint32_t value = 0;

	pci_hotplug_bus_ops.read(h, off, &value, sizeof(value));
	return value;
}

static void coming_and_going(void **state)
{
	int irq = fd_event();
	struct pci_hotplug *h;
	struct toy t;
	struct pci_bus *b = bus_with(&t);
	uint32_t all = UINT32_MAX;

	(void)state;
	assert_int_equal(pci_hotplug_create(b, irq, &h), 0);
	pci_hotplug_announce(h, SLOT);
	pci_hotplug_announce(h, 31);
	assert_true(fd_event_drain(irq));
	assert_int_equal(reg(h, PCI_HOTPLUG_FILLED), 1u << 31 | 1u << SLOT);
	assert_int_equal(reg(h, PCI_HOTPLUG_FILLED), 0);
	pci_hotplug_ask_back(h, SLOT);
	assert_true(fd_event_drain(irq));
	assert_int_equal(reg(h, PCI_HOTPLUG_WANTED), 1u << SLOT);
	assert_int_equal(reg(h, PCI_HOTPLUG_WANTED), 0);
	assert_int_equal(pci_hotplug_take_ejected(h), 0);

	/* Whatever it ejects, the bridge stays, and only what was there is told. */
	pci_hotplug_bus_ops.write(h, PCI_HOTPLUG_EJECT, &all, sizeof(all));
	assert_true(fd_event_drain(pci_hotplug_fd(h)));
	assert_int_equal(get(b, ecam(SLOT, 0), 4), UINT32_MAX);
	assert_int_equal(get(b, ecam(0, 0), 4), 0x0d578086);
	assert_int_equal(pci_hotplug_take_ejected(h), 1u << SLOT);
	assert_int_equal(pci_hotplug_take_ejected(h), 0);
	pci_hotplug_destroy(NULL);
	pci_hotplug_destroy(h);
	pci_bus_destroy(b);
	fd_close(irq);
}

static void odd_hotplug_accesses(void **state)
{
	int irq = fd_event();
	struct pci_hotplug *h;
	struct toy t;
	struct pci_bus *b = bus_with(&t);
	uint64_t value = UINT64_MAX;

	(void)state;
	assert_int_equal(pci_hotplug_create(b, irq, &h), 0);
	pci_hotplug_announce(h, SLOT);
	for (unsigned off = 0; off < PCI_HOTPLUG_LEN; off++) {
		pci_hotplug_bus_ops.write(h, off, &value, 1);
		pci_hotplug_bus_ops.write(h, off, &value, 2);
		value = 0;
		pci_hotplug_bus_ops.read(h, off, &value, 1);
		assert_int_equal(value, 0xff);
		value = UINT64_MAX;
	}
	pci_hotplug_bus_ops.write(h, PCI_HOTPLUG_FILLED, &value, 4);
	assert_int_equal(get(b, ecam(SLOT, 0), 4), 0x56781234);
	assert_int_equal(reg(h, PCI_HOTPLUG_EJECT), 0);
	assert_int_equal(reg(h, PCI_HOTPLUG_FILLED), 1u << SLOT);
	pci_hotplug_destroy(h);
	pci_bus_destroy(b);
	fd_close(irq);
}

/* A vCPU that reads all there is while slots are emptied and filled: what it gets is a
 * whole device or none, and no function is used after it was taken off the bus. */
struct vcpu {
	struct pci_bus *bus;
	bool stop;
	unsigned torn;
};

static void *vcpu_run(void *arg)
{
	struct vcpu *v = arg;

	while (!__atomic_load_n(&v->stop, __ATOMIC_ACQUIRE)) {
		uint64_t id = get(v->bus, ecam(SLOT, 0), 4);
		uint64_t bar = window_get(v->bus, SLOT * PCI_BAR_MAX, 1);

		v->torn += id != 0x56781234 && id != UINT32_MAX;
		v->torn += bar != 0x5a && bar != 0xff;
		enable(v->bus, true);
	}
	return NULL;
}

static struct toy *new_toy(void)
{
	struct toy *t = malloc(sizeof(*t));

	assert_non_null(t);
	toy_init(t);
	return t;
}

static void slots_change_under_a_vcpu(void **state)
{
	enum { ROUNDS = 2000 };
	struct toy *t = new_toy();
	struct vcpu v = { .bus = bus_with(t) };
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, vcpu_run, &v), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		pci_bus_unplug(v.bus, SLOT);
		free(t); /* nobody may be inside of it any more */
		t = new_toy();
		assert_int_equal(pci_bus_plug(v.bus, SLOT, &t->f), 0);
	}
	__atomic_store_n(&v.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	assert_int_equal(v.torn, 0);
	pci_bus_destroy(v.bus);
	free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(identity),
		cmocka_unit_test(every_access),
		cmocka_unit_test(nobody_there),
		cmocka_unit_test(capabilities),
		cmocka_unit_test(bar_decodes),
		cmocka_unit_test(sizing_moves_nothing),
		cmocka_unit_test(bar_moves),
		cmocka_unit_test(one_call_for_all_vectors),
		cmocka_unit_test(masked_vectors_wait),
		cmocka_unit_test(remote_vectors),
		cmocka_unit_test(routes_that_kvm_refuses),
		cmocka_unit_test(table_accesses),
		cmocka_unit_test(coming_and_going),
		cmocka_unit_test(odd_hotplug_accesses),
		cmocka_unit_test(slots_change_under_a_vcpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
