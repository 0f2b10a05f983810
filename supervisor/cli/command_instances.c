/* command_instances.c - wispctl's commands about instances. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "supervisor/cli/cli.h"
#include "supervisor/cli/guest.h"
#include "supervisor/cli/run.h"
#include "vmm/base/fd.h"

enum { LOG_POLL_MS = 100, BUF_BYTES = 32, ID_BYTES = 64 };

/* --- creating --- */

enum {
	RUN_NAME,
	RUN_SHAPE,
	RUN_CMDLINE,
	RUN_LABEL,
	RUN_TTL,
	RUN_RUNTIME,
	RUN_DEVICE,
	RUN_NET,
	RUN_ADDRESS,
	RUN_PUBLISH,
	RUN_EGRESS,
	RUN_NETNS,
	RUN_NETNS_LINK,
	RUN_VOLUME,
	RUN_SHARE,
	RUN_HOTPLUG,
	RUN_RM,
	RUN_WAIT,
	RUN_PRIORITY,
	RUN_PROFILE,
	RUN_NODE,
	RUN_HUGE_PAGES,
	RUN_FIRMWARE,
	RUN_DISK_BUS,
	COMMON_OPTIONS,
	CREATE_ENGINE = COMMON_OPTIONS,
	CREATE_ENGINE_REF,
	CREATE_OPTIONS,
	RUN_FOLLOW = COMMON_OPTIONS,
	RUN_DETACH,
	RUN_POOL,
	RUN_EXEC,
	RUN_OPTIONS = RUN_EXEC + EXEC_OPTIONS,
};

/* clang-format off */
#define CREATE_ROWS \
	[RUN_NAME] = { "name", "NAME", "by default its id" }, \
	[RUN_SHAPE] = { "shape", "SHAPE", "by default small" }, \
	[RUN_CMDLINE] = { "cmdline", "TEXT", "added to the kernel's command line" }, \
	[RUN_LABEL] = { "label", "KEY=VALUE...", "may be repeated" }, \
	[RUN_TTL] = { "ttl", "SECONDS", "delete it then" }, \
	[RUN_RUNTIME] = { "runtime", "NAME", "by default wisp, and qemu for what that has not" }, \
	[RUN_DEVICE] = { "device", "DEVICE,...", "of the host, as pci:network" }, \
	[RUN_NET] = { "net", "NETWORK", "give it an interface in this network" }, \
	[RUN_ADDRESS] = { "address", "ADDRESS", "there; by default the next" }, \
	[RUN_PUBLISH] = { "publish", "PORT:PORT,...", "ports of the host, and whose they are" }, \
	[RUN_EGRESS] = { "egress", "RULE,...", "what it may send to" }, \
	[RUN_NETNS] = { "netns", "PATH", "a network namespace that it is given" }, \
	[RUN_NETNS_LINK] = { "netns-link", "NAME", "its interface there; by default eth0" }, \
	[RUN_VOLUME] = { "volume", "NAME[:ro],...", "volumes that are its disks" }, \
	[RUN_SHARE] = { "share", "FOLDER:TAG[:ro],...", "folders of the host, mounted by their tags" }, \
	[RUN_HOTPLUG] = { "hotplug", NULL, "volumes can come and go while it runs" }, \
	[RUN_RM] = { "rm", NULL, "delete it when it has ended" }, \
	[RUN_WAIT] = { "wait", "SECONDS", "for room to start it; by default it is refused" }, \
	[RUN_PRIORITY] = { "priority", "0-9", "while it waits" }, \
	[RUN_PROFILE] = { "profile", "PROFILE", "shared, dedicated or latency: its processors" }, \
	[RUN_NODE] = { "node", "N", "the NUMA node where it runs" }, \
	[RUN_HUGE_PAGES] = { "huge-pages", NULL, "its memory is of pages of 2 MiB" }, \
	[RUN_FIRMWARE] = { "firmware", "NAME", "uefi or bios, under QEMU" }, \
	[RUN_DISK_BUS] = { "disk-bus", "NAME", "virtio; sata or nvme, under QEMU" }
/* clang-format on */

