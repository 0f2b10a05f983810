/* fuzz_virtio_pmem.c - a hostile driver against a file as memory.
 *
 * The first byte chooses: writable, or not, which must leave the file as it was. Flushes
 * are real, of a file in memory.
 */
#include <linux/virtio_mmio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "devices/virtio/pmem.h"
#include "devices/virtio/transport.h"
#include "tests/fuzz/virtio_script.h"

enum { KINDS = 2, FILE_BYTES = 3 * 1024 * 1024, PATTERN = 0x5a };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int make_file(char *path)
{
	int fd = mkstemp(path);

	if (fd < 0 || ftruncate(fd, FILE_BYTES) < 0 || pwrite(fd, &(char){ PATTERN }, 1, 0) != 1)
		abort();
	return fd;
}

static void create(struct virtio_script *s, bool read_only)
{
	static struct loop *loop;
	char path[] = "/dev/shm/fuzz-pmem-XXXXXX";
	const struct virtio_pmem_options o = { .path = path, .read_only = read_only };
	struct virtio_dev *dev;
	int fd = make_file(path);

	if (virtio_pmem_create(&o, &dev, NULL) < 0 || (!loop && loop_create(&loop) < 0))
		abort();
	close(fd);
	unlink(path);
	virtio_script_create(s, dev);
	if (virtio_transport_attach(s->transport, loop) < 0)
		abort();
}

static void check(struct virtio_script *s, bool read_only)
{
	uint32_t start = 0;
	char byte;

	virtio_mmio_bus_ops.read(s->transport, VIRTIO_MMIO_CONFIG, &start, sizeof(start));
	if (gmem_read(s->mem, &byte, gpa(start), 1) < 0 || (read_only && byte != PATTERN) ||
	    (gmem_write(s->mem, gpa(start), &byte, 1) == 0) == read_only)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct virtio_script scripts[KINDS];
	bool read_only;

	if (size == 0)
		return 0;
	read_only = data[0] % KINDS;
	if (!scripts[read_only].dev)
		create(&scripts[read_only], read_only);
	virtio_script_run(&scripts[read_only], data + 1, size - 1);
	check(&scripts[read_only], read_only);
	return 0;
}
