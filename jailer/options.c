/* options.c - the command line of wisp-jailer.
 *
 * Whoever starts jails may pass on what a stranger gave as a name, so every name that
 * becomes part of a path is checked here, to the character.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jailer/options.h"

enum { ID_MAX_CHARS = 64, NO_FILE_DEFAULT = 2048 };

struct option_def {
	const char *name, *value_name; /* value_name NULL: takes none */
	int (*take)(const char *value, struct jail_options *o, struct error *err);
	size_t flag; /* offset of the bool, when it takes no value */
	bool repeats, required;
	const char *help;
};

static int refuse(const char *option, const char *value, const char *hint, struct error *err)
{
	return error_set(err, -EINVAL, option, hint, "The argument '%s' cannot be '%.80s'", option,
			 value);
}

static int take_id(const char *value, struct jail_options *o, struct error *err)
{
	size_t len = strlen(value);

	for (const char *c = value; *c; c++)
		if (!isascii(*c) || (!isalnum((unsigned char)*c) && *c != '-'))
			len = 0;
	if (len == 0 || len > ID_MAX_CHARS)
		return refuse("id", value, "1 to 64 letters, digits and hyphens", err);
	o->id = value;
	return 0;
}

static int take_exec(const char *value, struct jail_options *o, struct error *err)
{
	(void)err;
	o->exec_file = value;
	return 0;
}

static int take_base(const char *value, struct jail_options *o, struct error *err)
{
	(void)err;
	o->base = value;
	return 0;
}

static int take_netns(const char *value, struct jail_options *o, struct error *err)
{
	(void)err;
	o->netns = value;
	return 0;
}

static int take_mount_ns(const char *value, struct jail_options *o, struct error *err)
{
	(void)err;
	o->mount_ns = value;
	return 0;
}

static int take_prepare(const char *value, struct jail_options *o, struct error *err)
{
	(void)err;
	o->prepare = value;
	return 0;
}

static bool parse_number(const char *value, uint64_t max, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(value, &end, 10);
	return isdigit((unsigned char)value[0]) && !*end && !errno && *ret <= max;
}

/* -1 means "leave as it is" to the kernel, and 0 is what a jail is there to take away. */
static int take_user(const char *option, const char *value, uint32_t *to, struct error *err)
{
	uint64_t n;

	if (!parse_number(value, UINT32_MAX - 1, &n) || n == 0)
		return refuse(option, value, "a number of an unprivileged user, above 0", err);
	*to = (uint32_t)n;
	return 0;
}

static int take_uid(const char *value, struct jail_options *o, struct error *err)
{
	return take_user("uid", value, &o->uid, err);
}

static int take_gid(const char *value, struct jail_options *o, struct error *err)
{
	return take_user("gid", value, &o->gid, err);
}

/* A relative path of plain names. */
static int take_parent(const char *value, struct jail_options *o, struct error *err)
{
	const char *at = value;

	while (*at) {
		size_t len = strcspn(at, "/");

		if (len == 0 || at[0] == '.' || len > NAME_MAX)
			return refuse("parent-cgroup", value,
				      "a relative path without '.', '..' and empty parts", err);
		at += len;
		if (at[0] == '/' && at[1] == '\0')
			return refuse("parent-cgroup", value, "no '/' at the end", err);
		at += at[0] == '/';
	}
	o->parent_cgroup = value;
	return 0;
}

/* "cpu.max=50000 100000": a controller's file, and what is written to it. */
static int take_cgroup(const char *value, struct jail_options *o, struct error *err)
{
	struct jail_cgroup_value *v = &o->cgroup[o->cgroup_count];
	size_t len = strcspn(value, "=");
	bool good = value[len] == '=' && value[len + 1] && len < sizeof(v->file) &&
		    isalpha((unsigned char)value[0]) && memchr(value, '.', len);

	for (size_t i = 0; i < len; i++)
		good = good && (isalnum((unsigned char)value[i]) || strchr("._", value[i]));
	if (!good)
		return refuse("cgroup", value, "FILE=VALUE, such as cpu.max=50000 100000", err);
	if (o->cgroup_count == JAIL_CGROUPS_MAX)
		return refuse("cgroup", value, "at most 32 values", err);
	memcpy(v->file, value, len);
	v->file[len] = '\0';
	v->value = value + len + 1;
	o->cgroup_count++;
	return 0;
}

static int take_cgroup_version(const char *value, struct jail_options *o, struct error *err)
{
	if (strcmp(value, "1") != 0 && strcmp(value, "2") != 0)
		return refuse("cgroup-version", value, "1 or 2", err);
	o->cgroup_version = (unsigned)(value[0] - '0');
	return 0;
}

