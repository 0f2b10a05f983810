/* host_x86_64.c - the boot timer's page, and an I/O port. */
#include <errno.h>
#include <fcntl.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest-images/init/host.h"

/* Firecracker's addresses and value; the VMM has the same in layout.h. */
enum { TIMER_VALUE = 123, TIMER_PAGE_LEN = 4096, PORT_WIDTH = 4 };
#define TIMER_ADDRESS 0xc0000000ll

int host_boot_timer(void)
{
	int fd = open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	volatile uint8_t *page =
		mmap(NULL, TIMER_PAGE_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, TIMER_ADDRESS);
	int r = page == MAP_FAILED ? -errno : 0;

	close(fd);
	if (r == 0) {
		*page = TIMER_VALUE;
		munmap((void *)page, TIMER_PAGE_LEN);
	}
	return r;
}

int host_exit(unsigned port, uint32_t status)
{
	if (ioperm(port, PORT_WIDTH, 1) < 0)
		return -errno;
	outl(status, (unsigned short)port);
	return 0;
}
