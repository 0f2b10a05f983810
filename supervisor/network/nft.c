/* nft.c - "nft -i", which takes a line for a transaction: "include", and the text is in a file.
 *
 * It says nothing of what it has done, and why of what it has not. So each line is followed by a
 * question with one answer: what comes before that is a refusal. Whatever goes wrong, it is ended,
 * and "nft -f" gets the text, and says what is wrong with which of its lines.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/life/process.h"
#include "supervisor/network/nft.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"

/* It keeps what it is told, for somebody who would want to see it again: after so many it is ended,
 * and another begun. */
enum { TIMEOUT_MS = 60000, TOLD_MOST = 512, ANSWER_BYTES = 256 };

/* The file is its descriptor PROCESS_GATE_FD. */
static const char order[] = "include \"/proc/self/fd/3\"\ndescribe meta mark\n";
static const char answer[] = "meta expression, ";

_Static_assert(PROCESS_GATE_FD == 3, "the order says which descriptor");

void nft_init(struct nft *n, const char *path)
{
	*n = (struct nft){ .path = path, .to = -1, .from = -1, .file = -1 };
}

/* It has answered, or is not waited for any more. */
void nft_end(struct nft *n)
{
	if (n->pid > 0)
		kill(n->pid, SIGKILL);
	n->to = fd_close(n->to);
	n->from = fd_close(n->from);
	n->file = fd_close(n->file);
	if (n->pid > 0)
		waitpid(n->pid, NULL, 0);
	n->pid = 0;
}

/* It would write what it is told to a file in its home. */
static bool begin(struct nft *n)
{
	const char *const argv[] = { "/usr/bin/env", "HOME=/dev/null", n->path, "-i", NULL };
	struct error err;

	if (n->told == TOLD_MOST)
		nft_end(n);
	if (n->pid > 0)
		return true;
	n->told = 0;
	n->file = memfd_create("nft", MFD_CLOEXEC);
	if (n->file >= 0)
		n->pid = process_open(argv, n->file, &n->to, &n->from, &err);
	if (n->pid <= 0)
		n->pid = 0;
	return n->pid > 0;
}

/* The pipe is empty, and has room for an order. */
static bool tell(struct nft *n, const char *text, size_t len)
{
	n->told++;
	return ftruncate(n->file, 0) == 0 && fd_pwrite_all(n->file, text, len, 0) == 0 &&
	       write(n->to, order, strlen(order)) == (ssize_t)strlen(order);
}

static bool answers(const struct nft *n)
{
	const uint64_t deadline_us = clock_now_us() + TIMEOUT_MS * UINT64_C(1000);
	char text[ANSWER_BYTES];
	size_t len = 0;

	while (len < sizeof(text)) {
		ssize_t got = process_read(n->from, text + len, sizeof(text) - len, deadline_us);

		if (got <= 0)
			return false;
		len += (size_t)got;
		if (text[len - 1] == '\n')
			return len > strlen(answer) && memcmp(text, answer, strlen(answer)) == 0;
	}
	return false;
}

int nft_run(struct nft *n, const char *text, size_t len, struct error *err)
{
	const char *const argv[] = { n->path, "-f", "/dev/stdin", NULL };

	if (begin(n) && tell(n, text, len) && answers(n))
		return 0;
	nft_end(n);
	return process_run_with(argv, text, len, TIMEOUT_MS, err);
}

bool nft_would(const struct nft *n, const char *text, size_t len)
{
	const char *const argv[] = { n->path, "--check", "-f", "/dev/stdin", NULL };
	struct error err;

	return process_run_with(argv, text, len, TIMEOUT_MS, &err) == 0;
}