static int take_limit(const char *value, struct jail_options *o, struct error *err)
{
	static const struct {
		const char *name;
		size_t offset;
	} limits[] = {
		{ "no-file=", offsetof(struct jail_options, no_file) },
		{ "fsize=", offsetof(struct jail_options, fsize) },
		{ "memlock=", offsetof(struct jail_options, memlock) },
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		size_t len = strlen(limits[i].name);
		uint64_t n;

		if (strncmp(value, limits[i].name, len) != 0)
			continue;
		if (!parse_number(value + len, INT64_MAX, &n) || n == 0)
			break;
		memcpy((char *)o + limits[i].offset, &n, sizeof(n));
		return 0;
	}
	return refuse("resource-limit", value, "no-file=N, fsize=BYTES or memlock=BYTES, above 0",
		      err);
}

static int take_device(const char *value, struct jail_options *o, struct error *err)
{
	if (o->device_count == JAIL_DEVICES_MAX)
		return refuse("device", value, "at most 8 devices", err);
	o->device[o->device_count++] = value;
	return 0;
}

/* In rising order, so that all between them can be closed. */
static int take_pass(const char *value, struct jail_options *o, struct error *err)
{
	static const char hint[] = "the number of an open descriptor, 3 or more, once";
	unsigned at = o->pass_count;
	uint64_t n;

	if (!parse_number(value, INT_MAX - 1, &n) || n <= STDERR_FILENO)
		return refuse("pass-fd", value, hint, err);
	if (o->pass_count == JAIL_PASS_MAX)
		return refuse("pass-fd", value, "at most 32 descriptors", err);
	for (unsigned i = 0; i < o->pass_count; i++)
		if (o->pass_fd[i] == (int)n)
			return refuse("pass-fd", value, hint, err);
	for (; at > 0 && o->pass_fd[at - 1] > (int)n; at--)
		o->pass_fd[at] = o->pass_fd[at - 1];
	o->pass_fd[at] = (int)n;
	o->pass_count++;
	return 0;
}

static int take_gate(const char *value, struct jail_options *o, struct error *err)
{
	uint64_t n;

	if (!parse_number(value, INT_MAX - 1, &n) || n <= STDERR_FILENO)
		return refuse("gate-fd", value, "the number of an open descriptor, 3 or more", err);
	o->gate_fd = (int)n;
	return 0;
}

#define FLAG(member) .flag = offsetof(struct jail_options, member)

/* clang-format off */
static const struct option_def defs[] = {
	{ "id", "ID", take_id, .required = true,
	  .help = "Name of the microVM: 1 to 64 letters, digits and hyphens." },
	{ "exec-file", "FILE", take_exec, .required = true,
	  .help = "The VMM. It is mounted in the jail, not copied." },
	{ "uid", "N", take_uid, .help = "User that the VMM runs as; not 0." },
	{ "gid", "N", take_gid, .help = "Its group; not 0." },
	{ "chroot-base-dir", "DIR", take_base,
	  .help = "Where jails are: DIR/<name of the VMM>/ID/root. [/srv/jailer]" },
	{ "netns", "FILE", take_netns, .help = "Network namespace to enter. [the caller's]" },
	{ "mount-ns", "FILE", take_mount_ns,
	  .help = "Mount namespace to copy: one with a /proc and little else is quick. [the caller's]" },
	{ "daemonize", NULL, .flag = offsetof(struct jail_options, daemonize),
	  .help = "New session, streams to /dev/null, do not wait for the end." },
	{ "new-pid-ns", NULL, FLAG(new_pid_ns),
	  .help = "Do not wait for the end; there is a PID namespace in any case." },
	{ "user-ns", NULL, FLAG(user_ns),
	  .help = "A user namespace of its own, in which there is nobody else and no other can be made." },
	{ "system-program", NULL, FLAG(system_program),
	  .help = "The VMM is the host's: it has /usr, read-only, and no options but its own." },
	{ "read-only-root", NULL, FLAG(read_only_root),
	  .help = "The VMM may write to /run alone." },
	{ "own-proc", NULL, FLAG(own_proc),
	  .help = "The VMM is wisp, and learns of its pages: for snapshots without zeros, and working sets." },
	{ "pass-fd", "N", take_pass, .repeats = true,
	  .help = "Leave this descriptor open for the VMM, which knows it as fd:N." },
	{ "gate-fd", "N", take_gate,
	  .help = "Begin when a byte comes by this descriptor; end without a trace when it closes." },
	{ "cgroup", "FILE=VALUE", take_cgroup, .repeats = true,
	  .help = "Write VALUE to a file of the jail's control group." },
	{ "cgroup-version", "1|2", take_cgroup_version,
	  .help = "Which control groups. [where the controller is]" },
	{ "parent-cgroup", "PATH", take_parent,
	  .help = "Control group to make the jail's in. [the name of the VMM]" },
	{ "resource-limit", "NAME=N", take_limit, .repeats = true,
	  .help = "no-file: open files [2048]; fsize: bytes of a file [none]; memlock: locked. [as it was]" },
	{ "device", "NAME", take_device, .repeats = true,
	  .help = "Device to have, of kvm, net/tun, null, urandom, userfaultfd, vhost-vsock, vfio/vfio, "
		  "vfio/N. [the first four]" },
	{ "prepare", "FILE", take_prepare,
	  .help = "Make a mount namespace for --mount-ns, mounted on a new FILE, and exit." },
	{ "cleanup", NULL, FLAG(cleanup),
	  .help = "Remove the jail of this ID, its files and control groups, and exit." },
	{ "version", NULL, FLAG(version), .help = "Print the version, and exit." },
	{ "help", NULL, FLAG(help), .help = "Print this text, and exit." },
};
/* clang-format on */

