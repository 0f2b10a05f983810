/* erasure.c - overwriting a file, reading it again, and saying so. */
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/books/hex.h"
#include "supervisor/books/instance.h"
#include "supervisor/volume/erasure.h"
#include "vmm/base/fd.h"

enum { CHUNK_BYTES = 1 << 20, CERTIFICATE_BYTES = 512 };

/* All that has blocks, chunk by chunk. fn: 0 or a negative errno. */
static int each_chunk(int fd, int (*fn)(int fd, void *chunk, size_t len, off_t at), void *chunk,
		      uint64_t *bytes)
{
	off_t end = lseek(fd, 0, SEEK_END), at = 0;

	while (at < end) {
		off_t data = lseek(fd, at, SEEK_DATA), hole;

		if (data < 0)
			return errno == ENXIO ? 0 : -errno;
		hole = lseek(fd, data, SEEK_HOLE);
		for (at = data; at < hole;) {
			size_t len = hole - at < CHUNK_BYTES ? (size_t)(hole - at) : CHUNK_BYTES;
			int r = fn(fd, chunk, len, at);

			if (r < 0)
				return r;
			at += (off_t)len;
			*bytes += len;
		}
	}
	return end < 0 ? -errno : 0;
}

static int overwrite(int fd, void *chunk, size_t len, off_t at)
{
	memset(chunk, 0, len);
	return fd_pwrite_all(fd, chunk, len, at);
}

static int verify(int fd, void *chunk, size_t len, off_t at)
{
	const uint8_t *bytes = chunk;
	int r = fd_pread_all(fd, chunk, len, at);

	if (r < 0)
		return r;
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0 ? 0 : -EIO;
}

/* Read again from the disk, not from memory. */
static int erase(int fd, void *chunk, struct erasure *e)
{
	int r = each_chunk(fd, overwrite, chunk, &e->overwritten_bytes);

	if (r == 0 && fdatasync(fd) < 0)
		r = -errno;
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return r < 0 ? r : each_chunk(fd, verify, chunk, &e->verified_bytes);
}

int erasure_run(int fd, struct erasure *ret)
{
	void *chunk = malloc(CHUNK_BYTES);
	int r;

	*ret = (struct erasure){ 0 };
	r = chunk ? erase(fd, chunk, ret) : -ENOMEM;
	free(chunk);
	return r;
}

json_t *erasure_certify(const char *what, const struct erasure *e)
{
	char text[CERTIFICATE_BYTES], hash[DIGEST_BYTES];
	uint8_t sum[SHA256_DIGEST_SIZE];
	struct sha256_ctx ctx;

	snprintf(text, sizeof(text),
		 "%s: %llu bytes overwritten with zeros, %llu read again from the disk and zero",
		 what, (unsigned long long)e->overwritten_bytes,
		 (unsigned long long)e->verified_bytes);
	sha256_init(&ctx);
	sha256_update(&ctx, strlen(text), (const uint8_t *)text);
	sha256_digest(&ctx, sizeof(sum), sum);
	hex_encode(sum, sizeof(sum), hash);
	return json_pack("{s:s, s:s, s:I, s:I}", "certificate", text, "sha256", hash,
			 "overwritten_bytes", (json_int_t)e->overwritten_bytes, "verified_bytes",
			 (json_int_t)e->verified_bytes);
}