static const struct cli_option create_options[] = {
	CREATE_ROWS,
	[CREATE_ENGINE] = { "engine", "NAME", "which one starts it: slurm, kubernetes, ..." },
	[CREATE_ENGINE_REF] = { "engine-ref", "TEXT", "what it is there: a job, a pod" },
	[CREATE_OPTIONS] = { 0 },
};

static const struct cli_option run_options[] = {
	CREATE_ROWS,
	[RUN_FOLLOW] = { "follow,f", NULL,
			 "print its console until it ends; its VMM's status is mine" },
	[RUN_DETACH] = { "detach,d", NULL, "do not stay: the guest's init runs the command" },
	[RUN_POOL] = { "pool", "POOL", "it is one of this pool's; by default of any that fits" },
	CLI_EXEC_OPTIONS(RUN_EXEC),
	[RUN_OPTIONS] = { 0 },
};

static void add_interface(json_t *body, const struct cli_arguments *a)
{
	json_t *interface;

	if (!a->option[RUN_NET])
		return;
	interface = json_object();
	cli_add_text(interface, "network", a->option[RUN_NET]);
	cli_add_text(interface, "address", a->option[RUN_ADDRESS]);
	cli_add_list(interface, "publish", a->option[RUN_PUBLISH]);
	cli_add_list(interface, "egress", a->option[RUN_EGRESS]);
	json_object_set_new(body, "interfaces", json_pack("[o]", interface));
}

static void add_number(json_t *body, const char *name, const char *text, int64_t unit)
{
	if (text)
		json_object_set_new(body, name, json_integer(strtoll(text, NULL, 10) * unit));
}

static void add_placement(json_t *body, const struct cli_arguments *a)
{
	json_t *placement = json_object();

	cli_add_text(placement, "profile", a->option[RUN_PROFILE]);
	add_number(placement, "node", a->option[RUN_NODE], 1);
	if (a->option[RUN_HUGE_PAGES])
		json_object_set_new(placement, "huge_pages", json_true());
	if (json_object_size(placement))
		json_object_set(body, "placement", placement);
	json_decref(placement);
}

static json_t *create_body(const struct cli_arguments *a, bool start)
{
	json_t *body = json_pack("{s:s, s:b, s:b}", "image", a->operand[0], "start", start,
				 "remove", a->option[RUN_RM] != NULL);

	add_number(body, "ttl_s", a->option[RUN_TTL], 1);
	add_number(body, "wait_ms", a->option[RUN_WAIT], 1000);
	add_number(body, "priority", a->option[RUN_PRIORITY], 1);
	cli_add_text(body, "name", a->option[RUN_NAME]);
	cli_add_text(body, "shape", a->option[RUN_SHAPE]);
	cli_add_text(body, "cmdline", a->option[RUN_CMDLINE]);
	cli_add_text(body, "runtime", a->option[RUN_RUNTIME]);
	cli_add_text(body, "firmware", a->option[RUN_FIRMWARE]);
	cli_add_text(body, "disk_bus", a->option[RUN_DISK_BUS]);
	if (start)
		cli_add_text(body, "pool", a->option[RUN_POOL]);
	add_interface(body, a);
	cli_add_text(body, "netns", a->option[RUN_NETNS]);
	cli_add_text(body, "netns_link", a->option[RUN_NETNS_LINK]);
	add_placement(body, a);
	cli_add_list(body, "volumes", a->option[RUN_VOLUME]);
	cli_add_list(body, "shares", a->option[RUN_SHARE]);
	if (a->option[RUN_HOTPLUG])
		json_object_set_new(body, "hotplug", json_true());
	cli_add_list(body, "devices", a->option[RUN_DEVICE]);
	json_object_set_new(body, "labels", cli_labels(a, RUN_LABEL));
	return body;
}

/* body: stolen. Begun and, unless it is followed, done. */
static int make(struct cli *cli, json_t *body, bool follow, char id[ID_BYTES])
{
	json_t *reply = NULL;
	int status = cli_call(cli, "POST", "/instances", body, &reply);
	const json_t *instance = json_object_get(reply, "instance");
	char number[BUF_BYTES];

	snprintf(id, ID_BYTES, "%s", cli_text(instance, "id", number, sizeof(number)));
	if (status == 0 && !follow)
		status = cli_wait(cli, reply);
	json_decref(reply);
	return status;
}

