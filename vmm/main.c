/* main.c - wisp: one microVM, from the command line to the exit status.
 *
 * In order: signals blocked (before any thread exists, so that every thread
 * inherits the mask), options, a thread that reads ahead (early_cpus.h), log, report file,
 * filters, Landlock, loop, machine, API socket, configuration file and start, signalfd,
 * loop. A signal that arrives earlier stays pending until the signalfd is read. With --config-file and --no-api the way to
 * the first guest instruction is only the log's setup, an epoll and the file: it
 * has a budget of 2 ms, so anything that is not needed there comes later.
 *
 * Exit statuses: the guest's end as vmm/vm.h tells it (0 for a reset or a power
 * off), Firecracker's for its kinds of failure, 128 + N for SIGTERM and SIGINT.
 * SIGHUP, SIGXCPU and SIGXFSZ have the statuses that Firecracker gives them. A
 * fatal fault (SIGSEGV, SIGBUS, SIGILL) is left to the kernel and its core dump.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "api/config_file.h"
#include "api/event_stream.h"
#include "api/fault.h"
#include "api/http.h"
#include "api/routes.h"
#include "api/spec.h"
#include "vmm/base/activation.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"
#include "vmm/base/landlock.h"
#include "vmm/base/log.h"
#include "vmm/base/loop.h"
#include "vmm/base/thread_filter.h"
#include "vmm/early_cpus.h"
#include "vmm/events.h"
#include "vmm/host_check.h"
#include "vmm/logger.h"
#include "vmm/metrics.h"
#include "vmm/options.h"
#include "vmm/seccomp/recorder.h"
#include "vmm/snapshot/page_map.h"
#include "vmm/snapshot/snapshot_files.h"
#include "vmm/vm.h"

enum {
	EXIT_OK = 0,
	EXIT_GENERIC = 1,
	EXIT_BAD_CONFIGURATION = 152,
	EXIT_ARGUMENT_PARSING = 153,
};

static const struct {
	int number;
	int exit_status;
	enum metric metric; /* METRICS: none */
} signals[] = {
	{ SIGTERM, 128 + SIGTERM, METRICS }, { SIGINT, 128 + SIGINT, METRICS },
	{ SIGHUP, 156, METRIC_SIGHUP },	     { SIGXCPU, 154, METRIC_SIGXCPU },
	{ SIGXFSZ, 151, METRIC_SIGXFSZ },
};

enum { SIGNALS_COUNT = sizeof(signals) / sizeof(signals[0]) };

/* Everything that lives as long as the process, in order of creation. */
struct program {
	struct early_cpus *early_cpus;
	struct logger *logger;
	struct metrics *metrics;
	struct thread_filters *own_filters; /* of --seccomp-filter */
	struct landlock *landlock;	    /* NULL: files are not confined */
	int page_map;			    /* -1: it is opened when it is needed */
	int report_fd, signal_fd;
	struct activation activation;
	struct loop *loop;
	struct vm *vm;
	struct http_server *server; /* NULL: no API */
	struct event_sink events;
	struct loop_source *signal_source;
};

static void on_event(void *ctx, const char *name, json_t *data)
{
	struct program *p = ctx;

	if (p->server)
		event_stream_send(p->server, name, data);
}

/* A standard stream that was closed would be the number of the next descriptor to be
 * opened, and the guest's console would be written into it: into a disk, say. */
static int fill_standard_streams(struct error *err)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return error_errno(err, NULL, NULL, "/dev/null cannot be opened");
	fd_close(fd);
	return 0;
}

/* Where there is no /proc, in a jail, nobody but root has any business with what is in this
 * process's memory: no tracer of its own user, no core. (Executing it undid the jailer's.) */
