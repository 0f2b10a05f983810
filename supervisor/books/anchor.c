/* anchor.c - a key, a line of text, and its signature. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/books/anchor.h"
#include "supervisor/books/hex.h"
#include "vmm/base/fd.h"

enum { KEY_HEX_BYTES = 2 * ANCHOR_KEY_BYTES + 1, OTHERS = 077 };

/* --- the key --- */

/* Whole or not at all: under another name first. */
static int make_key(const char *path, struct error *err)
{
	uint8_t random[ANCHOR_KEY_BYTES];
	char hex[KEY_HEX_BYTES], draft[PATH_MAX + 24];
	int fd, r = 0;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return error_errno(err, NULL, NULL, "There is no randomness");
	hex_encode(random, sizeof(random), hex);
	snprintf(draft, sizeof(draft), "%s.new", path);
	unlink(draft);
	fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || fd_pwrite_all(fd, hex, sizeof(hex) - 1, 0) < 0 || fsync(fd) < 0 ||
	    rename(draft, path) < 0)
		r = error_errno(err, "state_dir", NULL, "Cannot make %s", path);
	fd_close(fd);
	return r;
}

static int read_key(int fd, const char *path, struct anchor_key *ret, struct error *err)
{
	char hex[KEY_HEX_BYTES] = "";
	struct stat st;

	if (fstat(fd, &st) < 0 || (st.st_mode & OTHERS))
		return error_set(err, -EACCES, "state_dir", "chmod 600 it, and do not trust it",
				 "%s can be read by others", path);
	if (fd_pread_all(fd, hex, sizeof(hex) - 1, 0) == 0 &&
	    hex_decode(hex, ret->bytes, sizeof(ret->bytes)) == 0)
		return 0;
	return error_set(err, -EUCLEAN, "state_dir",
			 "restore it, or move it away; anchors of before cannot be checked then",
			 "%s is no key", path);
}

int anchor_load_key(const char *state_dir, struct anchor_key *ret, struct error *err)
{
	char path[PATH_MAX + 16];
	int fd, r;

	snprintf(path, sizeof(path), "%s/anchor.key", state_dir);
	if (access(path, F_OK) < 0) {
		r = make_key(path, err);
		if (r < 0)
			return r;
	}
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "state_dir", NULL, "Cannot open %s", path);
	r = read_key(fd, path, ret, err);
	fd_close(fd);
	return r;
}

/* --- the text --- */

static void sign(const struct ledger *l, const struct anchor_key *key, const char *text,
		 uint8_t ret[LEDGER_HASH_BYTES])
{
	const char *host = ledger_host_id(l);
	struct hmac_sha256_ctx hmac;

	hmac_sha256_set_key(&hmac, sizeof(key->bytes), key->bytes);
	hmac_sha256_update(&hmac, strlen(host) + 1, (const uint8_t *)host);
	hmac_sha256_update(&hmac, strlen(text), (const uint8_t *)text);
	hmac_sha256_digest(&hmac, LEDGER_HASH_BYTES, ret);
}

int anchor_make(struct ledger *l, const struct anchor_key *key, char ret[ANCHOR_TEXT_BYTES],
		struct error *err)
{
	char hash[LEDGER_HEX_BYTES], signature[LEDGER_HEX_BYTES];
	uint8_t digest[LEDGER_HASH_BYTES];
	int64_t seq = 0;
	int r = ledger_head(l, &seq, hash, err), n;

	if (r < 0)
		return r;
	n = snprintf(ret, ANCHOR_TEXT_BYTES, "%" PRId64 ":%s:%" PRId64, seq, hash,
		     ledger_wall_ns());
	sign(l, key, ret, digest);
	hex_encode(digest, sizeof(digest), signature);
	snprintf(ret + n, ANCHOR_TEXT_BYTES - (size_t)n, ":%s", signature);
	return 0;
}

