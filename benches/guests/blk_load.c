/* blk_load.c - the first process of a guest that reads its disk and says how fast.
 *
 * Each argument is a job, NAME,random|seq,BLOCK,DEPTH,OFFSET,RANGE,COUNT with sizes in
 * bytes: COUNT blocks are read inside [OFFSET, OFFSET + RANGE), DEPTH at a time, past
 * the guest's own page cache. For each a line "blk-load NAME COUNT NANOSECONDS" goes to
 * the console, where it does not count; then the machine ends by the debug exit port,
 * or by a reset where there is none.
 *
 * Linux's own asynchronous reads (io_submit(2)), one thread: a completion is replaced at
 * once, as many as there are in one call, which is what fio's libaio engine does.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/aio_abi.h>
#include <linux/reboot.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_PORT = 0xf4, EXIT_PORT_LEN = 4, MAX_DEPTH = 128, NAME_LEN = 32 };

struct job {
	char name[NAME_LEN];
	bool random;
	uint64_t block, depth, offset, range, count;
};

struct load {
	struct job job;
	int fd;
	char *buffers;
	uint64_t begun, done, state;
	struct iocb iocbs[MAX_DEPTH];
};

static void finish(int status) __attribute__((noreturn));
static void finish(int status)
{
	if (ioperm(EXIT_PORT, EXIT_PORT_LEN, 1) == 0)
		outl((unsigned)status, EXIT_PORT);
	reboot(LINUX_REBOOT_CMD_RESTART);
	_exit(status);
}

static void check(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	finish(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* xorshift64: the same places in every run. */
static uint64_t next_random(struct load *l)
{
	l->state ^= l->state << 13;
	l->state ^= l->state >> 7;
	l->state ^= l->state << 17;
	return l->state;
}

static void prepare(struct load *l, struct iocb *io)
{
	const struct job *j = &l->job;
	uint64_t blocks = j->range / j->block;
	uint64_t at = (j->random ? next_random(l) : l->begun) % blocks;
	size_t slot = (size_t)(io - l->iocbs);

	*io = (struct iocb){
		.aio_data = slot,
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)l->fd,
		.aio_buf = (uint64_t)(uintptr_t)(l->buffers + slot * j->block),
		.aio_nbytes = j->block,
		.aio_offset = (int64_t)(j->offset + at * j->block),
	};
	l->begun++;
}

static void submit(aio_context_t ctx, struct iocb **list, long n)
{
	while (n > 0) {
		long taken = syscall(SYS_io_submit, ctx, n, list);

		check(taken > 0, "io_submit");
		list += taken;
		n -= taken;
	}
}

/* Takes what is done, at least one, and begins as many again. */
static void turn(struct load *l, aio_context_t ctx)
{
	struct io_event events[MAX_DEPTH];
	struct iocb *list[MAX_DEPTH];
	long again = 0, n = syscall(SYS_io_getevents, ctx, 1, (long)l->job.depth, events, NULL);

	check(n > 0, "io_getevents");
	for (long i = 0; i < n; i++) {
		struct iocb *io = &l->iocbs[events[i].data];

		check(events[i].res == (int64_t)l->job.block, "a read");
		l->done++;
		if (l->begun == l->job.count)
			continue;
		prepare(l, io);
		list[again++] = io;
	}
	submit(ctx, list, again);
}

static void run(const struct job *j, int fd)
{
	struct load l = { .job = *j, .fd = fd, .state = 88172645463325252u };
	struct iocb *list[MAX_DEPTH];
	aio_context_t ctx = 0;
	uint64_t begin;

	l.buffers = mmap(NULL, j->block * j->depth, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	check(l.buffers != MAP_FAILED, "buffers");
	check(syscall(SYS_io_setup, MAX_DEPTH, &ctx) == 0, "io_setup");
	begin = now_ns();
	for (uint64_t i = 0; i < j->depth; i++) {
		prepare(&l, &l.iocbs[i]);
		list[i] = &l.iocbs[i];
	}
	submit(ctx, list, (long)j->depth);
	while (l.done < j->count)
		turn(&l, ctx);
	printf("blk-load %s %" PRIu64 " %" PRIu64 "\n", j->name, j->count, now_ns() - begin);
	syscall(SYS_io_destroy, ctx);
	munmap(l.buffers, j->block * j->depth);
}

static bool parse(const char *text, struct job *j)
{
	uint64_t *const numbers[] = { &j->block, &j->depth, &j->offset, &j->range, &j->count };
	char pattern[8], *at;
	int used = 0;

	if (sscanf(text, "%31[^,],%7[^,]%n", j->name, pattern, &used) != 2)
		return false;
	at = (char *)text + used;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (*at != ',')
			return false;
		*numbers[i] = strtoull(at + 1, &at, 10);
	}
	j->random = strcmp(pattern, "random") == 0;
	return j->depth > 0 && j->depth <= MAX_DEPTH && j->count >= j->depth && j->block > 0 &&
	       j->range >= j->block;
}

int main(int argc, char **argv)
{
	int fd;

	mkdir("/dev", 0755);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	fd = open("/dev/vda", O_RDONLY | O_DIRECT | O_CLOEXEC);
	check(fd >= 0, "/dev/vda");
	for (int i = 1; i < argc; i++) {
		struct job j;

		check(parse(argv[i], &j), argv[i]);
		run(&j, fd);
	}
	puts("blk-load done");
	finish(0);
}
