/* fuzz_virtio_balloon.c - a hostile driver against a balloon.
 *
 * The first byte chooses what the device offers. Whatever the driver names, the
 * target stays the host's, and RAM can still be used.
 */
#include <linux/virtio_mmio.h>
#include <stdlib.h>

#include "devices/virtio/balloon.h"
#include "tests/fuzz/virtio_script.h"

enum { KINDS = 16, TARGET_PAGES = 1000, RAM_PAGE = 0x6000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void create(struct virtio_script *s, unsigned kind)
{
	const struct virtio_balloon_options o = {
		.target_pages = TARGET_PAGES,
		.deflate_on_oom = kind & 1,
		.free_page_reporting = kind & 2,
		.interval_s = kind & 4,
		.free_page_hinting = kind & 8,
	};
	struct virtio_dev *dev;

	if (virtio_balloon_create(&o, &dev) < 0)
		abort();
	virtio_script_create(s, dev);
}

static void check(struct virtio_script *s)
{
	uint32_t target = 0, word = 0x600dcafe;

	virtio_mmio_bus_ops.read(s->transport, VIRTIO_MMIO_CONFIG, &target, sizeof(target));
	if (target != TARGET_PAGES || gmem_write(s->mem, gpa(RAM_PAGE), &word, sizeof(word)) < 0 ||
	    gmem_read(s->mem, &target, gpa(RAM_PAGE), sizeof(target)) < 0 || target != word)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct virtio_script scripts[KINDS];
	struct virtio_script *s;

	if (size == 0)
		return 0;
	s = &scripts[data[0] % KINDS];
	if (!s->dev)
		create(s, data[0] % KINDS);
	virtio_script_run(s, data + 1, size - 1);
	check(s);
	return 0;
}