static int create(struct cli *cli, const struct cli_arguments *a)
{
	json_t *body = create_body(a, false);
	char id[ID_BYTES];
	int status;

	cli_add_text(body, "engine", a->option[CREATE_ENGINE]);
	cli_add_text(body, "engine_ref", a->option[CREATE_ENGINE_REF]);
	status = make(cli, body, false, id);
	if (status == 0)
		puts(id);
	return status;
}

/* --- logs --- */

static void sleep_ms(unsigned ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000L };

	nanosleep(&t, NULL);
}

/* Prints what there is from *from on, and moves it. */
static int print_logs(struct cli *cli, const char *which, bool vmm, json_int_t *from)
{
	char path[CLI_PATH_BYTES];
	int status = 0;
	bool more = true;

	while (more && status == 0) {
		json_t *j = NULL;
		json_int_t next;

		snprintf(path, sizeof(path), "/instances/%s/logs?from=%lld&of=%s", which,
			 (long long)*from, vmm ? "vmm" : "console");
		status = cli_call(cli, "GET", path, NULL, &j);
		next = json_integer_value(json_object_get(j, "next"));
		if (status == 0)
			fputs(json_string_value(json_object_get(j, "text")), stdout);
		more = next > *from;
		*from = next > *from ? next : *from;
		json_decref(j);
	}
	fflush(stdout);
	return status;
}

/* Whether it is on its way, or runs; *exit_status: its VMM's, once it has ended. */
static bool is_live(struct cli *cli, const char *which, int *status, int *exit_status)
{
	static const char *const ended[] = { "created", "stopped", "failed", "deleted" };
	char path[CLI_PATH_BYTES];
	json_t *j = NULL, *last;
	const char *state, *kind;
	bool live = true;

	snprintf(path, sizeof(path), "/instances/%s", which);
	*status = cli_call(cli, "GET", path, NULL, &j);
	state = json_string_value(json_object_get(j, "state"));
	for (size_t i = 0; state && i < sizeof(ended) / sizeof(ended[0]); i++)
		live = live && strcmp(state, ended[i]) != 0;
	last = json_object_get(j, "last_exit");
	kind = json_string_value(json_object_get(last, "kind"));
	*exit_status = (int)json_integer_value(json_object_get(last, "code"));
	if (kind && strcmp(kind, "signal") == 0)
		*exit_status += 128;
	json_decref(j);
	return *status == 0 && live;
}

/* attended: a connection that is kept meanwhile (run.h); NULL: none. */
static int follow(struct cli *cli, const char *which, bool vmm, int *attended, int *exit_status)
{
	json_int_t from = 0;
	int status = 0;
	bool live = true;

	while (live && status == 0) {
		/* Asked before: what it says last is not missed. */
		live = is_live(cli, which, &status, exit_status);
		if (status == 0)
			status = print_logs(cli, which, vmm, &from);
		if (live && status == 0 && attended)
			status = cli_attend(cli, which, attended);
		if (live)
			sleep_ms(LOG_POLL_MS);
	}
	return status;
}

enum { LOGS_FOLLOW, LOGS_VMM };

static const struct cli_option logs_options[] = {
	[LOGS_FOLLOW] = { "follow,f", NULL, "until it ends" },
	[LOGS_VMM] = { "vmm", NULL, "what its VMM has said, rather than the guest" },
	{ 0 },
};

static int logs(struct cli *cli, const struct cli_arguments *a)
{
	bool vmm = a->option[LOGS_VMM] != NULL;
	json_int_t from = 0;
	int exit_status;

	if (a->option[LOGS_FOLLOW])
		return follow(cli, a->operand[0], vmm, NULL, &exit_status);
	return print_logs(cli, a->operand[0], vmm, &from);
}

/* Removed at the end, whatever becomes of us. */
static json_t *attended_body(const struct cli_arguments *a)
{
	json_t *body = create_body(a, true);

	if (a->option[RUN_RM])
		json_object_set_new(body, "attended", json_true());
	return body;
}

