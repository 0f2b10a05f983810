/* fuzz_api_body.c - any verb, path and body, in any state, through the dispatcher.
 *
 * Input: one byte (verb in bits 0-1, state in bits 2-3), the path up to a newline,
 * then the body. Whatever comes, the answer is one of four statuses, a 400 or 413 is a
 * JSON object with one fault message, and a 200 is JSON unless it says that it is text.
 */
#include <stdlib.h>
#include <string.h>

#include "api/routes.h"
#include "tests/unit/fake_vm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_answer(const struct http_response *res)
{
	json_t *j;

	if (res->status == 204) {
		if (res->body)
			abort();
		return;
	}
	if (res->status != 200 && res->status != 400 && res->status != 413)
		abort();
	if (res->type) {
		if (res->status != 200 || !res->body)
			abort();
		return;
	}
	j = json_loads(res->body, 0, NULL);
	if (!j)
		abort();
	if (res->status != 200 && !json_string_value(json_object_get(j, "fault_message")))
		abort();
	json_decref(j);
}

/* Whatever was accepted can be read back. */
static void check_config(struct vm *vm)
{
	const struct http_request get = { .verb = VERB_GET, .path = "/vm/config" };
	struct http_response res = { .status = 204 };

	routes_handle(vm, &get, &res);
	if (res.status != 200)
		abort();
	free(res.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum vm_state states[] = { VM_NOT_STARTED, VM_RUNNING, VM_PAUSED,
						VM_NOT_STARTED };
	char path[HTTP_LINE_BYTES] = "";
	size_t len = 0;

	if (size == 0)
		return 0;
	while (len + 1 < size && len < sizeof(path) - 1 && data[len + 1] != '\n') {
		path[len] = (char)data[len + 1];
		len++;
	}

	size_t start = len + 2 < size ? len + 2 : size;
	struct vm *vm = fake_vm_new();
	struct http_response res = { .status = 204 };
	const struct http_request req = {
		.verb = data[0] & 3,
		.path = path,
		.body = start < size ? (const char *)data + start : NULL,
		.body_len = size - start,
	};

	fake_vm_set_state(vm, states[(data[0] >> 2) & 3]);
	routes_handle(vm, &req, &res);
	check_answer(&res);
	check_config(vm);
	free(res.body);
	vm_destroy(vm);
	return 0;
}
