/* tar.c - headers of 512 bytes, and data in blocks of as many (POSIX.1-1988, ustar). */
#include <errno.h>
#include <string.h>

#include "supervisor/cli/tar.h"

enum { BLOCK = 512, END_BLOCKS = 2 };

static const int64_t SIZE_MAX_BYTES = INT64_C(1) << 33; /* eleven octal digits */

struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type;
	char link[100], magic[6], version[2], user[32], group[32], major[8], minor[8];
	char prefix[155], padding[12];
};

_Static_assert(sizeof(struct header) == BLOCK, "as the format says");

/* width - 1 octal digits, and a NUL. */
static void put_octal(char *field, unsigned width, uint64_t n)
{
	field[--width] = '\0';
	while (width-- > 0) {
		field[width] = (char)('0' + (n & 7));
		n >>= 3;
	}
}

/* The sum of all bytes, those of the sum itself taken as blanks. */
static void put_checksum(struct header *h)
{
	const unsigned char *bytes = (const unsigned char *)h;
	unsigned sum = 0;

	memset(h->checksum, ' ', sizeof(h->checksum));
	for (size_t i = 0; i < sizeof(*h); i++)
		sum += bytes[i];
	put_octal(h->checksum, sizeof(h->checksum) - 1, sum);
}

int tar_put(FILE *out, const char *name, int64_t mtime_s, const char *data, size_t len)
{
	static const char zeros[BLOCK];
	struct header h = { .type = '0', .magic = "ustar", .version = { '0', '0' } };
	const size_t padding = (BLOCK - len % BLOCK) % BLOCK;

	if (strlen(name) >= sizeof(h.name))
		return -ENAMETOOLONG;
	if ((int64_t)len >= SIZE_MAX_BYTES)
		return -EFBIG;
	strcpy(h.name, name);
	put_octal(h.mode, sizeof(h.mode), 0600);
	put_octal(h.uid, sizeof(h.uid), 0);
	put_octal(h.gid, sizeof(h.gid), 0);
	put_octal(h.size, sizeof(h.size), len);
	put_octal(h.mtime, sizeof(h.mtime), (uint64_t)mtime_s);
	put_checksum(&h);
	if (fwrite(&h, 1, sizeof(h), out) != sizeof(h) || fwrite(data, 1, len, out) != len ||
	    fwrite(zeros, 1, padding, out) != padding)
		return -EIO;
	return 0;
}

int tar_end(FILE *out)
{
	static const char zeros[END_BLOCKS * BLOCK];

	return fwrite(zeros, 1, sizeof(zeros), out) == sizeof(zeros) && fflush(out) == 0 ? 0 : -EIO;
}
