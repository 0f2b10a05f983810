/* vmm_wisp.c - wisp: a configuration file, no API, the debug exit port. */
#include <string.h>

#include "benches/vmm.h"

static int wisp_locate(const struct options *o, char path[static PATH_MAX], struct error *err)
{
	int r;

	if (o->wisp) {
		strcpy(path, o->wisp);
		return 0;
	}
	r = vmm_beside("wisp", path);
	if (r < 0)
		error_set(err, r, "wisp", "build it, or name it with --wisp PATH", "there is no %s",
			  path);
	return r;
}

static int wisp_command(const struct machine *m, const char *program, const char *dir,
			struct argv *ret, struct error *err)
{
	char config[PATH_MAX];
	int r = vmm_write_config(m, dir, config, err);

	if (r < 0)
		return r;
	argv_add_words(ret,
		       (const char *const[]){ program, "--no-api", "--config-file", config, NULL });
	argv_add(ret, "--debug-exit-port");
	argv_add(ret, "0x%x", VMM_EXIT_PORT);
	if (m->report)
		argv_add_words(ret, (const char *const[]){ "--report", m->report, NULL });
	return ret->error;
}

static bool wisp_ended_well(int exit_code, unsigned value)
{
	return exit_code == (int)value;
}

const struct vmm_ops vmm_wisp = {
	.name = "wisp",
	.unix_vsock = true,
	.locate = wisp_locate,
	.command = wisp_command,
	.ended_well = wisp_ended_well,
};