enum { DEFS_COUNT = sizeof(defs) / sizeof(defs[0]) };

const char *jail_options_name(size_t index)
{
	return index < DEFS_COUNT ? defs[index].name : NULL;
}

/* The option that "name" or "name=value" names, or NULL. */
static const struct option_def *find_def(const char *arg)
{
	size_t len = strcspn(arg, "=");

	for (size_t i = 0; i < DEFS_COUNT; i++)
		if (strlen(defs[i].name) == len && strncmp(defs[i].name, arg, len) == 0)
			return &defs[i];
	return NULL;
}

/* One option and its value, which *next passes. */
static int take_option(const struct option_def *d, char *argv[], int argc, int *next,
		       struct jail_options *o, struct error *err)
{
	const char *value = strchr(argv[*next - 1], '=');

	if (!d->take) {
		if (value)
			return error_set(err, -EINVAL, d->name, "write it alone",
					 "The argument '%s' takes no value", d->name);
		*((bool *)((char *)o + d->flag)) = true;
		return 0;
	}
	if (value)
		value++;
	else if (*next < argc && strncmp(argv[*next], "--", 2) != 0)
		value = argv[(*next)++];
	if (!value || !*value)
		return error_set(err, -EINVAL, d->name, d->value_name,
				 "The argument '%s' requires a value, but none was supplied",
				 d->name);
	return d->take(value, o, err);
}

static int check_complete(const struct jail_options *o, const bool seen[], struct error *err)
{
	for (size_t i = 0; i < DEFS_COUNT; i++)
		if (defs[i].required && !seen[i])
			return error_set(err, -EINVAL, defs[i].name, "see --help",
					 "The argument '%s' is required", defs[i].name);
	if (!o->cleanup && (!o->uid || !o->gid))
		return error_set(err, -EINVAL, o->uid ? "gid" : "uid", "see --help",
				 "The argument '%s' is required", o->uid ? "gid" : "uid");
	if (o->own_proc && o->system_program)
		return error_set(err, -EINVAL, "own-proc", "leave out the one or the other",
				 "A program of the host's does not know what to do with it");
	return 0;
}

int jail_options_parse(int argc, char *argv[], struct jail_options *ret, struct error *err)
{
	struct jail_options o = { .base = "/srv/jailer", .no_file = NO_FILE_DEFAULT };
	bool seen[DEFS_COUNT] = { false };
	int next = 1, r = 0;

	while (r == 0 && next < argc && strcmp(argv[next], "--") != 0) {
		const char *arg = argv[next++];
		const struct option_def *d = strncmp(arg, "--", 2) == 0 ? find_def(arg + 2) : NULL;

		if (!d)
			return error_set(err, -EINVAL, NULL, "see --help",
					 "Found argument '%.80s' which wasn't expected", arg);
		if (seen[d - defs] && !d->repeats)
			return error_set(err, -EINVAL, d->name, "give it once",
					 "The argument '%s' was provided more than once", d->name);
		seen[d - defs] = true;
		r = take_option(d, argv, argc, &next, &o, err);
	}
	o.extra = &argv[next < argc ? next + 1 : argc];
	if (r == 0 && !o.help && !o.version && !o.prepare)
		r = check_complete(&o, seen, err);
	if (r == 0)
		*ret = o;
	return r;
}

void jail_options_print_help(FILE *out)
{
	char left[48];

	fprintf(out, "Usage: wisp-jailer --id ID --exec-file FILE --uid N --gid N [OPTION]... "
		     "[-- ARGUMENT...]\nRuns a VMM in a jail of its own.\n\n");
	for (size_t i = 0; i < DEFS_COUNT; i++) {
		snprintf(left, sizeof(left), "--%s %s", defs[i].name,
			 defs[i].value_name ? defs[i].value_name : "");
		fprintf(out, "  %-28s %s\n", left, defs[i].help);
	}
}
