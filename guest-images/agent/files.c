/* files.c - the verbs that copy out of the guest, and into it. */
#include <errno.h>
#include <inttypes.h>

#include "guest-images/agent/session.h"
#include "guest-images/agent/tree.h"

enum { ANSWER_LEN = 128 };

static void result_tell(struct session *s, int r, const struct tree_result *result)
{
	char bytes[ANSWER_LEN];
	struct fields f = { .bytes = bytes, .size = sizeof(bytes) };

	if (r == -EREMOTE)
		return; /* the caller knows */
	if (r < 0) {
		session_fault(s, -r, "%s", result->fault);
		return;
	}
	fields_add(&f, "entries", "%" PRIu64, result->entries);
	fields_add(&f, "bytes", "%" PRIu64, result->bytes);
	session_answer(s, &f);
}

void files_serve_read(struct session *s)
{
	const char *path = fields_get(s->bytes, s->len, "path");
	struct tree_result result;

	if (!path || *path != '/')
		session_fault(s, EINVAL, "path must be absolute");
	else
		result_tell(s, tree_send(s->channel, path, &result), &result);
}

void files_serve_write(struct session *s)
{
	const char *path = fields_get(s->bytes, s->len, "path");
	const char *name = fields_get(s->bytes, s->len, "name");
	struct tree_result result;

	if (!path || *path != '/' || !name)
		session_fault(s, EINVAL, "path must be absolute, and name be given");
	else
		result_tell(s, tree_receive(s->channel, path, name, true, &result), &result);
}
