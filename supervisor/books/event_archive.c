/* event_archive.c - lines at the end of a file, and several files read side by side.
 *
 * After a restore of a back-up the same numbers may be in two files, of two ledgers that went
 * different ways. A line is taken only if its hash follows from the hash before it, so the
 * one that belongs to the ledger in question is found.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/books/event_archive.h"
#include "supervisor/books/hex.h"
#include "vmm/base/fd.h"

enum { FILE_BYTES_MAX = 64 << 20, LINE_BYTES_MAX = 1 << 20 };

static const int64_t NS_PER_S = 1000000000;

/* --- writing --- */

int event_archive_print(FILE *out, const struct record *r, const uint8_t hash[LEDGER_HASH_BYTES])
{
	char hex[LEDGER_HEX_BYTES];
	json_t *j;
	int e;

	hex_encode(hash, LEDGER_HASH_BYTES, hex);
	j = json_pack("{s:I, s:I, s:s, s:I, s:I, s:s, s:s, s:s, s:I, s:s, s:s, s:s}", "seq",
		      (json_int_t)r->seq, "subject_n", (json_int_t)r->subject_n, "boot_id",
		      r->boot_id, "boot_ns", (json_int_t)r->boot_ns, "wall_ns",
		      (json_int_t)r->wall_ns, "type", r->type, "tenant", r->tenant, "instance",
		      r->instance, "incarnation", (json_int_t)r->incarnation, "actor", r->actor,
		      "body", r->body, "hash", hex);
	e = j && json_dumpf(j, out, JSON_COMPACT) == 0 && fputc('\n', out) != EOF ? 0 : -ENOMEM;
	json_decref(j);
	return e;
}

static int sync_folder(int folder)
{
	return fsync(folder) < 0 ? -errno : 0;
}

/* The file that lines go to: the last one, if it is as it was left and has room. */
static int open_end(int folder, int64_t first_seq, struct event_archive_end *end)
{
	struct stat st;
	int fd = -1;

	if (end->name[0])
		fd = openat(folder, end->name, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size == end->bytes &&
	    st.st_size < FILE_BYTES_MAX)
		return fd;
	fd_close(fd);
	for (int64_t at = ledger_wall_ns() / NS_PER_S;; at++) {
		snprintf(end->name, sizeof(end->name), "events-%012" PRId64 "-%" PRId64 ".jsonl",
			 first_seq, at);
		fd = openat(folder, end->name,
			    O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd >= 0 || errno != EEXIST)
			break;
	}
	end->bytes = 0;
	return fd;
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		text += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return fdatasync(fd) < 0 ? -errno : 0;
}

int event_archive_add(const char *folder, int64_t first_seq, const char *lines, size_t len,
		      struct event_archive_end *end, struct error *err)
{
	int dir = -1, fd = -1, r;

	if (mkdir(folder, 0700) == 0 || errno == EEXIST)
		dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0)
		fd = open_end(dir, first_seq, end);
	r = fd < 0 ? -errno : write_all(fd, lines, len);
	if (r == 0)
		r = sync_folder(dir);
	if (r == 0)
		end->bytes += (int64_t)len;
	else
		error_set(err, r, "state_dir", NULL, "Cannot add to the archive in %s: %s", folder,
			  strerror(-r));
	fd_close(fd);
	fd_close(dir);
	return r;
}

/* --- reading --- */

/* A file, and the line of it that was read last. */
struct part {
	char name[EVENT_ARCHIVE_NAME_BYTES];
	int64_t first_seq;
	FILE *file;   /* NULL: not begun, or at its end */
	json_t *line; /* NULL: none */
	int64_t seq;  /* of the line; INT64_MAX: there are no more */
};

struct event_archive {
	int folder;
	size_t count;
	struct part *parts; /* in the order of their names, so of their first events */
	char *text;	    /* a line */
	size_t room;
};

static int is_part(const struct dirent *entry)
{
	const size_t len = strlen(entry->d_name), end = strlen(".jsonl");

	return len < EVENT_ARCHIVE_NAME_BYTES && len > end &&
	       strncmp(entry->d_name, "events-", strlen("events-")) == 0 &&
	       strcmp(entry->d_name + len - end, ".jsonl") == 0;
}

