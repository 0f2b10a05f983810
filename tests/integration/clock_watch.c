/* clock_watch.c - runs inside a guest: on each processor, sees to it that time goes on, and
 * only on.
 *
 *   clock_watch COUNT_FILE WRONG_FILE
 *
 * A process a processor. No clock gives a time before one that any of them has read of it. A
 * timer that repeats has expired neither more nor less often than its periods have passed.
 * What is not so becomes a line in WRONG_FILE, and ends the process; a "c" in COUNT_FILE
 * tells of each second in which all was well.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PERIOD_NS = 20000000, A_MARK_FOR = 50, NS_PER_S = 1000000000 };

static const clockid_t clocks[] = {
	CLOCK_MONOTONIC,
	CLOCK_MONOTONIC_RAW,
	CLOCK_BOOTTIME,
	CLOCK_REALTIME,
};

enum { CLOCKS = sizeof(clocks) / sizeof(clocks[0]) };

/* Shared by all processes: the latest that was read of each. */
struct latest {
	_Atomic int64_t ns[CLOCKS];
};

struct watch {
	struct latest *latest;
	int count, wrong, timer;
	int64_t set_after_ns, set_before_ns; /* the timer's start lies between */
	uint64_t expired;
};

static int64_t read_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static bool clock_goes_on(const struct watch *w, unsigned i)
{
	int64_t before = w->latest->ns[i], now = read_ns(clocks[i]);

	if (now < before) {
		dprintf(w->wrong, "clock %d went back by %" PRId64 " ns\n", (int)clocks[i],
			before - now);
		return false;
	}
	while (before < now && !atomic_compare_exchange_weak(&w->latest->ns[i], &before, now))
		continue;
	return true;
}

/* Waits for the timer. */
static bool timer_is_right(struct watch *w)
{
	int64_t called = read_ns(CLOCK_MONOTONIC), now;
	uint64_t n;

	if (read(w->timer, &n, sizeof(n)) != sizeof(n)) {
		dprintf(w->wrong, "a timer cannot be read\n");
		return false;
	}
	now = read_ns(CLOCK_MONOTONIC);
	w->expired += n;
	if ((int64_t)w->expired <= (now - w->set_after_ns) / PERIOD_NS &&
	    (int64_t)w->expired >= (called - w->set_before_ns) / PERIOD_NS)
		return true;
	dprintf(w->wrong, "a timer expired %" PRIu64 " times in %" PRId64 " ns\n", w->expired,
		now - w->set_after_ns);
	return false;
}

static bool set_timer(struct watch *w)
{
	const struct itimerspec every = {
		.it_interval.tv_nsec = PERIOD_NS,
		.it_value.tv_nsec = PERIOD_NS,
	};

	w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	w->set_after_ns = read_ns(CLOCK_MONOTONIC);
	if (w->timer < 0 || timerfd_settime(w->timer, 0, &every, NULL) < 0)
		return false;
	w->set_before_ns = read_ns(CLOCK_MONOTONIC);
	return true;
}

static int watch(struct watch *w, unsigned cpu)
{
	bool right;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	right = sched_setaffinity(0, sizeof(one), &one) == 0 && set_timer(w);
	if (!right)
		dprintf(w->wrong, "clocks cannot be watched on processor %u\n", cpu);
	for (unsigned round = 1; right; round++) {
		right = timer_is_right(w);
		for (unsigned i = 0; right && i < CLOCKS; i++)
			right = clock_goes_on(w, i);
		if (round % A_MARK_FOR == 0)
			dprintf(w->count, "c");
	}
	return 1;
}

int main(int argc, char **argv)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct watch w;

	if (argc != 3)
		return 2;
	w = (struct watch){
		.count = open(argv[1], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600),
		.wrong = open(argv[2], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600),
		.latest = mmap(NULL, sizeof(*w.latest), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0),
	};
	if (w.count < 0 || w.wrong < 0 || w.latest == MAP_FAILED) {
		perror("clock_watch");
		return 1;
	}
	for (unsigned cpu = 0; cpu < cpus; cpu++) {
		if (fork() == 0)
			_exit(watch(&w, cpu));
	}
	while (wait(NULL) > 0)
		continue;
	return 1;
}
