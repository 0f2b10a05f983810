/* fuzz_state.c - any bytes as a machine's saved state.
 *
 * With the CRCs made to fit, so that the checks behind them are reached; then every
 * section is read with fields of kinds that the input chooses, and the names of the fields.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/snapshot/crc.h"
#include "vmm/snapshot/state.h"

enum { HEADER = 28, SECTION = 20, CRC = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "broken: %s\n", what);
		abort();
	}
}

/* As far as the sections reach. */
static void mend(uint8_t *bytes, size_t len)
{
	uint64_t all = len, fields;
	uint32_t crc;

	if (len < HEADER)
		return;
	memcpy(bytes, "WISPSTAT", 8);
	memcpy(bytes + 16, &all, sizeof(all));
	crc = crc32c(0, bytes, HEADER - CRC);
	memcpy(bytes + HEADER - CRC, &crc, CRC);
	for (size_t at = HEADER; len - at >= SECTION; at += SECTION + (size_t)fields) {
		memcpy(&fields, bytes + at + 8, sizeof(fields));
		if (fields > len - at - SECTION)
			return;
		crc = crc32c(0, bytes + at, SECTION - CRC);
		crc = crc32c(crc, bytes + at + SECTION, (size_t)fields);
		memcpy(bytes + at + SECTION - CRC, &crc, CRC);
	}
}

static void read_fields(struct state *s, const struct state_section_info *info, uint8_t choice)
{
	char text[32];
	uint8_t blob[64];
	size_t n;
	uint64_t wide;
	bool flag;

	state_begin(s, (enum state_section)info->kind->type, info->instance);
	while (!state_failed(s) && choice) {
		switch (choice & 3) {
		case 0:
			state_u64(s, &wide);
			break;
		case 1:
			state_bool(s, &flag);
			break;
		case 2:
			state_string(s, text, sizeof(text));
			require(strlen(text) < sizeof(text), "a text ends");
			break;
		default:
			state_blob(s, blob, &n, sizeof(blob));
			require(n <= sizeof(blob), "a blob fits");
		}
		choice >>= 2;
	}
	state_rest(s, &n);
	state_end(s);
}

/* Whatever a description says lies inside its section. */
static void read_names(struct state *s)
{
	struct state_section_info info;
	struct state_fields *fields;
	struct state_field f;

	if (state_fields_read(s, &fields, NULL) < 0)
		return;
	for (unsigned n = 0; state_section_at(s, n, &info); n++) {
		for (unsigned i = 0; state_field_at(fields, n, i, &f); i++)
			require(f.bytes >= info.bytes && f.len <= info.len &&
					(size_t)(f.bytes - info.bytes) <= info.len - f.len,
				"a field is inside its section");
	}
	state_fields_destroy(fields);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct state_section_info info;
	struct error err = { 0 };
	struct state *s = NULL;
	uint8_t *bytes = malloc(len + 1), choice = len ? data[len - 1] : 0;

	require(bytes != NULL, "memory");
	memcpy(bytes, data, len);
	mend(bytes, len);

	int r = state_parse(bytes, len, &s, &err);

	require((r == 0) == (err.code == 0), "an error has a text");
	if (r == 0)
		read_names(s);
	for (unsigned i = 0; r == 0 && state_section_at(s, i, &info); i++) {
		require(info.instance < info.kind->instances && info.len <= info.kind->max_bytes,
			"the table's limits hold");
		read_fields(s, &info, (uint8_t)(choice + i));
	}
	state_destroy(s);
	free(bytes);
	return 0;
}
