/* options.c - the command line of wisp: Firecracker's options and a few more.
 *
 * One table: the parser, --help and the test of the manual page go by it.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/config.h"
#include "vmm/options.h"

#define ID_MAX_CHARS	  64
#define PAYLOAD_MAX_BYTES (UINT64_C(1) << 30)
#define MEM_MAX_MIB	  (UINT64_C(1) << 24)

enum option_kind {
	OPTION_FLAG,   /* bool, no value */
	OPTION_STRING, /* const char *, not empty */
	OPTION_ID,     /* as OPTION_STRING: 1 to 64 letters, digits, "-" */
	OPTION_NUMBER, /* uint64_t, decimal, or hexadecimal after 0x */
	OPTION_CHOICE, /* uint32_t, the index in names */
	OPTION_LEVEL,  /* as OPTION_STRING: a level of the log */
	OPTION_ALLOW,  /* a path more in allow_path; may be repeated */
};

struct option_def {
	const char *name;
	enum option_kind kind;
	size_t offset;		  /* in struct options */
	uint64_t min, max;	  /* OPTION_NUMBER */
	const char *const *names; /* OPTION_CHOICE: NULL-ended */
	const char *value_name;	  /* NULL: takes no value */
	const char *fallback;	  /* parsed when the option is not given; NULL: zero */
	const char *help;
};

#define TO(member) .offset = offsetof(struct options, member)

static const char *const on_reboot_names[] = {
	[ON_REBOOT_EXIT] = "exit",
	[ON_REBOOT_RESTART] = "restart",
	NULL,
};

static const char *const landlock_names[] = {
	[LANDLOCK_AUTO] = "auto",
	[LANDLOCK_ON] = "on",
	[LANDLOCK_OFF] = "off",
	NULL,
};

