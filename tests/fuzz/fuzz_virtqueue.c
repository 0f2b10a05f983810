/* fuzz_virtqueue.c - a hostile driver against the queue and the MMIO transport.
 *
 * The device touches every byte that the queue hands it. Guest memory has guard
 * pages around it, so a span that leaves it ends the run.
 */
#include <stdlib.h>

#include "tests/fuzz/virtio_script.h"
#include "tests/unit/virtio_probe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct virtio_script script;

	if (!script.dev) {
		struct probe *p = probe_create();

		if (!p)
			abort();
		virtio_script_create(&script, &p->dev);
	}
	virtio_script_run(&script, data, size);
	return 0;
}
