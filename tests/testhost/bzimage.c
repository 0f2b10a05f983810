/* bzimage.c - taking the compressed kernel out of a bzImage. */
#include <asm/bootparam.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/testhost/bzimage.h"
#include "vmm/base/fd.h"

enum {
	HEADER_AT = 0x1f1,
	HEADER_MAGIC = 0x53726448, /* "HdrS" */
	PAYLOAD_VERSION = 0x208,   /* the first with payload_offset */
	SECTOR_BYTES = 512,
	PAYLOAD_MAX_BYTES = 256 * 1024 * 1024,
};

static const unsigned char xz_magic[] = { 0xfd, '7', 'z', 'X', 'Z', 0 };

static int copy_payload(int from, off_t at, size_t len, const char *to)
{
	char *payload = malloc(len);
	int r = -ENOMEM, fd = -1;

	if (!payload)
		return r;
	r = fd_pread_all(from, payload, len, at);
	if (r < 0)
		goto done;
	if (memcmp(payload, xz_magic, sizeof(xz_magic)) != 0) {
		r = -ENOEXEC;
		goto done;
	}
	fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	r = fd < 0 ? -errno : fd_pwrite_all(fd, payload, len, 0);
done:
	fd_close(fd);
	free(payload);
	return r;
}

int bzimage_extract(const char *from, const char *to)
{
	struct setup_header header;
	int fd = open(from, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;

	int r = fd_pread_all(fd, &header, sizeof(header), HEADER_AT);

	if (r == -ENODATA ||
	    (r == 0 && (header.header != HEADER_MAGIC || header.version < PAYLOAD_VERSION ||
			header.payload_length < sizeof(xz_magic) ||
			header.payload_length > PAYLOAD_MAX_BYTES)))
		r = -ENOEXEC;
	if (r == 0)
		r = copy_payload(
			fd, (off_t)(header.setup_sects + 1) * SECTOR_BYTES + header.payload_offset,
			header.payload_length, to);
	fd_close(fd);
	return r;
}