static const struct option_def defs[] = {
	{ "api-sock", OPTION_STRING, TO(api_sock), .value_name = "PATH",
	  .fallback = "/run/firecracker.socket", .help = "Unix socket on which to serve the API." },
	{ "id", OPTION_ID, TO(id), .value_name = "ID", .fallback = "anonymous-instance",
	  .help = "Name of the microVM: 1 to 64 letters, digits and hyphens." },
	{ "config-file", OPTION_STRING, TO(config_file), .value_name = "FILE",
	  .help = "Configure the microVM from this JSON file and start it at once." },
	{ "blank", OPTION_FLAG, TO(blank),
	  .help = "Build as much of a machine as can be before a snapshot is loaded into it." },
	{ "blank-vcpus", OPTION_NUMBER, TO(blank_vcpus), .value_name = "N", .min = 1,
	  .max = VM_MAX_VCPUS, .fallback = "1", .help = "The snapshot's number of vCPUs." },
	{ "blank-mem-mib", OPTION_NUMBER, TO(blank_mem_mib), .value_name = "MIB", .min = 1,
	  .max = MEM_MAX_MIB, .fallback = "128", .help = "The snapshot's memory." },
	{ "no-api", OPTION_FLAG, TO(no_api), .help = "Serve no API. Needs --config-file." },
	{ "log-path", OPTION_STRING, TO(log_path), .value_name = "FILE",
	  .help = "Append the log to this file or FIFO, rather than to stderr." },
	{ "level", OPTION_LEVEL, TO(level), .value_name = "LEVEL", .fallback = "Info",
	  .help = "What to log: Off, Error, Warn, Info, Debug or Trace." },
	{ "show-level", OPTION_FLAG, TO(show_level), .help = "Show the level in each log line." },
	{ "show-log-origin", OPTION_FLAG, TO(show_log_origin),
	  .help = "Show the source file and line in each log line." },
	{ "module", OPTION_STRING, TO(module), .value_name = "NAME",
	  .help = "Log only what a source folder or file says, such as devices/virtio." },
	{ "metrics-path", OPTION_STRING, TO(metrics_path), .value_name = "FILE",
	  .help = "Append metrics to this file or FIFO: at the start, every minute, at exit." },
	{ "boot-timer", OPTION_FLAG, TO(boot_timer),
	  .help = "Log the guest's boot time when it writes to the boot timer's page." },
	{ "enable-pci", OPTION_FLAG, TO(enable_pci),
	  .help = "Put the virtio devices on a PCI bus, where drives and interfaces come and go." },
	{ "http-api-max-payload-size", OPTION_NUMBER, TO(max_payload_bytes), .value_name = "BYTES",
	  .min = 1, .max = PAYLOAD_MAX_BYTES, .fallback = "51200",
	  .help = "Largest body of an API request." },
	{ "mmds-size-limit", OPTION_NUMBER, TO(mmds_limit_bytes), .value_name = "BYTES", .min = 1,
	  .max = PAYLOAD_MAX_BYTES,
	  .help = "Most that the metadata service can know. Default: the largest body." },
	{ "metadata", OPTION_STRING, TO(metadata), .value_name = "FILE",
	  .help = "What the metadata service knows at first: a JSON file." },
	{ "start-time-us", OPTION_NUMBER, TO(start_time_us), .value_name = "US", .max = UINT64_MAX,
	  .help = "When the process was started, on the monotonic clock." },
	{ "start-time-cpu-us", OPTION_NUMBER, TO(start_time_cpu_us), .value_name = "US",
	  .max = UINT64_MAX, .help = "CPU time of the process when it was started." },
	{ "parent-cpu-time-us", OPTION_NUMBER, TO(parent_cpu_time_us), .value_name = "US",
	  .max = UINT64_MAX, .help = "CPU time that its parent used to start it." },
	{ "no-seccomp", OPTION_FLAG, TO(no_seccomp),
	  .help = "Do not confine the threads: they may make any system call." },
	{ "seccomp-filter", OPTION_STRING, TO(seccomp_filter), .value_name = "FILE",
	  .help = "Confine the threads by the filters of this file rather than the built-in ones." },
	{ "seccomp-log", OPTION_STRING, TO(seccomp_log), .value_name = "FILE",
	  .help = "Confine nothing, but write the calls that the threads make, for wisp-seccomp." },
	{ "show-seccomp", OPTION_FLAG, TO(show_seccomp),
	  .help = "Print what the built-in filters allow each thread, and exit." },
	{ "landlock", OPTION_CHOICE, TO(landlock), .value_name = "auto|on|off",
	  .names = landlock_names, .fallback = "auto",
	  .help = "Open no file after the start that was not named; auto: with --no-api." },
	{ "allow-path", OPTION_ALLOW, .value_name = "PATH",
	  .help = "... but this one and what is below it. May be repeated." },
	{ "on-reboot", OPTION_CHOICE, TO(on_reboot), .value_name = "exit|restart",
	  .names = on_reboot_names, .fallback = "exit",
	  .help = "When the guest resets: end, or boot it again." },
	{ "debug-exit-port", OPTION_NUMBER, TO(debug_exit_port), .value_name = "PORT", .min = 1,
	  .max = UINT16_MAX,
	  .help = "I/O port that ends wisp when the guest writes its exit status there." },
	{ "kvm", OPTION_STRING, TO(kvm), .value_name = "FILE",
	  .help = "KVM's device, or fd:N, where it is open. [/dev/kvm]" },
	{ "ready-fd", OPTION_NUMBER, TO(ready_fd), .value_name = "N", .min = 3, .max = INT_MAX,
	  .help = "Write a newline to this open descriptor once the API is served." },
	{ "own-proc-fd", OPTION_NUMBER, TO(own_proc_fd), .value_name = "N", .min = 3,
	  .max = INT_MAX,
	  .help = "This open descriptor is wisp's own folder of /proc: for a jail that has none." },
	{ "report", OPTION_STRING, TO(report), .value_name = "FILE",
	  .help = "Write timeline, exits and memory of the run to FILE as JSON, at exit." },
	{ "check-host", OPTION_FLAG, TO(check_host),
	  .help = "Print what this host offers to microVMs, and exit." },
	{ "api-spec", OPTION_FLAG, TO(api_spec),
	  .help = "Print the API as an OpenAPI 3 document, and exit." },
	{ "snapshot-version", OPTION_FLAG, TO(snapshot_version),
	  .help = "Print the version of the snapshots that this wisp makes, and exit." },
	{ "describe-snapshot", OPTION_STRING, TO(describe_snapshot), .value_name = "FILE",
	  .help = "Check the state of a snapshot, print its version, and exit." },
	{ "version", OPTION_FLAG, TO(version), .help = "Print the version, and exit." },
	{ "help", OPTION_FLAG, TO(help), .help = "Print this text, and exit." },
};

