/* fuzz_working_set.c - any bytes as a list of a machine's pages.
 *
 * With the checksum made to fit, so that the checks behind it are reached; what is given
 * out must be in order and inside memory.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/memfile.h"
#include "vmm/snapshot/crc.h"
#include "vmm/snapshot/working_set.h"

enum { HEAD = 48, CRC_AT = 44 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "broken: %s\n", what);
		abort();
	}
}

/* As if all that follows were runs. */
static void mend(uint8_t *bytes, size_t len)
{
	uint32_t crc;

	if (len < HEAD)
		return;
	memcpy(bytes, "WISPWSET", 8);
	crc = crc32c(crc32c(0, bytes, CRC_AT), bytes + HEAD, len - HEAD);
	memcpy(bytes + CRC_AT, &crc, sizeof(crc));
}

static void check_runs(const struct working_set_run *run, uint32_t count, uint64_t memory_bytes)
{
	uint64_t next = 0;

	for (uint32_t i = 0; i < count; i++) {
		require(run[i].first >= next && run[i].pages > 0, "runs ascend");
		next = run[i].first + run[i].pages;
		require(next > run[i].first && next <= memory_bytes / WORKING_SET_PAGE,
			"runs are in memory");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t *bytes = malloc(len + 1);
	struct working_set *w = NULL;
	struct error err = { 0 };
	int fd, r;

	require(bytes != NULL, "memory");
	memcpy(bytes, data, len);
	mend(bytes, len);
	fd = memfile(bytes, len);
	require(fd >= 0, "a file");
	r = working_set_read(fd, "w", &w, &err);
	require((r == 0) == (err.code == 0), "an error has a text");
	if (r == 0) {
		check_runs(w->run, w->count, w->memory_bytes);
		check_runs(w->stored_run, w->stored, w->memory_bytes);
	}
	working_set_destroy(w);
	close(fd);
	free(bytes);
	return 0;
}
