/* fuzz_virtio_rng.c - a hostile driver against the entropy device.
 *
 * It gives random bytes and takes none: whatever the driver asks for, what was counted
 * is at most what the requests had room for.
 */
#include <stdlib.h>

#include "devices/virtio/rng.h"
#include "devices/virtio/transport.h"
#include "tests/fuzz/virtio_script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void create(struct virtio_script *s)
{
	const struct limiter_config none = { 0 };
	struct virtio_dev *dev;
	struct loop *loop;

	if (virtio_rng_create(&none, &dev) < 0 || loop_create(&loop) < 0)
		abort();
	virtio_script_create(s, dev);
	if (virtio_transport_attach(s->transport, loop) < 0)
		abort();
}

/* The counters of one input: none has a way to take bytes from the guest. */
static void check(const struct virtio_counters *before, const struct virtio_counters *after)
{
	const uint64_t most = 65536;

	if (after->write_bytes != 0)
		abort();
	if (after->read_bytes - before->read_bytes > (after->requests - before->requests) * most)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct virtio_script s;
	struct virtio_counters before;

	if (!s.dev)
		create(&s);
	before = s.dev->counters;
	virtio_script_run(&s, data, size);
	check(&before, &s.dev->counters);
	return 0;
}