static int remove_one(struct cli *cli, const char *id)
{
	char path[CLI_PATH_BYTES];
	json_t *reply = NULL;
	int status;

	snprintf(path, sizeof(path), "/instances/%s", id);
	status = cli_call(cli, "DELETE", path, NULL, &reply);
	if (status == 0)
		status = cli_wait(cli, reply);
	json_decref(reply);
	return status;
}

/* --rm is done here: its last words are to be read first. */
static int run_followed(struct cli *cli, const struct cli_arguments *a)
{
	const bool remove = a->option[RUN_RM] != NULL;
	json_t *body = attended_body(a);
	int exit_status = 0, attended = -1, status;
	char id[ID_BYTES];

	json_object_set_new(body, "remove", json_false());
	status = make(cli, body, true, id);
	if (status == 0)
		status = follow(cli, id, false, remove ? &attended : NULL, &exit_status);
	if (status == 0 && remove)
		status = remove_one(cli, id);
	fd_close(attended);
	return status ? status : exit_status;
}

static int run_alone(struct cli *cli, const struct cli_arguments *a)
{
	char id[ID_BYTES];
	int status;

	if (a->option[RUN_FOLLOW])
		return run_followed(cli, a);
	status = make(cli, create_body(a, true), false, id);
	if (status == 0)
		puts(id);
	return status;
}

static int run_detached(struct cli *cli, const struct cli_arguments *a)
{
	struct cli_arguments with_command = *a;
	char *cmdline = cli_command_line(a->option[RUN_CMDLINE], a->operand + 1);
	int status;

	with_command.option[RUN_CMDLINE] = cmdline;
	status = run_alone(cli, &with_command);
	free(cmdline);
	return status;
}

/* Whether an option of exec is given. */
static bool wants_command(const struct cli_arguments *a)
{
	for (unsigned i = RUN_EXEC; i < RUN_OPTIONS; i++)
		if (a->option[i])
			return true;
	return false;
}

static int run_command(struct cli *cli, const struct cli_arguments *a, const struct caller_exec *e)
{
	return cli_run(cli, attended_body(a), e, a->option[RUN_RM] != NULL);
}

/* With a command, of ours or the image's, or to be spoken to: that is what it is for. */
static int run_attached(struct cli *cli, const struct cli_arguments *a)
{
	static const char *const shell[] = { "/bin/sh", NULL };
	const char *variables[CLI_OPERANDS_MAX + 1];
	struct caller_exec e = { 0 };
	struct cli_plan plan;
	int status = cli_exec_options(a, RUN_EXEC, variables, &e);

	if (status)
		return status;
	status = cli_plan_make(cli, a->operand[0], a->operand + 1, &plan, &e);
	if (status)
		return a->operands > 1 ? CALLER_FAILED : status;
	if (!e.arguments && wants_command(a))
		e.arguments = shell;
	status = e.arguments ? run_command(cli, a, &e) : run_alone(cli, a);
	cli_plan_clear(&plan);
	return status;
}

static int run(struct cli *cli, const struct cli_arguments *a)
{
	if (a->option[RUN_DETACH] && wants_command(a)) {
		fputs("wispctl: with --detach nobody is there for the command's options\n", stderr);
		return EXIT_USAGE;
	}
	if (a->option[RUN_DETACH] && a->operands > 1)
		return run_detached(cli, a);
	if (a->option[RUN_DETACH] || a->option[RUN_FOLLOW])
		return run_alone(cli, a);
	return run_attached(cli, a);
}

/* --- looking --- */

static int ps(struct cli *cli, const struct cli_arguments *a)
{
	static const char *const members[] = { "id",	"name",	   "tenant", "state", "shape",
					       "vcpus", "mem_mib", "cause",  NULL };

	(void)a;
	return cli_list(cli, "/instances", "instances", members);
}

static int trace(struct cli *cli, const struct cli_arguments *a)
{
	static const char *const columns[] = { "incarnation", "stage", "us", NULL };
	char path[CLI_PATH_BYTES];

	snprintf(path, sizeof(path), "/instances/%s/trace", a->operand[0]);
	return cli_list(cli, path, "stages", columns);
}

static int inspect(struct cli *cli, const struct cli_arguments *a)
{
	char path[CLI_PATH_BYTES];

	snprintf(path, sizeof(path), "/instances/%s", a->operand[0]);
	return cli_inspect(cli, path);
}

