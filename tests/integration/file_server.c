/* file_server.c - a TCP server for guests under test: gives a file, and checks one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/file_server.h"

enum { BACKLOG = 64, PIECE = 64 * 1024 };

static void send_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		data += n;
		len -= (size_t)n;
	}
}

static void give(int fd, const char *file, size_t len)
{
	char header[128];
	int n = snprintf(header, sizeof(header),
			 "HTTP/1.0 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
			 len);

	send_all(fd, header, (size_t)n);
	send_all(fd, file, len);
	shutdown(fd, SHUT_WR);
	while (recv(fd, header, sizeof(header), 0) > 0)
		continue;
}

/* The first n bytes are in piece already. */
static void check(int fd, const char *file, size_t len, char *piece, ssize_t n)
{
	size_t at = 0;
	int same = 1;

	while (n > 0 && at + (size_t)n <= len) {
		same = same && memcmp(piece, file + at, (size_t)n) == 0;
		at += (size_t)n;
		n = at < len ? recv(fd, piece, PIECE, 0) : 0;
	}
	if (same && at == len)
		send_all(fd, "same\n", 5);
	else
		send_all(fd, "differs\n", 8);
}

static void serve(int fd, const char *file, size_t len)
{
	char piece[PIECE];
	ssize_t n = recv(fd, piece, sizeof(piece), 0);

	if (n >= 4 && memcmp(piece, "GET ", 4) == 0)
		give(fd, file, len);
	else
		check(fd, file, len, piece, n);
	close(fd);
}

static void run(int listener, const char *file, size_t len)
{
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			continue;
		if (fork() == 0) {
			serve(fd, file, len);
			_exit(0);
		}
		close(fd);
	}
}

static int listen_on(unsigned port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, BACKLOG), 0);
	return fd;
}

void file_server_start(const char *path, unsigned port)
{
	int listener = listen_on(port), file = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *data;
	pid_t pid;

	assert_true(file >= 0);
	assert_int_equal(fstat(file, &st), 0);
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, file, 0);
	assert_true(data != MAP_FAILED);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run(listener, data, (size_t)st.st_size);
	}
	munmap(data, (size_t)st.st_size);
	close(file);
	close(listener);
}
