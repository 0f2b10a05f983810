/* bench_passthrough.c - what wispd adds to handing a device over, on a made-up host.
 *
 * The host has 200 PCI functions in a temporary folder; each run reads all of them anew and
 * makes every check of one, as an admission does. The device's own reset is no part of it.
 */
#include <errno.h>
#include <stdio.h>

#include "benches/bench.h"
#include "supervisor/device/choose.h"
#include "tests/unit/fake_devices.h"
#include "vmm/base/clock.h"

enum { PASSTHROUGH_RUNS = 50, FUNCTIONS = 200, SLOTS = 32, MEM_MIB = 512 };

static int make_host(const char *dir, struct error *err)
{
	int r = fake_host(dir);

	for (unsigned i = 0; i < FUNCTIONS - 3 && r == 0; i++) {
		char address[PCI_ADDRESS_BYTES];

		snprintf(address, sizeof(address), "0000:%02x:%02x.0", 2 + i / SLOTS, i % SLOTS);
		r = fake_function(dir, address, "0x020000\n", 10 + (int)i);
	}
	return r < 0 ? error_set(err, -EIO, NULL, NULL, "Cannot make a host in %s", dir) : 0;
}

static int examine(struct bench *b, struct error *err)
{
	static const char wanted[][CHOOSE_TEXT_BYTES] = { "pci:network" };
	uint64_t begin = clock_now_us(), read;
	struct preflight p = { .request = { .mem_mib = MEM_MIB, .node = -1 } };
	struct inventory v;
	json_t *record = NULL;
	int r = inventory_read(b->dir, &v, err);

	read = clock_now_us();
	p.inventory = &v;
	if (r == 0)
		r = choose_devices(wanted, 1, NULL, NULL, &p, err);
	if (r == 0)
		record = preflight_explain(&p);
	json_decref(record);
	inventory_clear(&v);
	if (r == 0)
		r = report_add(&b->report, "wispd", "inventory_us", (int64_t)(read - begin));
	if (r == 0)
		r = report_add(&b->report, "wispd", "preflight_us",
			       (int64_t)(clock_now_us() - begin));
	return r;
}

static int passthrough_run(struct bench *b, struct error *err)
{
	unsigned runs = (unsigned)option_or(b->options->runs, PASSTHROUGH_RUNS);
	int r = make_host(b->dir, err);

	for (unsigned i = 0; i < runs && r == 0; i++)
		r = examine(b, err);
	return r;
}

const struct bench_row bench_passthrough = {
	.name = "passthrough",
	.help = "looking at a host of 200 PCI functions before one is handed over",
	.in_process = true,
	.run = passthrough_run,
};
