/* main.c - wisp-init, the first process of a guest.
 *
 * The kernel starts it from an initrd (or from a root file system, as init=). It mounts
 * what programs expect, loads the modules that the initrd brought, and then does one of
 * three things: with root= on the kernel command line it hands over to the init program
 * on that device; without (or when it was told to stay) it runs one command, tells the
 * host the exit status and stops the machine; or it is there for the agent alone, which
 * runs what its callers want (guest-images/agent), until the machine is to stop.
 *
 * As process 1 it must not end: a kernel whose first process exits panics, and what went
 * wrong is lost behind the trace. So no function here exits on an error. Each says on
 * the console what failed, and the machine is stopped in order, with status 125.
 *
 * It is a static program and makes few system calls, because every boot waits for it.
 * The marker and the boot timer come as early as the command line can be read: what a
 * benchmark measures by them is the kernel's time, not ours.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <termios.h>
#include <unistd.h>

#include "guest-images/agent/agent.h"
#include "guest-images/init/cmdline.h"
#include "guest-images/init/host.h"
#include "guest-images/init/modules.h"
#include "guest-images/init/mounts.h"
#include "guest-images/init/report.h"
#include "guest-images/init/root.h"
#include "guest-images/init/run.h"

enum {
	CMDLINE_LEN = 8192, /* more than any architecture's COMMAND_LINE_SIZE */
	STATUS_INIT_FAILED = 125,
};

/* The kernel command line, or an empty line when it cannot be read. */
static void cmdline_read(char *line, size_t size)
{
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, line, size - 1);

	if (n < 0)
		report_errno("cannot read /proc/cmdline");
	line[n < 0 ? 0 : n] = '\0';
	if (fd >= 0)
		close(fd);
}

/* What the host waits for to stop its clock. */
static void host_greet(const struct cmdline *cmdline)
{
	if (cmdline->boot_timer) {
		int r = host_boot_timer();

		if (r < 0) {
			errno = -r;
			report_errno("wisp.boot_timer: cannot reach the timer's page");
		}
	}
	if (cmdline->marker)
		dprintf(STDOUT_FILENO, "%s\n", cmdline->marker);
	if (cmdline->bad_name)
		report("%s: ignored, its value makes no sense", cmdline->bad_name);
}

/* Without ACPI the kernel has no way to cut the power: it would halt, and the VMM wait
 * for ever. A reset ends a microVM as well. */
static int machine_stop_command(bool restart)
{
	return !restart && access("/sys/firmware/acpi", F_OK) == 0 ? RB_POWER_OFF : RB_AUTOBOOT;
}

/* Does not return. */
static void machine_stop(const struct cmdline *cmdline, uint32_t status, bool restart)
{
	/* Whoever still writes must not be able to while the disks come to rest. */
	kill(-1, SIGKILL);
	sync();
	if (!root_is_initrd() && mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0)
		report_errno("cannot make / read-only");
	/* The kernel drops what its serial driver has not sent yet. */
	tcdrain(STDERR_FILENO);
	if (cmdline->exit_port && !restart) {
		int r = host_exit(cmdline->exit_port, status);

		if (r < 0) {
			errno = -r;
			report_errno("wisp.exit_port: cannot reach port %#x", cmdline->exit_port);
		} else {
			report("wisp.exit_port: nothing listens on port %#x", cmdline->exit_port);
		}
	}
	report("exit status %u", status);
	tcdrain(STDERR_FILENO);
	reboot(machine_stop_command(restart));
	report_errno("cannot stop the machine");
	for (;;)
		pause();
}

/* False when there is to be no agent, or cannot be one. */
static bool agent_begin(const struct cmdline *cmdline)
{
	int r = -ENOENT;

	if (cmdline->agent_port)
		r = cmdline->agent_ports
			    ? agent_start_ports(cmdline->agent_port, cmdline->agent_ports)
			    : agent_start(cmdline->agent_port);

	if (r < 0 && cmdline->agent_port) {
		errno = -r;
		report_errno("wisp.agent: cannot listen on port %u of the vsock",
			     cmdline->agent_port);
	} else if (r == 0) {
		report("agent on port %u", cmdline->agent_port);
	}
	return r == 0;
}

/* Does not return. */
static void command_run(const struct cmdline *cmdline)
{
	mounts_rest();
	run_setup();
	bool agent = agent_begin(cmdline);

	if (cmdline->command || !cmdline->agent_port)
		machine_stop(cmdline, run_command(cmdline->command), false);
	else if (agent)
		machine_stop(cmdline, 0, run_until_told() == SIGINT);
	machine_stop(cmdline, STATUS_INIT_FAILED, false);
}

/* The guest's life. Does not return. */
static void init_run(char **argv)
{
	char line[CMDLINE_LEN];
	struct cmdline cmdline;

	mounts_first();
	cmdline_read(line, sizeof(line));
	cmdline_parse(line, &cmdline);
	host_greet(&cmdline);

	modules_load(MODULES_LIST);
	if (cmdline.root && root_is_initrd()) {
		if (root_switch(&cmdline) < 0)
			machine_stop(&cmdline, STATUS_INIT_FAILED, false);
		if (!cmdline.stay) {
			agent_begin(&cmdline);
			root_exec_init(cmdline.init, argv);
			machine_stop(&cmdline, STATUS_INIT_FAILED, false);
		}
	}
	command_run(&cmdline);
}

static int usage(FILE *out)
{
	fprintf(out,
		"wisp-init %s: the first process of a wisp guest.\n"
		"The kernel starts it, from an initrd (/init) or a root file system (init=).\n\n%s",
		WISP_VERSION, cmdline_help());
	return out == stdout ? 0 : 2;
}

int main(int argc, char **argv)
{
	if (getpid() == 1)
		init_run(argv);
	return usage(argc == 2 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
}
