/* fuzz_virtio_mem.c - a hostile driver against memory in blocks.
 *
 * The host wants half of it plugged. Whatever the driver asks for, it has no more than
 * that, and the device's count is what can be accessed.
 */
#include <linux/virtio_mem.h>
#include <stdlib.h>

#include "devices/virtio/mem.h"
#include "devices/virtio/transport.h"
#include "tests/fuzz/virtio_script.h"

enum { BLOCK_MIB = 2, SLOT_MIB = 8, TOTAL_MIB = 600 };

#define MIB UINT64_C(0x100000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void create(struct virtio_script *s)
{
	const struct virtio_mem_options o = { TOTAL_MIB, BLOCK_MIB, SLOT_MIB };
	struct virtio_dev *dev;
	struct loop *loop;

	if (virtio_mem_create(&o, &dev) < 0 || loop_create(&loop) < 0)
		abort();
	virtio_script_create(s, dev);
	if (virtio_transport_attach(s->transport, loop) < 0)
		abort();
}

static void check(struct virtio_script *s)
{
	const struct virtio_ops *ops = s->dev->ops;
	struct virtio_mem_status status;
	struct virtio_mem_config c;
	uint64_t accessible = 0;

	virtio_mem_status(s->dev, &status);
	ops->config_read(s->dev, 0, &c, sizeof(c));
	for (uint64_t at = c.addr; at < c.addr + c.region_size; at += c.block_size)
		accessible += gmem_span(s->mem, gpa(at), c.block_size) != NULL;
	if (accessible * BLOCK_MIB != status.plugged_mib ||
	    c.plugged_size / MIB != status.plugged_mib)
		abort();
	if (status.plugged_mib > TOTAL_MIB / 2)
		abort();
}

/* The target is set by an input's first driver, and stays. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct virtio_script s;

	if (!s.dev) {
		create(&s);
		virtio_script_start(&s);
		if (virtio_mem_request(s.dev, TOTAL_MIB / 2) < 0)
			abort();
	}
	virtio_script_run(&s, data, size);
	check(&s);
	return 0;
}
