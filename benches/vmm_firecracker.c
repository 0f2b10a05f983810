/* vmm_firecracker.c - Firecracker: the same configuration file as wisp's.
 *
 * It has no debug exit port: a guest ends it by a reset through the keyboard
 * controller (reboot=k), and its exit code is then 0.
 */
#include <errno.h>
#include <string.h>

#include "benches/vmm.h"

static int firecracker_locate(const struct options *o, char path[static PATH_MAX],
			      struct error *err)
{
	if (!o->firecracker)
		return error_set(err, -ENOENT, "firecracker",
				 "set FIRECRACKER=PATH or give --firecracker PATH",
				 "where Firecracker is was not said");
	strcpy(path, o->firecracker);
	return 0;
}

static int firecracker_command(const struct machine *m, const char *program, const char *dir,
			       struct argv *ret, struct error *err)
{
	struct machine own = *m;
	char config[PATH_MAX];
	int r;

	/* Older ones do not know the value, and all know the default. */
	own.huge_pages = NULL;
	r = vmm_write_config(&own, dir, config, err);

	if (r < 0)
		return r;
	argv_add_words(ret,
		       (const char *const[]){ program, "--no-api", "--config-file", config, NULL });
	return ret->error;
}

static bool firecracker_ended_well(int exit_code, unsigned value)
{
	(void)value;
	return exit_code == 0;
}

const struct vmm_ops vmm_firecracker = {
	.name = "firecracker",
	.unix_vsock = true,
	.locate = firecracker_locate,
	.command = firecracker_command,
	.ended_well = firecracker_ended_well,
};
