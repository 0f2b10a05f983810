/* dax_read.c - runs inside a guest: reads a device straight into a mapped file.
 *
 *   dax_read DEVICE FILE
 *
 * With FILE on a DAX file system the buffer of the read is the file's own memory, so the
 * device behind DEVICE stores there itself.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BYTES = 64 * 1024 };

static int failed(const char *what)
{
	perror(what);
	return 1;
}

int main(int argc, char **argv)
{
	int from, to;
	void *map;

	if (argc != 3)
		return 2;
	from = open(argv[1], O_RDONLY | O_DIRECT | O_CLOEXEC);
	to = open(argv[2], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (from < 0 || to < 0 || ftruncate(to, BYTES) < 0)
		return failed("open");
	map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, to, 0);
	if (map == MAP_FAILED)
		return failed("mmap");
	if (pread(from, map, BYTES, 0) != BYTES)
		return failed("pread");
	return msync(map, BYTES, MS_SYNC) < 0 ? failed("msync") : 0;
}