enum { DEFS_COUNT = sizeof(defs) / sizeof(defs[0]) };

const char *options_name(size_t index)
{
	return index < DEFS_COUNT ? defs[index].name : NULL;
}

static int set_id(const struct option_def *d, const char *value, struct error *err)
{
	size_t len = strlen(value);

	for (const char *c = value; *c; c++)
		if (!isascii(*c) || (!isalnum((unsigned char)*c) && *c != '-'))
			len = 0;
	if (len == 0 || len > ID_MAX_CHARS)
		return error_set(err, -EINVAL, d->name, "1 to 64 letters, digits and hyphens",
				 "The argument '%s' cannot be '%.80s'", d->name, value);
	return 0;
}

/* Decimal, or hexadecimal after 0x; nothing before or behind. */
static int parse_number(const char *value, uint64_t *ret)
{
	int base = strncmp(value, "0x", 2) == 0 ? 16 : 10;
	const char *digits = base == 16 ? value + 2 : value;
	char *end;

	if (!isxdigit((unsigned char)digits[0]))
		return -EINVAL;
	errno = 0;
	*ret = strtoull(digits, &end, base);
	return *end || errno ? -EINVAL : 0;
}

static int set_number(const struct option_def *d, const char *value, uint64_t *to,
		      struct error *err)
{
	char hint[80];

	if (parse_number(value, to) == 0 && *to >= d->min && *to <= d->max)
		return 0;
	snprintf(hint, sizeof(hint), "a number from %" PRIu64 " to %" PRIu64, d->min, d->max);
	return error_set(err, -EINVAL, d->name, hint, "The argument '%s' cannot be '%.80s'",
			 d->name, value);
}

static int set_choice(const struct option_def *d, const char *value, uint32_t *to,
		      struct error *err)
{
	uint32_t i = 0;

	while (d->names[i] && strcmp(d->names[i], value) != 0)
		i++;
	if (!d->names[i])
		return error_set(err, -EINVAL, d->name, d->value_name,
				 "The argument '%s' cannot be '%.80s'", d->name, value);
	*to = i;
	return 0;
}

static int set_level(const struct option_def *d, const char *value, const char **to,
		     struct error *err)
{
	enum log_level level;

	if (log_level_parse(value, &level) < 0)
		return error_set(err, -EINVAL, d->name, "Off, Error, Warn, Info, Debug or Trace",
				 "The argument '%s' cannot be '%.80s'", d->name, value);
	*to = value;
	return 0;
}

static int add_path(const struct option_def *d, const char *value, struct options *o,
		    struct error *err)
{
	if (o->allow_path_count == ALLOW_PATHS_MAX)
		return error_set(err, -EINVAL, d->name, "allow a folder above some of them",
				 "The argument '%s' was provided more than %d times", d->name,
				 ALLOW_PATHS_MAX);
	o->allow_path[o->allow_path_count++] = value;
	return 0;
}

/* value is empty for what takes none, and for nothing else. */
static int set_option(const struct option_def *d, const char *value, struct options *o,
		      struct error *err)
{
	void *to = (char *)o + d->offset;

