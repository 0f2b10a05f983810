/* run.c - start the command, then do what process 1 is there for: reap.
 *
 * Signals are blocked from the start and taken one at a time by sigwaitinfo(), so
 * there is no handler and no race between a child's end and the wait for it.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest-images/init/cmdline.h"
#include "guest-images/init/report.h"
#include "guest-images/init/run.h"

#define SHELL "/bin/sh"

enum {
	MAX_WORDS = 128,
	GRACE_S = 2, /* of nothing ending, when all were told to */
	STATUS_NOT_RUN = 127,
	STATUS_SIGNAL = 128,
};

static void signals_awaited(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGPWR);
}

void run_setup(void)
{
	sigset_t set;

	signals_awaited(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* Ctrl-Alt-Del comes to us as SIGINT instead of resetting the machine. */
	reboot(RB_DISABLE_CAD);
	/* The console's session is ours: the end of a session's first process hangs its
	 * terminal up, and what the command wrote last would be thrown away. */
	setsid();
	ioctl(STDIN_FILENO, TIOCSCTTY, 1);
	signal(SIGTTOU, SIG_IGN);
}

/* Only in the child. It gets the terminal, so that Ctrl-C and job control work; on a
 * kernel without a console that fails, and the command runs all the same. */
static void child_prepare(void)
{
	sigset_t none;

	setpgid(0, 0);
	tcsetpgrp(STDIN_FILENO, getpid());
	signal(SIGTTOU, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 0);
	setenv("HOME", "/root", 1);
}

/* Only in the child; returns only when nothing could be run. */
static void child_exec(const char *command)
{
	char *words[MAX_WORDS];

	if (!command) {
		execl(SHELL, "-sh", (char *)NULL);
		report_errno("cannot run " SHELL);
		return;
	}
	execl(SHELL, "sh", "-c", command, (char *)NULL);
	if (errno != ENOENT) {
		report_errno("cannot run " SHELL);
		return;
	}
	char *copy = strdup(command);
	if (!copy || cmdline_split(copy, words, MAX_WORDS) == 0)
		return;
	execvp(words[0], words);
	report_errno("cannot run %s", words[0]);
}

/* Reaps whoever has ended. True, and *status as waitpid() gives it, if child did. */
static bool reap(pid_t child, int *status)
{
	bool found = false;
	pid_t pid;
	int how;

	while ((pid = waitpid(-1, &how, WNOHANG)) > 0) {
		if (pid == child) {
			*status = how;
			found = true;
		}
	}
	return found;
}

/* Until the child ends; its status as waitpid() gives it. */
static int child_wait(pid_t child)
{
	sigset_t set;
	int status = 0, stop = SIGTERM;

	signals_awaited(&set);
	for (;;) {
		int signal_number = sigwaitinfo(&set, NULL);

		if (signal_number == SIGCHLD) {
			if (reap(child, &status))
				return status;
		} else if (signal_number > 0) {
			/* Its process group: everything it started that made none of its own. */
			kill(-child, stop);
			stop = SIGKILL;
		}
	}
}

uint32_t run_command(const char *command)
{
	if (!command && access(SHELL, X_OK) < 0)
		return 0;

	pid_t child = fork();
	if (child < 0) {
		report_errno("cannot start a process");
		return STATUS_NOT_RUN;
	}
	if (child == 0) {
		child_prepare();
		child_exec(command);
		_exit(STATUS_NOT_RUN);
	}
	int status = child_wait(child);
	if (WIFSIGNALED(status))
		return STATUS_SIGNAL + (uint32_t)WTERMSIG(status);
	return (uint32_t)WEXITSTATUS(status);
}

/* Until no other process is left, or they had their time. */
static void others_end(void)
{
	const struct timespec grace = { .tv_sec = GRACE_S };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	kill(-1, SIGTERM);
	while (!(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD)) {
		if (sigtimedwait(&set, NULL, &grace) < 0 && errno == EAGAIN)
			return;
	}
}

int run_until_told(void)
{
	sigset_t set;
	int number, status;

	signals_awaited(&set);
	for (;;) {
		number = sigwaitinfo(&set, NULL);
		if (number != SIGCHLD && number > 0)
			break;
		reap(-1, &status);
	}
	others_end();
	return number;
}
