/* doc.c - the reference of the API, made from the table of routes.
 *
 * What the dispatcher goes by is what is written, so the reference cannot say anything
 * else.
 */
#include <errno.h>

#include "api/body_doc.h"
#include "api/doc.h"
#include "api/routes.h"

static const char introduction[] =
	"# The API\n\n"
	"Made from the tables that check requests: `build/bin/test_spec docs/api.md` writes this "
	"page, and\na test compares. `wisp --api-spec` prints the same as an OpenAPI document. "
	"[firecracker.md](firecracker.md)\nsays what differs from Firecracker.\n\n"
	"HTTP/1.1 on a Unix socket. A request that succeeds is answered with 200 and a body, or "
	"with 204; any\nother with 400 and `{\"fault_message\": \"...\"}`, and has changed nothing. "
	"Fields that are not listed are\nrefused. `{id}`: letters, digits and underscores. A path or "
	"tap may be `fd:N`, an open descriptor (wisp(1),\nDescriptors instead of paths).\n";

static const char *when(unsigned states)
{
	if (states & VM_NOT_STARTED)
		return states & VM_RUNNING ? "Always." : "Before the start.";
	return states == VM_PAUSED ? "While the machine is paused." : "After the start.";
}

static void put_body(FILE *out, const struct route *r)
{
	if (r->any_body)
		fputs(" The body is any JSON object or list.", out);
	if (!r->body)
		return;
	if (r->body->open)
		fputs(" Fields that are not listed are ignored.", out);
	if (r->body_optional)
		fputs(" The body may be left out.", out);
	body_doc(out, r->body, r->present != NULL);
}

int doc_write(FILE *out)
{
	fputs(introduction, out);
	for (size_t i = 0; i < routes_count; i++) {
		const struct route *r = &routes[i];

		fprintf(out, "\n## %s %s\n\n%s", http_verb_name(r->verb), r->path, when(r->states));
		if (r->type)
			fprintf(out, " Answered with `%s`.", r->type);
		if (r->deprecated)
			fprintf(out, " `%s` is deprecated.", r->deprecated);
		put_body(out, r);
		if (!r->body)
			fputc('\n', out);
	}
	return ferror(out) ? -EIO : 0;
}