	switch (d->kind) {
	case OPTION_FLAG:
		*(bool *)to = true;
		return 0;
	case OPTION_ID:
		if (set_id(d, value, err) < 0)
			return -EINVAL;
		*(const char **)to = value;
		return 0;
	case OPTION_STRING:
		*(const char **)to = value;
		return 0;
	case OPTION_NUMBER:
		return set_number(d, value, to, err);
	case OPTION_CHOICE:
		return set_choice(d, value, to, err);
	case OPTION_LEVEL:
		return set_level(d, value, to, err);
	case OPTION_ALLOW:
		return add_path(d, value, o, err);
	}
	return -EINVAL;
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

static int set_defaults(struct options *o, struct error *err)
{
	*o = (struct options){ 0 };
	for (size_t i = 0; i < DEFS_COUNT; i++) {
		int r = defs[i].fallback ? set_option(&defs[i], defs[i].fallback, o, err) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

/* The value of defs[at], from behind "=" or from the next argument, which *next
 * then passes. "" when it takes none; -EINVAL when given and taken do not agree. */
static int find_value(const struct option_def *d, int argc, char *const argv[], int *next,
		      const char **ret, struct error *err)
{
	const char *equals = strchr(argv[*next - 1], '=');

	*ret = "";
	if (!d->value_name) {
		if (equals)
			return error_set(err, -EINVAL, d->name, "write it alone",
					 "The argument '%s' takes no value", d->name);
		return 0;
	}
	if (equals)
		*ret = equals + 1;
	else if (*next < argc && strncmp(argv[*next], "--", 2) != 0)
		*ret = argv[(*next)++];
	if (!**ret)
		return error_set(err, -EINVAL, d->name, d->value_name,
				 "The argument '%s' requires a value, but none was supplied",
				 d->name);
	return 0;
}

static int check_together(const struct options *o, struct error *err)
{
	if (o->no_api && !o->config_file)
		return error_set(err, -EINVAL, "no-api", "give --config-file",
				 "Argument 'no-api' cannot be used without 'config-file'");
	if (o->blank && o->config_file)
		return error_set(err, -EINVAL, "blank", "give one of the two",
				 "Argument 'blank' cannot be used with 'config-file'");
	if (o->no_seccomp && o->seccomp_filter)
		return error_set(err, -EINVAL, "no-seccomp", "give one of the two",
				 "Argument 'no-seccomp' cannot be used with 'seccomp-filter'");
	if (o->landlock == LANDLOCK_OFF && o->allow_path_count > 0)
		return error_set(err, -EINVAL, "allow-path", "give one of the two",
				 "Argument 'allow-path' cannot be used with 'landlock off'");
	if (o->seccomp_log && (o->no_seccomp || o->seccomp_filter))
		return error_set(err, -EINVAL, "seccomp-log", "give one of the two",
				 "Argument 'seccomp-log' cannot be used with '%s'",
				 o->no_seccomp ? "no-seccomp" : "seccomp-filter");
	return 0;
}

static bool prints_and_exits(const struct options *o)
{
	return o->help || o->version || o->check_host || o->api_spec || o->show_seccomp ||
	       o->snapshot_version || o->describe_snapshot;
}

int options_parse(int argc, char *const argv[], struct options *ret, struct error *err)
{
	bool seen[DEFS_COUNT] = { false };
	struct options o;
	int r = set_defaults(&o, err);

	for (int next = 1; r == 0 && next < argc;) {
		const char *arg = argv[next++], *value;
		const struct option_def *d = strncmp(arg, "--", 2) == 0 ? find_def(arg + 2) : NULL;

		if (!d)
			return error_set(err, -EINVAL, NULL, "see --help",
					 "Found argument '%.80s' which wasn't expected, or isn't "
					 "valid in this context",
					 arg);
		if (seen[d - defs] && d->kind != OPTION_ALLOW)
			return error_set(err, -EINVAL, d->name, "give it once",
					 "The argument '%s' was provided more than once", d->name);
		seen[d - defs] = true;
		r = find_value(d, argc, argv, &next, &value, err);
		if (r == 0)
			r = set_option(d, value, &o, err);
	}
	if (r == 0 && !prints_and_exits(&o))
		r = check_together(&o, err);
	if (r == 0)
		*ret = o;
	return r;
}

void options_print_help(FILE *out)
{
	char left[48];

	fprintf(out, "Usage: wisp [OPTION]...\n"
		     "Runs one microVM, configured by a file or through the API socket.\n\n");
	for (size_t i = 0; i < DEFS_COUNT; i++) {
		const struct option_def *d = &defs[i];

		snprintf(left, sizeof(left), "--%s%s%s", d->name, d->value_name ? " " : "",
			 d->value_name ? d->value_name : "");
		fprintf(out, "  %-34s %s", left, d->help);
		if (d->fallback)
			fprintf(out, " [%s]", d->fallback);
		fputc('\n', out);
	}
}
