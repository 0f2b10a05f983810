/* kvm_version.c - prints what /dev/kvm answers to KVM_GET_API_VERSION (12). */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>

int main(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		perror("/dev/kvm");
		return 1;
	}
	printf("%d\n", ioctl(fd, KVM_GET_API_VERSION, 0));
	return 0;
}