static int list_parts(struct event_archive *a, const char *folder)
{
	struct dirent **entries = NULL;
	int count = scandir(folder, &entries, is_part, alphasort);

	if (count < 0)
		return -errno;
	a->parts = calloc((size_t)count + 1, sizeof(struct part));
	for (int i = 0; i < count; i++) {
		struct part p = { 0 };

		snprintf(p.name, sizeof(p.name), "%.63s", entries[i]->d_name);
		p.first_seq = strtoll(p.name + strlen("events-"), NULL, 10);
		if (a->parts)
			a->parts[a->count++] = p;
		free(entries[i]);
	}
	free(entries);
	return a->parts ? 0 : -ENOMEM;
}

int event_archive_open(const char *folder, struct event_archive **ret, struct error *err)
{
	struct event_archive *a = calloc(1, sizeof(*a));
	int r = -ENOMEM;

	if (a) {
		a->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = a->folder < 0 ? -errno : list_parts(a, folder);
	}
	if (r < 0) {
		event_archive_close(a);
		return error_set(err, r, "archive", "the folder with files events-*.jsonl",
				 "Cannot read the archive %s: %s", folder, strerror(-r));
	}
	*ret = a;
	return 0;
}

static void end_part(struct part *p)
{
	json_decref(p->line);
	if (p->file)
		fclose(p->file);
	p->line = NULL;
	p->file = NULL;
	p->seq = INT64_MAX;
}

void event_archive_close(struct event_archive *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->count; i++)
		end_part(&a->parts[i]);
	free(a->parts);
	free(a->text);
	fd_close(a->folder);
	free(a);
}

/* The next line; half of one, which a crash left, is the end. */
static void read_line(struct event_archive *a, struct part *p)
{
	ssize_t n = getline(&a->text, &a->room, p->file);

	json_decref(p->line);
	p->line = NULL;
	if (n > 0 && n < LINE_BYTES_MAX && a->text[n - 1] == '\n')
		p->line = json_loadb(a->text, (size_t)n, 0, NULL);
	if (!json_is_integer(json_object_get(p->line, "seq"))) {
		end_part(p);
		return;
	}
	p->seq = json_integer_value(json_object_get(p->line, "seq"));
}

static int begin_part(const struct event_archive *a, struct part *p, struct error *err)
{
	int fd = openat(a->folder, p->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "re");

	p->file = file;
	if (file)
		return 0;
	fd_close(fd);
	return error_errno(err, "archive", NULL, "Cannot read %s", p->name);
}

/* Its line is event seq, or one behind it. */
static int advance(struct event_archive *a, struct part *p, int64_t seq, struct error *err)
{
	int r = 0;

	if (p->first_seq <= seq && p->seq == 0)
		r = begin_part(a, p, err);
	while (r == 0 && p->file && p->seq < seq)
		read_line(a, p);
	return r;
}

static const char *text_of(const json_t *line, const char *name)
{
	const char *text = json_string_value(json_object_get(line, name));

	return text ? text : "";
}

static int64_t number_of(const json_t *line, const char *name)
{
	return json_integer_value(json_object_get(line, name));
}

/* Whether the line's hash follows from the one before it. */
static bool follows(const json_t *line, const uint8_t previous[LEDGER_HASH_BYTES],
		    uint8_t hash[LEDGER_HASH_BYTES])
{
	const struct record r = {
		.seq = number_of(line, "seq"),
		.subject_n = number_of(line, "subject_n"),
		.boot_id = text_of(line, "boot_id"),
		.boot_ns = number_of(line, "boot_ns"),
		.wall_ns = number_of(line, "wall_ns"),
		.type = text_of(line, "type"),
		.tenant = text_of(line, "tenant"),
		.instance = text_of(line, "instance"),
		.incarnation = number_of(line, "incarnation"),
		.actor = text_of(line, "actor"),
		.body = text_of(line, "body"),
	};
	uint8_t kept[LEDGER_HASH_BYTES];

	record_hash(&r, previous, hash);
	return hex_decode(text_of(line, "hash"), kept, sizeof(kept)) == 0 &&
	       memcmp(hash, kept, sizeof(kept)) == 0;
}

int event_archive_hash(struct event_archive *a, int64_t seq,
		       const uint8_t previous[LEDGER_HASH_BYTES], uint8_t ret[LEDGER_HASH_BYTES],
		       struct error *err)
{
	for (size_t i = 0; i < a->count && a->parts[i].first_seq <= seq; i++) {
		struct part *p = &a->parts[i];
		uint8_t hash[LEDGER_HASH_BYTES];
		int r = advance(a, p, seq, err);

		if (r < 0)
			return r;
		if (p->seq != seq || !follows(p->line, previous, hash))
			continue;
		memcpy(ret, hash, sizeof(hash));
		return 1;
	}
	return 0;
}
