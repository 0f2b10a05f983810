/* test_virtio_pci.c - a virtio device on PCI, found and driven as a guest does it.
 *
 * The life of a device is tested in test_virtio_mmio.c; here is what this transport
 * has of its own: capabilities, registers and their widths, vectors, the window in
 * configuration space, and misuse of all of these.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <string.h>
#include <unistd.h>

#include "devices/virtio/pci.h"
#include "tests/unit/virtio_driver.h"
#include "tests/unit/virtio_probe.h"
#include "vmm/base/fd.h"

enum {
	WINDOW = 0x10000000,
	SLOT = 1,
	NONE = VIRTIO_MSI_NO_VECTOR,
	UP = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER,
	READY = UP | VIRTIO_CONFIG_S_FEATURES_OK,
	LIVE = READY | VIRTIO_CONFIG_S_DRIVER_OK,
};

/* A guest whose only device is a probe. `d` is what virtio_driver.h needs for its
 * rings; its registers are not used. */
struct guest {
	struct driver d;
	struct probe *probe;
	struct pci_bus *bus;
	struct virtio_transport *t;
	uint32_t common, isr, device, notify, multiplier; /* offsets in the BAR */
	unsigned window, msix;				  /* in configuration space */
	unsigned route_calls, moves;
	uint64_t base;
};

static int on_routes(void *ctx, const struct msix_route *routes, unsigned n)
{
	struct guest *g = ctx;

	(void)routes;
	assert_int_equal(n, 3);
	g->route_calls++;
	return 0;
}

static void on_moved(void *ctx, uint64_t base)
{
	struct guest *g = ctx;

	g->moves++;
	g->base = base;
}

static const struct virtio_pci_ops ops = { { on_routes }, on_moved };

static uint32_t config_get(struct guest *g, unsigned reg, size_t len)
{
	uint32_t value = 0;

	pci_ecam_bus_ops.read(g->bus, SLOT << 15 | reg, &value, len);
	return value;
}

static void config_put(struct guest *g, unsigned reg, size_t len, uint32_t value)
{
	pci_ecam_bus_ops.write(g->bus, SLOT << 15 | reg, &value, len);
}

static uint64_t get(struct guest *g, uint64_t off, size_t len)
{
	uint64_t value = 0;

	pci_window_bus_ops.read(g->bus, SLOT * PCI_BAR_MAX + off, &value, len);
	return value;
}

static void put(struct guest *g, uint64_t off, size_t len, uint64_t value)
{
	pci_window_bus_ops.write(g->bus, SLOT * PCI_BAR_MAX + off, &value, len);
}

