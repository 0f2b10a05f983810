/* command_support.c - wispctl support-bundle: all that is known of an instance, in one file.
 *
 * It is put together here, from what the API tells whoever asks: so it has nothing in it that
 * its maker may not see, and what he may not see is said to be missing. The archive's last
 * file, manifest.json, lists the others with their hashes.
 */
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/cli/budgets.h"
#include "supervisor/cli/redact.h"
#include "supervisor/cli/tar.h"

enum { ID_BYTES = 80, EVENTS_AT_ONCE = 1000, EVENTS_MAX = 100000, LOG_MAX_BYTES = 16 << 20 };

/* Where "{}" stands comes what the row says. */
enum about { ABOUT_NOTHING, ABOUT_INSTANCE, ABOUT_IMAGE, ABOUT_TENANT, ABOUT_PERIOD, ABOUTS };

static const struct part {
	const char *file, *path;
	enum about about;
} parts[] = {
	{ "trace.json", "/instances/{}/trace", ABOUT_INSTANCE },
	{ "decision.json", "/instances/{}/explain", ABOUT_INSTANCE },
	{ "image.json", "/images/{}", ABOUT_IMAGE },
	{ "networks.json", "/networks", ABOUT_NOTHING },
	{ "volumes.json", "/volumes", ABOUT_NOTHING },
	{ "states.json", "/states", ABOUT_NOTHING },
	{ "tenants.json", "/tenants", ABOUT_NOTHING },
	{ "scheduling.json", "/scheduling", ABOUT_NOTHING },
	{ "usage.json", "/usage?by=day", ABOUT_NOTHING },
	{ "invoice.json", "/invoices/{}", ABOUT_PERIOD },
	{ "plans.json", "/plans", ABOUT_NOTHING },
	{ "budget.json", "/tenants/{}/budget", ABOUT_TENANT },
	{ "ledger-anchor.json", "/ledger/anchor", ABOUT_NOTHING },
	{ "version.json", "/version", ABOUT_NOTHING },
	{ "host.json", "/host", ABOUT_NOTHING },
	{ "doctor.json", "/doctor", ABOUT_NOTHING },
	{ "findings.json", "/findings", ABOUT_NOTHING },
};

struct bundle {
	struct cli *cli;
	FILE *out;
	char about[ABOUTS][ID_BYTES];
	json_t *files, *missing; /* of the manifest */
	unsigned redacted;
	int64_t now_s;
	int result;
};

/* --- files of it --- */

static void hash(const char *data, size_t len, char hex[2 * SHA256_DIGEST_SIZE + 1])
{
	uint8_t sum[SHA256_DIGEST_SIZE];
	struct sha256_ctx ctx;

	sha256_init(&ctx);
	sha256_update(&ctx, len, (const uint8_t *)data);
	sha256_digest(&ctx, sizeof(sum), sum);
	for (unsigned i = 0; i < sizeof(sum); i++)
		sprintf(hex + 2 * (size_t)i, "%02x", sum[i]);
}

static void put(struct bundle *b, const char *file, const char *data)
{
	char name[ID_BYTES + 64], hex[2 * SHA256_DIGEST_SIZE + 1];
	const size_t len = strlen(data);

	snprintf(name, sizeof(name), "%s/%s", b->about[ABOUT_INSTANCE], file);
	hash(data, len, hex);
	json_array_append_new(b->files, json_pack("{s:s, s:I, s:s}", "file", file, "bytes",
						  (json_int_t)len, "sha256", hex));
	if (b->result == 0)
		b->result = tar_put(b->out, name, b->now_s, data, len);
}

/* Takes over the reference to j. */
static void put_json(struct bundle *b, const char *file, json_t *j)
{
	char *text;

	b->redacted += redact(j);
	text = json_dumps(j, JSON_INDENT(1) | JSON_SORT_KEYS);
	json_decref(j);
	if (text)
		put(b, file, text);
	else if (b->result == 0)
		b->result = -ENOMEM;
	free(text);
}

static void miss(struct bundle *b, const char *file)
{
	json_array_append_new(b->missing, json_pack("{s:s, s:s}", "file", file, "why",
						    wisp_error(b->cli->client)));
}

/* --- what is asked for --- */

static void expand(char path[CLI_PATH_BYTES], const char *form, const char *about)
{
	const char *at = strstr(form, "{}");

	if (at)
		snprintf(path, CLI_PATH_BYTES, "%.*s%s%s", (int)(at - form), form, about, at + 2);
	else
		snprintf(path, CLI_PATH_BYTES, "%s", form);
}

static void take_part(struct bundle *b, const struct part *p)
{
	char path[CLI_PATH_BYTES];
	json_t *j = NULL;

	expand(path, p->path, b->about[p->about]);
	if (cli_call(b->cli, "GET", path, NULL, &j) == 0)
		put_json(b, p->file, j);
	else
		miss(b, p->file);
}

/* All that happened to it: states, counters, gaps, alarms. */
static void take_events(struct bundle *b)
{
	json_t *all = json_array(), *j = NULL;
	json_int_t after = 0;
	size_t count;

	do {
		char path[CLI_PATH_BYTES];

		snprintf(path, sizeof(path), "/events?instance=%s&after=%lld&limit=%d",
			 b->about[ABOUT_INSTANCE], (long long)after, EVENTS_AT_ONCE);
		if (cli_call(b->cli, "GET", path, NULL, &j) != 0) {
			miss(b, "events.json");
			break;
		}
		after = json_integer_value(json_object_get(j, "next"));
		count = json_array_size(json_object_get(j, "events"));
		json_array_extend(all, json_object_get(j, "events"));
		json_decref(j);
		j = NULL;
	} while (count > 0 && json_array_size(all) < EVENTS_MAX);
	put_json(b, "events.json", all);
}