/* --- verbs --- */

/* On each operand; the first failure is the status, but all are tried. */
static int verb(struct cli *cli, const struct cli_arguments *a, const char *method,
		const char *suffix, const json_t *body)
{
	int first = 0;

	for (unsigned i = 0; i < a->operands; i++) {
		char path[CLI_PATH_BYTES];
		json_t *reply = NULL;
		int status;

		snprintf(path, sizeof(path), "/instances/%s%s", a->operand[i], suffix);
		status = cli_call(cli, method, path, json_deep_copy(body), &reply);
		if (status == 0)
			status = cli_wait(cli, reply);
		if (status == 0)
			puts(a->operand[i]);
		first = first ? first : status;
		json_decref(reply);
	}
	return first;
}

static int start(struct cli *cli, const struct cli_arguments *a)
{
	return verb(cli, a, "POST", "/start", NULL);
}

static int pause_command(struct cli *cli, const struct cli_arguments *a)
{
	return verb(cli, a, "POST", "/pause", NULL);
}

static int resume(struct cli *cli, const struct cli_arguments *a)
{
	return verb(cli, a, "POST", "/resume", NULL);
}

enum { RM_WIPE };

static const struct cli_option rm_options[] = {
	[RM_WIPE] = { "wipe", NULL, "overwrite its disk first; the ledger has the certificate" },
	{ 0 },
};

static int rm(struct cli *cli, const struct cli_arguments *a)
{
	json_t *body = a->option[RM_WIPE] ? json_pack("{s:b}", "wipe", true) : NULL;
	int status = verb(cli, a, "DELETE", "", body);

	json_decref(body);
	return status;
}

static const struct cli_option stop_options[] = {
	{ "timeout", "SECONDS", "how long it has to power off before it is killed" },
	{ 0 },
};

static int end(struct cli *cli, const struct cli_arguments *a, const char *suffix)
{
	json_t *body = NULL;
	int status;

	if (a->option[0])
		body = json_pack("{s:I}", "timeout_ms",
				 (json_int_t)strtoll(a->option[0], NULL, 10) * 1000);
	status = verb(cli, a, "POST", suffix, body);
	json_decref(body);
	return status;
}

static int stop(struct cli *cli, const struct cli_arguments *a)
{
	return end(cli, a, "/stop");
}

static int reboot_command(struct cli *cli, const struct cli_arguments *a)
{
	return end(cli, a, "/reboot");
}

/* clang-format off */
static const struct cli_command commands[] = {
	{ "run",     "IMAGE [-- COMMAND [ARGUMENT]...]", "make an instance of an image and start it; run a command in it", run_options, -1, 1, CLI_OPERANDS_MAX, run },
	{ "create",  "IMAGE",       "make an instance of an image",     create_options, -1, 1, 1, create },
	{ "ps",      "",            "list instances",                   NULL, -1, 0, 0, ps },
	{ "inspect", "INSTANCE",    "show all there is about one",      NULL, -1, 1, 1, inspect },
	{ "trace",   "INSTANCE",    "print how long the stages of its starts took", NULL, -1, 1, 1, trace },
	{ "logs",    "INSTANCE",    "print what its console has said",  logs_options, -1, 1, 1, logs },
	{ "start",   "INSTANCE...", "start them",                       NULL, -1, 1, CLI_OPERANDS_MAX, start },
	{ "reboot",  "INSTANCE...", "stop them so, and start them again", stop_options, -1, 1, CLI_OPERANDS_MAX, reboot_command },
	{ "stop",    "INSTANCE...", "have them power off, or kill them", stop_options, -1, 1, CLI_OPERANDS_MAX, stop },
	{ "pause",   "INSTANCE...", "stop their processors",            NULL, -1, 1, CLI_OPERANDS_MAX, pause_command },
	{ "resume",  "INSTANCE...", "let them go on",                   NULL, -1, 1, CLI_OPERANDS_MAX, resume },
	{ "rm",      "INSTANCE...", "end and delete them",              rm_options, -1, 1, CLI_OPERANDS_MAX, rm },
	{ 0 },
};
/* clang-format on */

const struct cli_area cli_instances = { "Instances", commands };