static void hide_memory(void)
{
	if (access("/proc/self", F_OK) < 0)
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* Of the folder only what tells of our pages is kept: before memory is hidden, and with it
 * all of the folder but for root. */
static int take_own_proc(const struct options *o, int *ret, struct error *err)
{
	int folder = (int)o->own_proc_fd, fd;

	if (!folder)
		return 0;
	fd = page_map_open_at(folder);
	fd_close(folder);
	if (fd < 0)
		return error_set(err, fd, "own-proc-fd", "leave it to wisp-jailer --own-proc",
				 "Descriptor %d is not wisp's own folder of /proc: %s", folder,
				 strerror(-fd));
	*ret = fd;
	return 0;
}

static void handled_signals(sigset_t *set)
{
	sigemptyset(set);
	for (unsigned i = 0; i < SIGNALS_COUNT; i++)
		sigaddset(set, signals[i].number);
}

static void block_signals(void)
{
	sigset_t set;

	handled_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void on_signal(void *arg, uint32_t events)
{
	struct program *p = arg;
	struct signalfd_siginfo info;

	(void)events;
	if (read(p->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	for (unsigned i = 0; i < SIGNALS_COUNT; i++) {
		if ((uint32_t)signals[i].number != info.ssi_signo)
			continue;
		log_info("ended by signal %u", info.ssi_signo);
		if (signals[i].metric < METRICS)
			metrics_set(p->metrics, signals[i].metric, 1);
		vm_stop(p->vm, signals[i].exit_status);
	}
}

static int watch_signals(struct program *p, struct error *err)
{
	sigset_t set;

	handled_signals(&set);
	p->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (p->signal_fd < 0)
		return error_errno(err, NULL, NULL, "Signals cannot be watched");

	int r = loop_add(p->loop, p->signal_fd, EPOLLIN, on_signal, p, &p->signal_source);

	if (r < 0)
		error_set(err, r, NULL, NULL, "Signals cannot be watched: %s", strerror(-r));
	return r;
}

/* NULL, an option that was not given, is "". */
static int copy_option(char *to, size_t size, const char *name, const char *value,
		       struct error *err)
{
	if (value && strlen(value) >= size)
		return error_set(err, -ENAMETOOLONG, name, "give a shorter one",
				 "The argument '%s' has more than %zu bytes", name, size - 1);
	memcpy(to, value ? value : "", value ? strlen(value) + 1 : 1);
	return 0;
}

static int open_log(const struct options *o, struct program *p, struct error *err)
{
	struct logger_config c = {
		.show_level = o->show_level,
		.show_log_origin = o->show_log_origin,
	};
	int r = copy_option(c.log_path, sizeof(c.log_path), "log-path", o->log_path, err);

	if (r == 0)
		r = copy_option(c.level, sizeof(c.level), "level", o->level, err);
	if (r == 0)
		r = copy_option(c.module, sizeof(c.module), "module", o->module, err);
	if (r == 0 && (r = logger_create(o->id, &c, &p->logger, err)) < 0)
		snprintf(err->field, sizeof(err->field), "log-path"); /* the option's name */
	return r;
}

static int open_report(const struct options *o, struct program *p, struct error *err)
{
	if (!o->report)
		return 0;
	p->report_fd = fd_open(o->report, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (p->report_fd < 0)
		return error_errno(err, "report", "give a writable file",
				   "The report %s cannot be written", o->report);
	return 0;
}

static int open_metrics(const struct options *o, struct program *p, struct error *err)
{
	struct metrics_config c = { 0 };
	int r = metrics_create(o->id, &p->metrics);

	if (r < 0)
		return error_set(err, r, NULL, NULL, "out of memory");
	if (!o->metrics_path)
		return 0;
	r = copy_option(c.metrics_path, sizeof(c.metrics_path), "metrics-path", o->metrics_path,
			err);
	if (r == 0 && (r = metrics_open(p->metrics, &c, err)) < 0)
		snprintf(err->field, sizeof(err->field), "metrics-path"); /* the option's name */
	return r;
}

static void on_violation(void *ctx)
{
	metrics_tell_violation(ctx);
}

static int prepare_filters(const struct options *o, struct program *p, struct error *err)
{
	int r = 0;

	if (o->no_seccomp)
		return 0;
	if (o->seccomp_log)
		r = recorder_start(o->seccomp_log, err);
	if (o->seccomp_filter)
		r = thread_filters_load(o->seccomp_filter, &p->own_filters, err);
	return r < 0 ? r : thread_filters_prepare(on_violation, p->metrics, err);
}

static const struct thread_filters *chosen_filters(const struct options *o, const struct program *p)
{
	if (o->no_seccomp)
		return NULL;
	return p->own_filters ? p->own_filters : thread_filters_builtin();
}

/* Nobody can ask for another file, or it was said which ones. */
static bool wants_landlock(const struct options *o)
{
	if (o->landlock != LANDLOCK_AUTO)
		return o->landlock == LANDLOCK_ON;
	return o->no_api || o->allow_path_count > 0;
}

static int no_landlock(const struct options *o, int r, struct error *err)
{
	static const char hint[] = "a kernel with CONFIG_SECURITY_LANDLOCK, and landlock among "
				   "the names of lsm= at boot";

	if (o->landlock == LANDLOCK_ON || o->allow_path_count > 0)
		return error_set(err, r, "landlock", hint,
				 "The files cannot be confined, Landlock cannot be had: %s",
				 strerror(-r));
	log_warn("the files are not confined, Landlock cannot be had: %s (%s)", strerror(-r), hint);
	return 0;
}

/* What this file and its like open after the start; not where it is missing, as in a jail. */
static int allow_own_files(const struct options *o, struct landlock *l)
{
	int r = o->report ? landlock_allow(l, "/proc/self/smaps", LANDLOCK_READ) : 0;

	if (!o->no_api && (r == 0 || r == -ENOENT))
		r = landlock_allow(l, "/proc/self/pagemap", LANDLOCK_READ);
#ifdef __SANITIZE_ADDRESS__
	/* Its leak check looks for all threads and what they have mapped. */
	if (r == 0 || r == -ENOENT)
		r = landlock_allow(l, "/proc/self", LANDLOCK_READ);
#endif
	return r == -ENOENT ? 0 : r;
}

/* The rest of the rules come with the configuration. */
static int prepare_landlock(const struct options *o, struct program *p, struct error *err)
{
	int r = wants_landlock(o) ? landlock_create(&p->landlock) : 0;

	if (r < 0)
		return no_landlock(o, r, err);
	if (!p->landlock)
		return 0;
	for (unsigned i = 0; i < o->allow_path_count; i++) {
		r = landlock_allow(p->landlock, o->allow_path[i], LANDLOCK_ALL);
		if (r < 0)
			return error_set(
				err, r, "allow-path", "give a file or folder that is there",
				"%s cannot be allowed: %s", o->allow_path[i], strerror(-r));
	}
	r = allow_own_files(o, p->landlock);
	return r < 0 ? error_set(err, r, "landlock", NULL, "/proc/self cannot be allowed: %s",
				 strerror(-r))
		     : 0;
}

static int create_machine(const struct options *o, struct program *p, struct error *err)
{
	const struct vm_options vm_options = {
		.id = o->id,
		.kvm = o->kvm,
		.early_cpus = p->early_cpus,
		.enable_pci = o->enable_pci,
		.boot_timer = o->boot_timer,
		.restart = o->on_reboot == ON_REBOOT_RESTART,
		.page_map = p->page_map,
		.debug_exit_port = (int)o->debug_exit_port,
		.start_time_us = o->start_time_us,
		.mmds_limit_bytes =
			(size_t)(o->mmds_limit_bytes ? o->mmds_limit_bytes : o->max_payload_bytes),
		.logger = p->logger,
		.metrics = p->metrics,
		.events = o->no_api ? NULL : &p->events,
		.filters = chosen_filters(o, p),
		.landlock = p->landlock,
	};
	int r = loop_create(&p->loop);

	if (r < 0)
		return error_set(err, r, NULL, NULL, "The event loop cannot be created: %s",
				 strerror(-r));
	return vm_create(&vm_options, p->loop, &p->vm, err);
}

/* Of the times that a jailer gave, the one that it did not give counts from zero. */
static void tell_startup(const struct options *o, struct program *p)
{
	if (o->start_time_us)
		metrics_set(p->metrics, METRIC_STARTUP_US, clock_now_us() - o->start_time_us);
	metrics_set(p->metrics, METRIC_STARTUP_CPU_US,
		    clock_cpu_us() - o->start_time_cpu_us + o->parent_cpu_time_us);
}

/* Of the socket, at the end. */
static int allow_removal(struct landlock *l, const char *api_sock, struct error *err)
{
	int r = landlock_allow_folder_of(l, api_sock, LANDLOCK_REMOVE);

	return r < 0 ? error_set(err, r, "api-sock", NULL, "The folder of %s cannot be allowed: %s",
				 api_sock, strerror(-r))
		     : 0;
}

static int serve_api(const struct options *o, struct program *p, struct error *err)
{
	struct http_config http = {
		.socket_path = o->api_sock,
		.max_body_bytes = (size_t)o->max_payload_bytes,
		.handler = routes_handle,
		.ctx = p->vm,
	};
	int r = activation_open(&p->activation, (int)o->ready_fd, err);

	if (r == 0 && !o->no_api) {
		http.inherited_fd = r = activation_take_socket(o->api_sock, err);
		if (r >= 0)
			r = http_listen(&http, p->loop, &p->server, err);
		if (r == 0 && p->landlock && !http.inherited_fd)
			r = allow_removal(p->landlock, o->api_sock, err);
	}
	if (r == 0)
		tell_startup(o, p);
	return r;
}

static int load_metadata(const struct options *o, struct program *p, struct error *err)
{
	return o->metadata ? config_file_metadata(p->vm, o->metadata, err) : 0;
}

static int start_configured(const struct options *o, struct program *p, struct error *err)
{
	if (!o->config_file)
		return 0;

	int r = config_file_apply(p->vm, o->config_file, err);

	return r < 0 ? r : vm_start(p->vm, err);
}

/* Nothing can be said of a machine before it is loaded, but of what it begins with. */
static int make_blank(const struct options *o, struct program *p, struct error *err)
{
	if (!o->blank)
		return 0;
	/* JSON's hash tables draw their key now, and not when the load is read. */
	json_object_seed(0);
	return vm_make_blank(p->vm, (unsigned)o->blank_vcpus, o->blank_mem_mib, err);
}

/* Everything up to the running loop. EXIT_OK, or the exit status and *err. */
static int program_start(const struct options *o, struct program *p, struct error *err)
{
	static const struct {
		int (*run)(const struct options *o, struct program *p, struct error *err);
		int exit_status; /* when it fails */
	} steps[] = {
		{ open_log, EXIT_GENERIC },
		{ open_report, EXIT_GENERIC },
		{ open_metrics, EXIT_GENERIC },
		{ prepare_filters, EXIT_GENERIC },
		{ prepare_landlock, EXIT_GENERIC },
		{ create_machine, EXIT_GENERIC },
		{ load_metadata, EXIT_BAD_CONFIGURATION },
		{ serve_api, EXIT_GENERIC },
		{ start_configured, EXIT_BAD_CONFIGURATION },
		{ make_blank, EXIT_GENERIC },
	};

	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (steps[i].run(o, p, err) < 0)
			return steps[i].exit_status;
	return watch_signals(p, err) < 0 ? EXIT_GENERIC : EXIT_OK;
}

static void program_close(struct program *p)
{
	loop_source_remove(p->signal_source);
	http_destroy(p->server);
	p->server = NULL; /* what is told from here on, nobody hears */
	vm_destroy(p->vm);
	metrics_destroy(p->metrics);
	loop_destroy(p->loop);
	fd_close(p->signal_fd);
	fd_close(p->report_fd);
	fd_close(p->page_map);
	activation_close(&p->activation);
	landlock_destroy(p->landlock);
	thread_filters_free(p->own_filters);
	logger_destroy(p->logger);
	early_cpus_destroy(p->early_cpus);
}

/* To stderr for the person who typed the command, and to a log kept elsewhere. */
static void complain(const struct program *p, const struct error *err)
{
	char line[FAULT_LINE_BYTES];

	fprintf(stderr, "wisp: %s\n", fault_line(err, line, sizeof(line)));
	if (p && p->logger && logger_config(p->logger)->log_path[0])
		log_error("%s", line);
}

static int run_loop(struct program *p, struct error *err)
{
	int status = loop_run(p->loop), r;

	if (status < 0) {
		error_set(err, status, NULL, NULL, "The event loop failed: %s", strerror(-status));
		return EXIT_GENERIC;
	}
	r = metrics_flush(p->metrics);
	if (r < 0)
		log_warn("the last metrics cannot be written: %s", strerror(-r));
	r = p->report_fd >= 0 ? vm_write_report(p->vm, p->report_fd) : 0;
	if (r < 0)
		error_set(err, r, "report", NULL, "The report cannot be written: %s", strerror(-r));
	return r < 0 && status == EXIT_OK ? EXIT_GENERIC : status;
}

static int run(const struct options *o, int page_map)
{
	struct program p = {
		.page_map = page_map,
		.report_fd = -1,
		.signal_fd = -1,
		.activation = { .notify_fd = -1 },
		.events = { on_event, &p },
	};
	struct error err = { 0 };
	int status = EXIT_GENERIC, r = early_cpus_begin(o->kvm, &p.early_cpus);

	if (r < 0)
		error_set(&err, r, NULL, NULL, "out of memory");
	else
		status = program_start(o, &p, &err);
	if (status == EXIT_OK) {
		activation_ready(&p.activation);
		status = run_loop(&p, &err);
	}
	if (err.code)
		complain(&p, &err);
	program_close(&p);
	return status;
}

static int print_snapshot_version(unsigned minor)
{
	return printf("v%d.%u.0\n", STATE_MAJOR, minor) > 0 ? EXIT_OK : EXIT_GENERIC;
}

static int describe_snapshot(const char *path)
{
	struct error err = { 0 };
	struct state *s = NULL;
	unsigned minor;

	if (snapshot_read_state(path, "describe-snapshot", &s, &err) < 0) {
		complain(NULL, &err);
		return EXIT_GENERIC;
	}
	minor = state_minor(s);
	state_destroy(s);
	return print_snapshot_version(minor);
}

static int print_api_spec(void)
{
	json_t *spec = spec_openapi();
	int r = spec ? json_dumpf(spec, stdout, JSON_INDENT(2)) : -1;

	json_decref(spec);
	return r == 0 && puts("") >= 0 ? EXIT_OK : EXIT_GENERIC;
}

int main(int argc, char *argv[])
{
	struct options o;
	struct error err = { 0 };
	int page_map = -1;

	/* Hardly any thread but the main one allocates: an area of its own would cost each that
	 * does more than the lock. */
	mallopt(M_ARENA_MAX, 1);
	block_signals();
	if (fill_standard_streams(&err) < 0) {
		complain(NULL, &err);
		return EXIT_GENERIC;
	}
	if (options_parse(argc, argv, &o, &err) < 0 || take_own_proc(&o, &page_map, &err) < 0) {
		complain(NULL, &err);
		return EXIT_ARGUMENT_PARSING;
	}
	hide_memory();
	if (o.help) {
		options_print_help(stdout);
		return EXIT_OK;
	}
	if (o.version) {
		printf("wisp v%s\nFirecracker API v%s\n", WISP_VERSION, ROUTES_FIRECRACKER_VERSION);
		return EXIT_OK;
	}
	if (o.api_spec)
		return print_api_spec();
	if (o.show_seccomp)
		return thread_filters_show(stdout) ? EXIT_OK : EXIT_GENERIC;
	if (o.snapshot_version)
		return print_snapshot_version(STATE_MINOR);
	if (o.describe_snapshot)
		return describe_snapshot(o.describe_snapshot);
	if (o.check_host)
		return host_check_print(stdout);
	return run(&o, page_map);
}
