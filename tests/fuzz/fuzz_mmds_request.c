/* fuzz_mmds_request.c - any bytes as a guest's requests to the metadata service.
 *
 * The first byte chooses the version of the service and the form of its answers, the rest
 * is what the guest sends, one request after the other. Each answer is HTTP whose length
 * is what it says.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/mmds/mmds.h"

enum { LIMIT = 4096, REQUEST_MAX = 2500 };

#define DOCUMENT                                                                       \
	"{\"a\":{\"b\":\"text\",\"c\":[1,2.5,{\"d\":null}],\"\":\"empty\"},\"~/\":{}," \
	"\"n\":true,\"latest\":{\"api\":{\"token\":\"x\"}}}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Head and body, no more and no less. */
static void check_answer(const struct mmds_answer *a)
{
	char *text = strndup(a->text, a->len), *end, *length;

	if (!text || strlen(text) != a->len)
		abort(); /* neither the document nor HTTP has a NUL */
	end = strstr(text, "\r\n\r\n");
	length = strstr(text, "Content-Length: ");
	if (strncmp(text, "HTTP/1.", 7) != 0 || !end || !length || length > end ||
	    strtoul(length + strlen("Content-Length: "), NULL, 10) != strlen(end + 4))
		abort();
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data + 1;
	json_t *document = json_loads(DOCUMENT, 0, NULL);
	struct mmds_answer a;
	struct mmds *m;

	if (size == 0 || mmds_create(LIMIT, &m) < 0 || mmds_put(m, document) < 0) {
		json_decref(document);
		return 0;
	}
	json_decref(document);
	mmds_configure(m, data[0] & 1 ? MMDS_V2 : MMDS_V1, data[0] & 2);
	for (size_t left = size - 1; left > 0;) {
		size_t len = left < REQUEST_MAX ? left : REQUEST_MAX;
		size_t used = mmds_answer(m, at, len, len == REQUEST_MAX, 1, &a);

		if (used > len)
			abort();
		if (used == 0)
			break;
		check_answer(&a);
		free(a.text);
		if (a.close)
			break;
		at += used;
		left -= used;
	}
	mmds_destroy(m);
	return 0;
}