/* A line of another's program: its end where it is too long. */
static void take_log(struct bundle *b, const char *file, const char *of)
{
	size_t len = 0, start;
	char *text = NULL;
	FILE *out = open_memstream(&text, &len);
	json_int_t from = -1, next = 0;

	while (out && next > from) {
		char path[CLI_PATH_BYTES];
		json_t *j = NULL;

		from = next;
		snprintf(path, sizeof(path), "/instances/%s/logs?from=%lld&of=%s",
			 b->about[ABOUT_INSTANCE], (long long)from, of);
		if (cli_call(b->cli, "GET", path, NULL, &j) != 0) {
			miss(b, file);
			break;
		}
		fputs(json_string_value(json_object_get(j, "text")), out);
		next = json_integer_value(json_object_get(j, "next"));
		json_decref(j);
	}
	if (out)
		fclose(out);
	start = len > LOG_MAX_BYTES ? len - LOG_MAX_BYTES : 0;
	if (text && len)
		put(b, file, text + start);
	free(text);
}

static void put_manifest(struct bundle *b)
{
	json_t *j =
		json_pack("{s:s, s:s, s:I, s:i, s:O, s:O}", "instance", b->about[ABOUT_INSTANCE],
			  "tenant", b->about[ABOUT_TENANT], "made_s", (json_int_t)b->now_s,
			  "left_out", (int)b->redacted, "files", b->files, "missing", b->missing);

	put_json(b, "manifest.json", j);
}

/* --- the command --- */

static void copy_text(char to[ID_BYTES], const json_t *j, const char *member)
{
	char buf[32];

	snprintf(to, ID_BYTES, "%s", cli_text(j, member, buf, sizeof(buf)));
}

/* The instance, which all the rest is about; an exit status. */
static int find_instance(struct bundle *b, const char *which, json_t **ret)
{
	time_t now = (time_t)b->now_s;
	char path[CLI_PATH_BYTES];
	struct tm tm;
	int status;

	snprintf(path, sizeof(path), "/instances/%s", which);
	status = cli_call(b->cli, "GET", path, NULL, ret);
	if (status != 0)
		return status;
	copy_text(b->about[ABOUT_INSTANCE], *ret, "id");
	copy_text(b->about[ABOUT_IMAGE], *ret, "image");
	copy_text(b->about[ABOUT_TENANT], *ret, "tenant");
	gmtime_r(&now, &tm);
	strftime(b->about[ABOUT_PERIOD], ID_BYTES, "%Y-%m", &tm);
	return 0;
}

static void take_all(struct bundle *b, json_t *instance, bool logs)
{
	const char *tenant = b->cli->tenant;
	const bool quiet = b->cli->quiet;

	b->cli->tenant = b->about[ABOUT_TENANT];
	b->cli->quiet = true;
	put_json(b, "instance.json", json_incref(instance));
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		take_part(b, &parts[i]);
	take_events(b);
	if (logs) {
		take_log(b, "console.log", "console");
		take_log(b, "vmm.log", "vmm");
	}
	put_manifest(b);
	b->cli->quiet = quiet;
	b->cli->tenant = tenant;
}

/* Its owner alone reads it, and what is there stays. */
static FILE *open_new(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "we");

	if (!f)
		fprintf(stderr, "wispctl: cannot make %s: %s\n", path, strerror(errno));
	if (!f && fd >= 0)
		close(fd);
	return f;
}

static int write_bundle(struct bundle *b, json_t *instance, const char *path, bool logs)
{
	b->out = open_new(path);
	if (!b->out)
		return EXIT_REFUSED;
	b->files = json_array();
	b->missing = json_array();
	take_all(b, instance, logs);
	if (b->result == 0)
		b->result = tar_end(b->out);
	if (fclose(b->out) != 0 && b->result == 0)
		b->result = -errno;
	if (b->result < 0) {
		fprintf(stderr, "wispctl: cannot write %s: %s\n", path, strerror(-b->result));
		unlink(path);
	} else {
		printf("%s: %zu files, %zu not to be had, %u values left out\n", path,
		       json_array_size(b->files), json_array_size(b->missing), b->redacted);
	}
	json_decref(b->missing);
	json_decref(b->files);
	return b->result < 0 ? EXIT_REFUSED : 0;
}

enum { OPTION_OUTPUT, OPTION_NO_LOGS };

const struct cli_option support_options[] = {
	[OPTION_OUTPUT] = { "output,o", "FILE", "where to; by default INSTANCE.tar" },
	[OPTION_NO_LOGS] = { "no-logs", NULL, "without what its console and its VMM have said" },
	{ 0 },
};

int support_bundle(struct cli *cli, const struct cli_arguments *a)
{
	struct bundle b = { .cli = cli, .now_s = (int64_t)time(NULL) };
	const char *path = a->option[OPTION_OUTPUT];
	char usual[ID_BYTES + 8];
	json_t *instance = NULL;
	int status = find_instance(&b, a->operand[0], &instance);

	snprintf(usual, sizeof(usual), "%s.tar", b.about[ABOUT_INSTANCE]);
	if (status == 0)
		status =
			write_bundle(&b, instance, path ? path : usual, !a->option[OPTION_NO_LOGS]);
	json_decref(instance);
	return status;
}