/* Follows the list of capabilities to what a driver needs. */
static void find_regions(struct guest *g)
{
	unsigned at = config_get(g, PCI_CAPABILITY_LIST, 1);

	for (; at != 0; at = config_get(g, at + PCI_CAP_LIST_NEXT, 1)) {
		uint32_t offset = config_get(g, at + VIRTIO_PCI_CAP_OFFSET, 4);

		if (config_get(g, at, 1) == PCI_CAP_ID_MSIX) {
			g->msix = at;
			continue;
		}
		assert_int_equal(config_get(g, at, 1), PCI_CAP_ID_VNDR);
		switch (config_get(g, at + VIRTIO_PCI_CAP_CFG_TYPE, 1)) {
		case VIRTIO_PCI_CAP_COMMON_CFG:
			g->common = offset;
			break;
		case VIRTIO_PCI_CAP_NOTIFY_CFG:
			g->notify = offset;
			g->multiplier = config_get(g, at + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
			break;
		case VIRTIO_PCI_CAP_ISR_CFG:
			g->isr = offset;
			break;
		case VIRTIO_PCI_CAP_DEVICE_CFG:
			g->device = offset;
			assert_int_equal(config_get(g, at + VIRTIO_PCI_CAP_LENGTH, 4),
					 PROBE_CONFIG_LEN);
			break;
		default:
			g->window = at;
		}
	}
	assert_true(g->msix && g->window && g->isr && g->device && g->notify);
}

static void guest_create(struct guest *g)
{
	const struct gmem_config config = { .size_bytes = DRIVER_GAP, .backing = GMEM_ANON };

	memset(g, 0, sizeof(*g));
	g->probe = probe_create();
	for (unsigned i = 0; i < PROBE_CONFIG_LEN; i++)
		g->probe->config[i] = (unsigned char)(0x10 + i);
	assert_int_equal(gmem_create(&config, &g->d.mem, NULL), 0);
	assert_int_equal(loop_create(&g->d.loop), 0);
	assert_int_equal(virtio_pci_create(&g->probe->dev, g->d.mem, &ops, g, &g->t), 0);
	assert_int_equal(virtio_transport_attach(g->t, g->d.loop), 0);
	assert_int_equal(pci_bus_create(WINDOW, &g->bus), 0);
	assert_int_equal(pci_bus_plug(g->bus, SLOT, virtio_pci_function(g->t)), 0);
	find_regions(g);
	config_put(g, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void guest_destroy(struct guest *g)
{
	pci_bus_destroy(g->bus);
	virtio_transport_destroy(g->t);
	loop_destroy(g->d.loop);
	gmem_destroy(g->d.mem);
}

static uint64_t rejected(struct guest *g)
{
	struct virtio_counters c;

	virtio_dev_counters(&g->probe->dev, &c);
	return c.rejected;
}

static void set_status(struct guest *g, unsigned status)
{
	put(g, g->common + VIRTIO_PCI_COMMON_STATUS, 1, status);
}

static unsigned status(struct guest *g)
{
	return (unsigned)get(g, g->common + VIRTIO_PCI_COMMON_STATUS, 1);
}

static void negotiate(struct guest *g)
{
	set_status(g, 0);
	set_status(g, UP);
	put(g, g->common + VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	put(g, g->common + VIRTIO_PCI_COMMON_GF, 4, 1u << (VIRTIO_F_VERSION_1 - 32));
	set_status(g, READY);
	assert_int_equal(status(g), READY);
}

static void set_address(struct guest *g, unsigned reg, uint64_t address)
{
	put(g, g->common + reg, 4, address);
	put(g, g->common + reg + 4, 4, address >> 32);
}

static void set_queue(struct guest *g)
{
	put(g, g->common + VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	put(g, g->common + VIRTIO_PCI_COMMON_Q_SIZE, 2, 16);
	set_address(g, VIRTIO_PCI_COMMON_Q_DESCLO, DRIVER_DESC);
	set_address(g, VIRTIO_PCI_COMMON_Q_AVAILLO, DRIVER_AVAIL);
	set_address(g, VIRTIO_PCI_COMMON_Q_USEDLO, DRIVER_USED);
	put(g, g->common + VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	assert_int_equal(get(g, g->common + VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	g->d.size = 16;
	g->d.avail_idx = g->d.used_idx = 0;
}

static void set_vector(struct guest *g, unsigned reg, unsigned vector)
{
	put(g, g->common + reg, 2, vector);
}

/* The configuration has vector 0, queue 0 vector 1, and both are open. */
static void start(struct guest *g)
{
	uint32_t table = config_get(g, g->msix + PCI_MSIX_TABLE, 4);

	negotiate(g);
	config_put(g, g->msix + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	for (unsigned v = 0; v < 3; v++) {
		put(g, table + v * MSIX_ENTRY_LEN, 8, 0xfee00000);
		put(g, table + v * MSIX_ENTRY_LEN + 8, 8, 0x20 + v);
	}
	set_vector(g, VIRTIO_PCI_COMMON_MSIX, 0);
	put(g, g->common + VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	set_vector(g, VIRTIO_PCI_COMMON_Q_MSIX, 1);
	set_queue(g);
	assert_int_equal(g->route_calls, 0);
	set_status(g, LIVE);
	assert_int_equal(status(g), LIVE);
}

static bool request(struct guest *g)
{
	const struct driver_buffer buffer = { DRIVER_BUFFERS, 64, true };
	struct vring_used_elem e;

	driver_chain(&g->d, 0, &buffer, 1);
	driver_offer(&g->d, 0);
	put(g, g->notify, 2, 0);
	driver_run(&g->d);
	return driver_used(&g->d, &e);
}

static bool interrupted(struct guest *g, unsigned vector)
{
	return fd_event_drain(virtio_pci_vector_fd(g->t, vector));
}

/* --- what a driver does --- */

static void identity(void **state)
{
	struct guest g;

	(void)state;
	guest_create(&g);
	assert_int_equal(config_get(&g, PCI_VENDOR_ID, 2), 0x1af4);
	assert_int_equal(config_get(&g, PCI_DEVICE_ID, 2), 0x1040 + PROBE_ID);
	assert_int_equal(config_get(&g, PCI_REVISION_ID, 1), 1);
	assert_int_equal(config_get(&g, g.msix + PCI_MSIX_FLAGS, 2), 2); /* 3 vectors */
	assert_int_equal(get(&g, g.common + VIRTIO_PCI_COMMON_NUMQ, 2), 2);
	assert_int_equal(get(&g, g.common + VIRTIO_PCI_COMMON_MSIX, 2), NONE);
	assert_int_equal(get(&g, g.common + VIRTIO_PCI_COMMON_Q_SIZE, 2), PROBE_QUEUE0);
	put(&g, g.common + VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	assert_int_equal(get(&g, g.common + VIRTIO_PCI_COMMON_Q_SIZE, 2), PROBE_QUEUE1);
	assert_int_equal(get(&g, g.common + VIRTIO_PCI_COMMON_Q_NOFF, 2), 1);
	assert_int_equal(get(&g, g.common + VIRTIO_PCI_COMMON_Q_MSIX, 2), NONE);
	assert_int_equal(g.notify + g.multiplier, virtio_pci_notify(1));
	assert_int_equal(get(&g, g.device, 4), 0x13121110);
	assert_int_equal(rejected(&g), 0);
	guest_destroy(&g);
}

static void features(void **state)
{
	struct guest g;

	(void)state;
	guest_create(&g);
	put(&g, g.common + VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	assert_int_equal(get(&g, g.common + VIRTIO_PCI_COMMON_DFSELECT, 4), 1);
	assert_int_equal(get(&g, g.common + VIRTIO_PCI_COMMON_DF, 4), 1);
	put(&g, g.common + VIRTIO_PCI_COMMON_DFSELECT, 4, 2);
	assert_int_equal(get(&g, g.common + VIRTIO_PCI_COMMON_DF, 4), 0);
	negotiate(&g);
	assert_int_equal(get(&g, g.common + VIRTIO_PCI_COMMON_GFSELECT, 4), 1);
	assert_int_equal(get(&g, g.common + VIRTIO_PCI_COMMON_GF, 4), 1);
	put(&g, g.common + VIRTIO_PCI_COMMON_GFSELECT, 4, UINT32_MAX);
	assert_int_equal(get(&g, g.common + VIRTIO_PCI_COMMON_GF, 4), 0);
	put(&g, g.common + VIRTIO_PCI_COMMON_GF, 4, 0); /* they are final by now */
	assert_int_equal(rejected(&g), 1);
	guest_destroy(&g);
}

static void each_queue_has_its_vector(void **state)
{
	struct guest g;

	(void)state;
	guest_create(&g);
	start(&g);
	assert_int_equal(g.route_calls, 1);
	assert_true(request(&g));
	assert_true(interrupted(&g, 1));
	assert_false(interrupted(&g, 0));
	virtio_dev_config_changed(&g.probe->dev);
	assert_true(interrupted(&g, 0));
	assert_int_equal(get(&g, g.common + VIRTIO_PCI_COMMON_CFGGENERATION, 1), 1);
	assert_int_equal(get(&g, g.isr, 1), 0);
	assert_int_equal(g.route_calls, 1);
	guest_destroy(&g);
}

static void polling_without_msix(void **state)
{
	struct guest g;

	(void)state;
	guest_create(&g);
	negotiate(&g);
	set_queue(&g);
	set_status(&g, LIVE);
	assert_true(request(&g));
	assert_int_equal(get(&g, g.isr, 1), 1);
	assert_int_equal(get(&g, g.isr, 1), 0);
	virtio_dev_config_changed(&g.probe->dev);
	assert_int_equal(get(&g, g.isr, 1), VIRTIO_PCI_ISR_CONFIG);
	assert_int_equal(g.route_calls, 0);
	guest_destroy(&g);
}

static void a_masked_vector_waits(void **state)
{
	struct guest g;
	uint32_t table;

	(void)state;
	guest_create(&g);
	start(&g);
	table = config_get(&g, g.msix + PCI_MSIX_TABLE, 4);
	put(&g, table + MSIX_ENTRY_LEN + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, 1);
	assert_true(request(&g));
	assert_false(interrupted(&g, 1));
	assert_int_equal(get(&g, config_get(&g, g.msix + PCI_MSIX_PBA, 4), 8), 2);
	put(&g, table + MSIX_ENTRY_LEN + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, 0);
	assert_true(interrupted(&g, 1));
	assert_int_equal(g.route_calls, 1);
	guest_destroy(&g);
}

static void reset_forgets(void **state)
{
	struct guest g;

	(void)state;
	guest_create(&g);
	start(&g);
	set_status(&g, 0);
	assert_int_equal(status(&g), 0);
	assert_int_equal(get(&g, g.common + VIRTIO_PCI_COMMON_MSIX, 2), NONE);
	assert_int_equal(get(&g, g.common + VIRTIO_PCI_COMMON_Q_MSIX, 2), NONE);
	assert_int_equal(get(&g, g.common + VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	assert_int_equal(get(&g, g.common + VIRTIO_PCI_COMMON_Q_SIZE, 2), PROBE_QUEUE0);
	assert_int_equal(get(&g, g.common + VIRTIO_PCI_COMMON_Q_DESCLO, 4), 0);
	assert_false(request(&g));
	g.route_calls = 0;
	start(&g);
	assert_true(request(&g));
	assert_int_equal(g.route_calls, 0); /* KVM has them already */
	guest_destroy(&g);
}

/* The same registers by way of configuration space (4.1.4.9). */
static void window_in_config_space(void **state)
{
	struct guest g;

	(void)state;
	guest_create(&g);
	config_put(&g, g.window + VIRTIO_PCI_CAP_OFFSET, 4, g.common + VIRTIO_PCI_COMMON_STATUS);
	config_put(&g, g.window + VIRTIO_PCI_CAP_LENGTH, 4, 1);
	config_put(&g, g.window + sizeof(struct virtio_pci_cap), 1, UP);
	assert_int_equal(status(&g), UP);
	assert_int_equal(config_get(&g, g.window + sizeof(struct virtio_pci_cap), 1), UP);
	config_put(&g, g.window + VIRTIO_PCI_CAP_OFFSET, 4, g.device + 4);
	config_put(&g, g.window + VIRTIO_PCI_CAP_LENGTH, 4, 4);
	assert_int_equal(config_get(&g, g.window + sizeof(struct virtio_pci_cap), 4), 0x17161514);
	guest_destroy(&g);
}

/* --- what it must not do --- */

static void windows_that_lead_nowhere(void **state)
{
	static const struct {
		uint32_t bar, offset, length;
	} wrong[] = {
		{ 1, 0, 4 },
		{ 0, 0, 0 },
		{ 0, 0, 3 },
		{ 0, 0, 8 },
		{ 0, 2, 4 },
		{ 0, UINT32_MAX, 1 },
		{ 0, UINT32_MAX - 3, 4 },
		{ 0, 0x8000, 4 },
		{ 255, 0, UINT32_MAX },
	};
	struct guest g;

	(void)state;
	guest_create(&g);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		config_put(&g, g.window + VIRTIO_PCI_CAP_BAR, 1, wrong[i].bar);
		config_put(&g, g.window + VIRTIO_PCI_CAP_OFFSET, 4, wrong[i].offset);
		config_put(&g, g.window + VIRTIO_PCI_CAP_LENGTH, 4, wrong[i].length);
		config_put(&g, g.window + sizeof(struct virtio_pci_cap), 4, 0x01020304);
		assert_int_equal(config_get(&g, g.window + sizeof(struct virtio_pci_cap), 4),
				 0x01020304);
	}
	assert_int_equal(rejected(&g), 0); /* the device never heard of it */
	guest_destroy(&g);
}

static void every_access(void **state)
{
	struct guest g;

	(void)state;
	guest_create(&g);
	for (uint64_t off = 0; off < 0x8000; off++) {
		for (size_t len = 1; len <= 8; len *= 2) {
			get(&g, off, len);
			put(&g, off, len, UINT64_MAX);
		}
	}
	assert_true(rejected(&g) > 0x8000);
	set_status(&g, 0);
	config_put(&g, g.msix + PCI_MSIX_FLAGS, 2, 0);
	g.route_calls = 0;
	start(&g);
	assert_true(request(&g));
	guest_destroy(&g);
}

static void wrong_widths(void **state)
{
	static const struct {
		unsigned reg;
		size_t len;
	} wrong[] = {
		{ VIRTIO_PCI_COMMON_STATUS, 2 },       { VIRTIO_PCI_COMMON_STATUS, 4 },
		{ VIRTIO_PCI_COMMON_Q_SELECT, 1 },     { VIRTIO_PCI_COMMON_Q_SELECT, 4 },
		{ VIRTIO_PCI_COMMON_Q_DESCLO, 8 },     { VIRTIO_PCI_COMMON_Q_DESCLO, 2 },
		{ VIRTIO_PCI_COMMON_Q_DESCLO + 2, 4 }, { VIRTIO_PCI_COMMON_GF, 8 },
		{ VIRTIO_PCI_COMMON_GF, 1 },	       { sizeof(struct virtio_pci_common_cfg), 4 },
	};
	struct guest g;

	(void)state;
	guest_create(&g);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		uint64_t before = rejected(&g);

		put(&g, g.common + wrong[i].reg, wrong[i].len, 1);
		assert_int_equal(get(&g, g.common + wrong[i].reg, wrong[i].len), 0);
		assert_int_equal(rejected(&g), before + 2);
	}
	guest_destroy(&g);
}

static void queues_that_are_not_there(void **state)
{
	static const unsigned absent[] = { 2, 16, 255, 65535 };
	struct guest g;

	(void)state;
	guest_create(&g);
	negotiate(&g);
	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		uint64_t before = rejected(&g);

		put(&g, g.common + VIRTIO_PCI_COMMON_Q_SELECT, 2, absent[i]);
		assert_int_equal(get(&g, g.common + VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
		assert_int_equal(get(&g, g.common + VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		assert_int_equal(rejected(&g), before);
		put(&g, g.common + VIRTIO_PCI_COMMON_Q_SIZE, 2, 16);
		put(&g, g.common + VIRTIO_PCI_COMMON_Q_MSIX, 2, 0);
		put(&g, g.common + VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
		put(&g, g.notify + g.multiplier * absent[i] % 0x1000, 2, absent[i]);
		assert_true(rejected(&g) >= before + 3);
	}
	assert_int_equal(status(&g), READY);
	guest_destroy(&g);
}

static void a_queue_in_use_is_frozen(void **state)
{
	static const unsigned regs[] = {
		VIRTIO_PCI_COMMON_Q_SIZE,    VIRTIO_PCI_COMMON_Q_MSIX,
		VIRTIO_PCI_COMMON_Q_ENABLE,  VIRTIO_PCI_COMMON_Q_DESCLO,
		VIRTIO_PCI_COMMON_Q_DESCHI,  VIRTIO_PCI_COMMON_Q_AVAILLO,
		VIRTIO_PCI_COMMON_Q_AVAILHI, VIRTIO_PCI_COMMON_Q_USEDLO,
		VIRTIO_PCI_COMMON_Q_USEDHI,
	};
	struct guest g;

	(void)state;
	guest_create(&g);
	start(&g);
	for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
		put(&g, g.common + regs[i], regs[i] < VIRTIO_PCI_COMMON_Q_DESCLO ? 2 : 4, 0);
	assert_int_equal(rejected(&g), sizeof(regs) / sizeof(regs[0]));
	assert_true(request(&g));
	assert_true(interrupted(&g, 1));
	guest_destroy(&g);
}

static void vectors_that_are_not_there(void **state)
{
	struct guest g;

	(void)state;
	guest_create(&g);
	set_vector(&g, VIRTIO_PCI_COMMON_MSIX, 3);
	assert_int_equal(get(&g, g.common + VIRTIO_PCI_COMMON_MSIX, 2), NONE);
	set_vector(&g, VIRTIO_PCI_COMMON_Q_MSIX, 2);
	assert_int_equal(get(&g, g.common + VIRTIO_PCI_COMMON_Q_MSIX, 2), 2);
	set_vector(&g, VIRTIO_PCI_COMMON_Q_MSIX, 0xfffe);
	assert_int_equal(get(&g, g.common + VIRTIO_PCI_COMMON_Q_MSIX, 2), NONE);
	guest_destroy(&g);
}

/* A layout that does not hold up fails the device, which says so. */
static void queue_out_of_memory(void **state)
{
	struct guest g;

	(void)state;
	guest_create(&g);
	negotiate(&g);
	set_address(&g, VIRTIO_PCI_COMMON_Q_DESCLO, UINT64_MAX - 15);
	put(&g, g.common + VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	assert_int_equal(status(&g), READY | VIRTIO_CONFIG_S_NEEDS_RESET);
	guest_destroy(&g);
}

static void moved_notifications(void **state)
{
	struct guest g;

	(void)state;
	guest_create(&g);
	assert_int_equal(g.moves, 0);
	config_put(&g, PCI_BASE_ADDRESS_0, 4, WINDOW);
	assert_int_equal(g.moves, 1);
	assert_int_equal(g.base, WINDOW);
	guest_destroy(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(identity),
		cmocka_unit_test(features),
		cmocka_unit_test(each_queue_has_its_vector),
		cmocka_unit_test(polling_without_msix),
		cmocka_unit_test(a_masked_vector_waits),
		cmocka_unit_test(reset_forgets),
		cmocka_unit_test(window_in_config_space),
		cmocka_unit_test(windows_that_lead_nowhere),
		cmocka_unit_test(every_access),
		cmocka_unit_test(wrong_widths),
		cmocka_unit_test(queues_that_are_not_there),
		cmocka_unit_test(a_queue_in_use_is_frozen),
		cmocka_unit_test(vectors_that_are_not_there),
		cmocka_unit_test(queue_out_of_memory),
		cmocka_unit_test(moved_notifications),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