/* "SEQ:HASH", and where what follows begins. */
static bool read_head(const char *text, struct anchor *ret, const char **rest)
{
	uint8_t hash[LEDGER_HASH_BYTES];
	char *end;

	errno = 0;
	ret->seq = strtoll(text, &end, 10);
	if (errno || ret->seq <= 0 || *end != ':' || strlen(end + 1) < LEDGER_HEX_BYTES - 1)
		return false;
	snprintf(ret->hex, sizeof(ret->hex), "%s", end + 1);
	*rest = end + LEDGER_HEX_BYTES;
	return hex_decode(ret->hex, hash, sizeof(hash)) == 0;
}

/* ":WALL_NS:SIGNATURE" at rest, of the text before the signature. */
static bool is_signed(const struct ledger *l, const struct anchor_key *key, const char *text,
		      const char *rest, int64_t *wall_ns)
{
	uint8_t wanted[LEDGER_HASH_BYTES], given[LEDGER_HASH_BYTES];
	const char *last = strrchr(rest, ':');
	char head[ANCHOR_TEXT_BYTES];
	char *end;

	*wall_ns = strtoll(rest + 1, &end, 10);
	if (end != last || *wall_ns <= 0 || (size_t)(last - text) >= sizeof(head) ||
	    hex_decode(last + 1, given, sizeof(given)) < 0)
		return false;
	snprintf(head, sizeof(head), "%.*s", (int)(last - text), text);
	sign(l, key, head, wanted);
	return memeql_sec(wanted, given, sizeof(wanted));
}

int anchor_read(const struct ledger *l, const struct anchor_key *key, const char *text,
		struct anchor *ret, struct error *err)
{
	struct anchor a = { 0 };
	const char *rest;

	if (!read_head(text, &a, &rest) || (*rest && *rest != ':'))
		return error_set(err, -EINVAL, "anchor", "as ledger head or ledger anchor print it",
				 "The anchor cannot be read");
	if (*rest && !is_signed(l, key, text, rest, &a.wall_ns))
		return error_set(err, -EBADMSG, "anchor",
				 "was it made by another host, or with a key of before?",
				 "The anchor is not signed by this host");
	*ret = a;
	return 0;
}

/* --- the file --- */

/* The last line of a file, "" for none. */
static void read_last(int fd, char ret[ANCHOR_TEXT_BYTES])
{
	char text[ANCHOR_TEXT_BYTES + 1];
	off_t size = lseek(fd, 0, SEEK_END);
	ssize_t n = pread(fd, text, ANCHOR_TEXT_BYTES,
			  size > ANCHOR_TEXT_BYTES ? size - ANCHOR_TEXT_BYTES : 0);
	char *line;

	n = n > 0 ? n : 0;
	if (n > 0 && text[n - 1] == '\n')
		n--;
	text[n] = '\0';
	line = strrchr(text, '\n');
	snprintf(ret, ANCHOR_TEXT_BYTES, "%.*s", ANCHOR_TEXT_BYTES - 1, line ? line + 1 : text);
}

int anchor_append(struct ledger *l, const struct anchor_key *key, const char *path,
		  struct error *err)
{
	char text[ANCHOR_TEXT_BYTES], last[ANCHOR_TEXT_BYTES], line[ANCHOR_TEXT_BYTES + 1];
	int r = anchor_make(l, key, text, err), fd, n;
	size_t head;

	if (r < 0)
		return r;
	fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(err, "anchor_file", "another path", "Cannot open %s", path);
	read_last(fd, last);
	head = strcspn(text, ":") + LEDGER_HEX_BYTES;
	if (strncmp(last, text, head) != 0) {
		n = snprintf(line, sizeof(line), "%s\n", text);
		if (write(fd, line, (size_t)n) != n || fdatasync(fd) < 0)
			r = error_errno(err, "anchor_file", NULL, "Cannot write %s", path);
	}
	fd_close(fd);
	return r;
}
