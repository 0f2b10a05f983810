/* main.c - wisp-vsock, either end of a guest's vsock.
 *
 * A static program, so that it runs in any guest; on the host it speaks for the Unix
 * sockets of a wisp.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest-images/vsock/echo.h"
#include "guest-images/vsock/work.h"

static const char usage[] =
	"usage: wisp-vsock echo ADDRESS                     send back what comes\n"
	"       wisp-vsock check ADDRESS CONNECTIONS BYTES  send, and compare what comes back\n"
	"       wisp-vsock work ADDRESS                     do what wisp-bench asks\n"
	"ADDRESS is PORT in a guest, UDS_PATH:PORT on the host\n";

static bool number(const char *text, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	return !errno && end != text && !*end;
}

int main(int argc, char **argv)
{
	struct address a;
	uint64_t connections, bytes;

	if (argc >= 3 && address_parse(argv[2], &a)) {
		if (argc == 3 && strcmp(argv[1], "echo") == 0)
			return echo_serve(&a);
		if (argc == 3 && strcmp(argv[1], "work") == 0)
			return work_serve(&a);
		if (argc == 5 && strcmp(argv[1], "check") == 0 && number(argv[3], &connections) &&
		    number(argv[4], &bytes))
			return echo_check(&a, connections, bytes);
	}
	fputs(usage, stderr);
	return 2;
}
