/* serve.c - the command line of virtiofsd (QEMU's, in C), for a companion. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "supervisor/life/companion.h"
#include "supervisor/share/serve.h"

static void name_of(unsigned n, char name[COMPANION_NAME_BYTES])
{
	snprintf(name, COMPANION_NAME_BYTES, "share-%u", n);
}

void share_socket(unsigned n, char path[LAUNCH_FILE_BYTES])
{
	char name[COMPANION_NAME_BYTES];

	name_of(n, name);
	snprintf(path, LAUNCH_FILE_BYTES, "/%s.sock", name);
}

int share_serve(const struct launch *l, unsigned n, struct error *err)
{
	const struct launch_share *s = &l->shares[n];
	/* Where the keeper has put the folder (keep.h). The number of its files cannot be
	 * raised there. */
	const char *const argv[] = {
		l->config->virtiofsd, "--fd=3", "--rlimit-nofile=0", "-o", "source=/tmp", "-o",
		"cache=auto",	      "-o",	"log_level=err",     NULL,
	};
	struct companion c = { .listen = true,
			       .user = s->user,
			       .argv = argv,
			       .share = s->allowed,
			       .first_other = s->first_other,
			       .others = s->others,
			       .below = s->below,
			       .read_only = s->read_only };

	if (!s->allowed[0])
		return error_set(err, -EACCES, "shares",
				 "shares in wispd.json lists what a tenant may have",
				 "The guest may not have %s any more", s->below);
	if (access(l->config->virtiofsd, X_OK) < 0)
		return error_errno(err, "virtiofsd",
				   "install qemu-system-common, or set its path in wispd.json",
				   "Cannot run %s", l->config->virtiofsd);
	name_of(n, c.name);
	return companion_begin(l, &c, err);
}

int share_end(const struct launch *l, unsigned n, struct error *err)
{
	char name[COMPANION_NAME_BYTES];

	name_of(n, name);
	return companion_end(l, name, err);
}
