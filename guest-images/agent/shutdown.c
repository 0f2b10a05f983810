/* shutdown.c - stop the guest in order, whatever its first process is.
 *
 * wisp-init and systemd have signals for it. Any other init is not relied upon: the agent
 * ends all processes, brings the disks to rest and stops the machine itself.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <time.h>
#include <unistd.h>

#include "guest-images/agent/session.h"

enum { GRACE_S = 2, NAME_LEN = 32 };

/* What systemd(1) starts poweroff.target and reboot.target by. */
enum { SYSTEMD_POWEROFF = 4, SYSTEMD_REBOOT = 5 };

static bool same_program(const char *link, const char *other)
{
	char a[PATH_MAX], b[PATH_MAX];
	ssize_t a_len = readlink(link, a, sizeof(a)), b_len = readlink(other, b, sizeof(b));

	return a_len > 0 && a_len == b_len && memcmp(a, b, (size_t)a_len) == 0;
}

static bool init_is_systemd(void)
{
	FILE *f = fopen("/proc/1/comm", "re");
	char name[NAME_LEN] = "";
	bool is = f && fgets(name, sizeof(name), f) && strcmp(name, "systemd\n") == 0;

	if (f)
		fclose(f);
	return is;
}

static void stop_without_init(bool restart)
{
	const struct timespec grace = { .tv_sec = GRACE_S };

	kill(-1, SIGTERM);
	nanosleep(&grace, NULL);
	kill(-1, SIGKILL);
	sync();
	mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
	reboot(restart ? RB_AUTOBOOT : RB_POWER_OFF);
}

void shutdown_serve(struct session *s)
{
	const char *mode = fields_get(s->bytes, s->len, "mode");
	struct fields nothing = { 0 };
	bool restart;

	if (!mode || (strcmp(mode, "poweroff") != 0 && strcmp(mode, "reboot") != 0)) {
		session_fault(s, EINVAL, "mode must be poweroff or reboot");
		return;
	}
	restart = strcmp(mode, "reboot") == 0;
	session_answer(s, &nothing); /* nobody is there to do it afterwards */
	if (same_program("/proc/1/exe", "/proc/self/exe"))
		kill(1, restart ? SIGINT : SIGTERM);
	else if (init_is_systemd())
		kill(1, SIGRTMIN + (restart ? SYSTEMD_REBOOT : SYSTEMD_POWEROFF));
	else
		stop_without_init(restart);
}
