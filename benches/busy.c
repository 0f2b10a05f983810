/* busy.c - a processor that is never idle. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "benches/busy.h"

pid_t busy_start(void)
{
	const struct sched_param param = { 0 };
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* At a normal priority it would take half of the processor from the VMM. */
	if (sched_setscheduler(0, SCHED_IDLE, &param) < 0)
		_exit(1);
	for (;;)
		__asm__ volatile("" ::: "memory");
}

void busy_stop(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}
