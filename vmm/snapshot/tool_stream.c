/* tool_stream.c - wisp-snapshot export and import: a snapshot as one compressed file.
 *
 * What goes out was checked as `verify` checks it. What comes in is written aside, as a
 * snapshot is when it is made (snapshot_files.h), checked, and put in place when all of
 * it is on disk.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/snapshot/stream.h"
#include "vmm/snapshot/tool.h"
#include "vmm/snapshot/zstd.h"

/* --- export --- */

/* All sections, as the state has them. */
static int send(struct state *s, const struct stream_source *from, int out, struct error *err)
{
	struct stream_source src = *from;
	struct zstd z;
	int r, sent;

	src.state = state_whole(s, &src.state_len);
	r = zstd_start(&z, ZSTD_COMPRESS, out, err);
	if (r < 0)
		return r;
	sent = stream_send(z.fd, &src);
	r = zstd_finish(&z, err);
	if (r == 0 && sent < 0)
		r = error_set(err, sent, NULL, NULL, "The snapshot cannot be read: %s",
			      strerror(-sent));
	return r;
}

static int send_to(const char *path, struct state *s, const struct stream_source *src,
		   struct error *err)
{
	struct staged_file f;
	int r;

	if (strcmp(path, "-") == 0)
		return send(s, src, STDOUT_FILENO, err);
	r = staged_file_open(&f, path, "FILE", err);
	if (r == 0)
		r = send(s, src, f.fd, err);
	if (r == 0)
		r = staged_file_sync(&f, err);
	if (r == 0)
		r = staged_file_publish(&f, err);
	staged_file_drop(&f);
	return r;
}

int tool_export(char *const argv[], struct error *err)
{
	struct memory_label label = { 0 };
	struct stream_source src = { .memory = -1, .label = &label };
	struct overview o = { 0 };
	struct state *s = NULL;
	int r = snapshot_read_state(argv[0], "STATE", &s, err);

	if (r == 0)
		r = tool_overview(s, &o, err);
	if (r == 0)
		r = tool_open(argv[1], "MEMORY", &src.memory, err);
	if (r == 0)
		r = tool_check_memory(src.memory, &o, &label, err);
	src.memory_bytes = o.memory_bytes;
	if (r == 0)
		r = send_to(argv[2], s, &src, err);
	fd_close(src.memory);
	state_destroy(s);
	return r;
}

/* --- import --- */

static int receive(int in, int state_fd, int memory_fd, struct error *err)
{
	struct zstd z;
	struct error unpacking = { 0 };
	int r = zstd_start(&z, ZSTD_DECOMPRESS, in, err), ended;

	if (r < 0)
		return r;
	r = stream_receive(z.fd, state_fd, memory_fd, err);
	if (r < 0) {
		zstd_drop(&z);
		return r;
	}
	ended = zstd_finish(&z, &unpacking);
	if (ended < 0 && err)
		*err = unpacking;
	return ended;
}

static int check(const char *state_path, int memory_fd, struct error *err)
{
	struct memory_label label;
	struct overview o = { 0 };
	struct state *s = NULL;
	int r = snapshot_read_state(state_path, "FILE", &s, err);

	if (r == 0)
		r = tool_overview(s, &o, err);
	if (r == 0)
		r = tool_check_memory(memory_fd, &o, &label, err);
	state_destroy(s);
	return r;
}

static int import(int in, const char *state_path, const char *memory_path, struct error *err)
{
	struct staged_file state, memory = { .fd = -1 };
	int r = staged_file_open(&state, state_path, "STATE", err);

	if (r == 0)
		r = staged_file_open(&memory, memory_path, "MEMORY", err);
	if (r == 0)
		r = receive(in, state.fd, memory.fd, err);
	if (r == 0)
		r = check(state.aside, memory.fd, err);
	if (r == 0)
		r = staged_file_sync(&memory, err);
	if (r == 0)
		r = staged_file_sync(&state, err);
	if (r == 0)
		r = staged_file_publish(&memory, err);
	if (r == 0)
		r = staged_file_publish(&state, err);
	staged_file_drop(&memory);
	staged_file_drop(&state);
	return r;
}

int tool_import(char *const argv[], struct error *err)
{
	int in, r;

	if (strcmp(argv[1], argv[2]) == 0)
		return error_set(err, -EINVAL, "MEMORY", "give each its own",
				 "State and memory cannot be one file");
	if (strcmp(argv[0], "-") == 0)
		return import(STDIN_FILENO, argv[1], argv[2], err);
	r = tool_open(argv[0], "FILE", &in, err);
	if (r < 0)
		return r;
	r = import(in, argv[1], argv[2], err);
	fd_close(in);
	return r;
}
