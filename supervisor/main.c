/* main.c - wispd, the host supervisor: puts the parts together and runs the loop.
 *
 * One thread runs the loop and owns the books; a few workers do what would hold it up. What
 * there is at the start is made to agree with the books (recover.h) before anybody is
 * listened to, and word of being ready goes out after that. At the end, and at a crash, the
 * VMMs run on: nothing here is theirs.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "supervisor/books/backup.h"
#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/config.h"
#include "supervisor/device/watch.h"
#include "supervisor/host/topology.h"
#include "supervisor/host/watch.h"
#include "supervisor/http/server.h"
#include "supervisor/images/import.h"
#include "supervisor/life/attend.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/life/pin.h"
#include "supervisor/life/queue.h"
#include "supervisor/life/recover.h"
#include "supervisor/life/relay.h"
#include "supervisor/life/workers.h"
#include "supervisor/metering/budget.h"
#include "supervisor/metering/heartbeat.h"
#include "supervisor/metering/outbox.h"
#include "supervisor/metering/reconcile.h"
#include "supervisor/metering/retention.h"
#include "supervisor/metering/verification.h"
#include "supervisor/network/firewall.h"
#include "supervisor/pool/keeper.h"
#include "supervisor/reserve.h"
#include "supervisor/wispd.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum { EXIT_BAD_ARGUMENTS = 153 };

#define CONFIG_FILE "/etc/wisp/wispd.json"

static const char usage_text[] =
	"Usage: wispd [--config FILE] [--restore COPY | --verify COPY [--archive FOLDER]]\n\n"
	"Supervises the microVMs of this host; see wispd(8).\n\n"
	"  --config FILE   configuration, by default " CONFIG_FILE ", if it is there\n"
	"  --restore COPY  put a back-up in the place of the database, and exit\n"
	"  --verify COPY   look whether a back-up is whole, and exit\n"
	"  --archive FOLDER\n"
	"                  also what was rolled up, and is in the files of that folder\n"
	"  --version       print the version, and exit\n"
	"  --help          print this, and exit\n";

int wispd_commit(struct wispd *d, struct error *err)
{
	int r = store_commit(d->truth.store, err);

	if (r == 0) {
		server_wake(d->server);
		queue_wake(d->queue);
		pins_wake(d->pins);
	}
	if (r == -ENOSPC && !d->no_room) {
		d->no_room = true;
		log_error("the disk is full; nothing new begins%s",
			  reserve_give_up(d->config.state_dir) ? ", and the reserve is for ends"
							       : "");
	}
	return r;
}

bool wispd_has_room(struct wispd *d)
{
	if (d->no_room && reserve_make(d->config.state_dir)) {
		d->no_room = false;
		log_warn("there is room on the disk again");
	}
	return !d->no_room;
}

/* --- the parts --- */

/* The lock is this process's until its end, however that comes, and no child's. */
static int lock_state(const char *dir, struct error *err)
{
	const struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[PATH_MAX + 8];
	int fd;

	/* Others may pass, to folders that are theirs (image_source.c). */
	if (mkdir(dir, 0711) < 0 && errno != EEXIST)
		return error_errno(err, "state_dir", "make the folder above it", "Cannot make %s",
				   dir);
	snprintf(path, sizeof(path), "%s/lock", dir);
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(err, "state_dir", NULL, "Cannot open %s", path);
	if (fcntl(fd, F_SETLK, &whole) == 0)
		return fd;
	fd_close(fd);
	return error_set(err, -EBUSY, "state_dir", "end that one, or use another folder",
			 "Another wispd works in %s", dir);
}

static int make_folder(const char *path, mode_t mode, const char *field, struct error *err)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return error_errno(err, field, "make the folder above it", "Cannot make %s", path);
	return 0;
}

/* The last folder on the way to the socket. */
static int make_socket_folder(const char *socket, struct error *err)
{
	char path[sizeof(((struct config *)NULL)->socket)];
	char *slash;

	snprintf(path, sizeof(path), "%s", socket);
	slash = strrchr(path, '/');
	if (!slash || slash == path)
		return 0;
	*slash = '\0';
	return make_folder(path, 0755, "socket", err);
}

/* The folder above it is no secret; SQLite's other files are as this one is. */
static int keep_private(const char *path, struct error *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600), r = 0;

	if (fd < 0 || fchmod(fd, 0600) < 0)
		r = error_errno(err, "state_dir", NULL, "Cannot make %s private", path);
	fd_close(fd);
	return r;
}

static int open_books(struct wispd *d, struct error *err)
{
	char path[PATH_MAX + 16];
	int r;

	d->truth.capacity[RESOURCE_INSTANCES] = (int64_t)d->config.instances_max;
	d->truth.capacity[RESOURCE_VCPUS] = (int64_t)d->config.vcpus;
	d->truth.capacity[RESOURCE_MEMORY_MIB] = (int64_t)d->config.memory_mib;
	/* Each network has its own. */
	d->truth.capacity[RESOURCE_ADDRESSES] = -1;
	/* The file system is asked (volume/disk.h). */
	d->truth.capacity[RESOURCE_DISK_MIB] = -1;
	snprintf(path, sizeof(path), "%s/wispd.db", d->config.state_dir);
	r = keep_private(path, err);
	if (r < 0)
		return r;
	r = store_open(path, &d->truth.store, err);
	if (r == 0)
		r = ledger_open(d->truth.store, &d->truth.ledger, err);
	return r < 0 ? r : anchor_load_key(d->config.state_dir, &d->anchor_key, err);
}

static int look_at_host(struct wispd *d, struct error *err)
{
	d->topology = calloc(1, sizeof(*d->topology));
	if (!d->topology)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	d->truth.topology = d->topology;
	return topology_read(NULL, d->topology, err);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
	struct wispd *d = arg;

	(void)source;
	log_info("ending by signal %u; the VMMs run on", info->ssi_signo);
	return sd_event_exit(d->loop, 0);
}

static int make_loop(struct wispd *d, struct error *err)
{
	sigset_t ends;
	int r = sd_event_new(&d->loop);

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	/* Who waits at the other end of a pipe may have ended (process.h). */
	signal(SIGPIPE, SIG_IGN);
	if (r >= 0)
		r = sd_event_add_signal(d->loop, NULL, SIGTERM, on_signal, d);
	if (r >= 0)
		r = sd_event_add_signal(d->loop, NULL, SIGINT, on_signal, d);
	if (r >= 0)
		r = sd_event_set_watchdog(d->loop, true);
	if (r >= 0)
		r = workers_create(d->loop, (unsigned)d->config.workers, &d->workers);
	return r < 0 ? error_set(err, r, NULL, NULL, "Cannot make a loop: %s", strerror(-r)) : 0;
}

static int start_firewall(struct wispd *d, struct error *err)
{
	char tag[NETWORK_TAG_BYTES];

	network_tag(&d->truth, tag);
	return firewall_create(&d->config, tag, &d->firewall, err);
}

static int build(struct wispd *d, struct error *err)
{
	int r = make_folder(d->config.jail_dir, 0755, "jail_dir", err);

	if (r == 0)
		r = make_socket_folder(d->config.socket, err);
	if (r == 0)
		r = look_at_host(d, err);
	if (r == 0)
		r = open_books(d, err);
	if (r == 0)
		r = make_loop(d, err);
	if (r == 0)
		r = imports_create(d, &d->imports, err);
	if (r == 0)
		r = lifecycle_create(d, &d->lifecycle, err);
	if (r == 0)
		r = attendance_create(d, &d->attendance, err);
	if (r == 0)
		r = queue_create(d, &d->queue, err);
	if (r == 0)
		r = budgets_create(d, &d->budgets, err);
	if (r == 0)
		r = pins_create(d, &d->pins, err);
	if (r == 0)
		r = start_firewall(d, err);
	if (r == 0)
		r = recover(d, err);
	if (r == 0)
		r = keeper_create(d, &d->keeper, err);
	if (r == 0)
		r = heartbeat_create(d, &d->heartbeat, err);
	if (r == 0)
		r = host_watch_create(d, &d->host_watch, err);
	if (r == 0)
		r = reconcile_create(d, &d->reconcile, err);
	if (r == 0)
		r = outbox_create(d, &d->outbox, err);
	if (r == 0)
		r = retention_create(d, &d->retention, err);
	if (r == 0)
		r = relays_create(d->loop, &d->relays, err);
	if (r == 0)
		r = device_watch_create(d, &d->device_watch, err);
	if (r == 0)
		r = server_create(d, &d->server, err);
	return r;
}

static void take_down(struct wispd *d)
{
	relays_destroy(d->relays);
	server_destroy(d->server);
	d->server = NULL;
	device_watch_destroy(d->device_watch);
	retention_destroy(d->retention);
	outbox_destroy(d->outbox);
	reconcile_destroy(d->reconcile);
	host_watch_destroy(d->host_watch);
	heartbeat_destroy(d->heartbeat);
	lifecycle_end(d->lifecycle);
	keeper_end(d->keeper);
	verification_end(d);
	workers_destroy(d->workers);
	firewall_destroy(d->firewall);
	imports_destroy(d->imports);
	keeper_destroy(d->keeper);
	attendance_destroy(d->attendance);
	lifecycle_destroy(d->lifecycle);
	queue_destroy(d->queue);
	budgets_destroy(d->budgets);
	pins_destroy(d->pins);
	sd_event_unref(d->loop);
	ledger_close(d->truth.ledger);
	store_close(d->truth.store);
	free(d->topology);
	*d = (struct wispd){ .config = d->config };
}

static int run(struct wispd *d, struct error *err)
{
	int r = build(d, err);

	if (r == 0) {
		sd_notifyf(0, "READY=1\nSTATUS=listening on %s", d->config.socket);
		log_info("ready on %s", d->config.socket);
		r = sd_event_loop(d->loop);
		if (r < 0)
			error_set(err, r, NULL, NULL, "The loop failed: %s", strerror(-r));
		sd_notify(0, "STOPPING=1");
	}
	take_down(d);
	return r;
}

/* --- the command line --- */

static int complain(const struct error *err, int status)
{
	char line[sizeof(err->text) + sizeof(err->hint) + 8];

	fprintf(stderr, "wispd: %s%s%s\n", err->field, err->field[0] ? ": " : "",
		error_line(err, line, sizeof(line)));
	return status;
}

static void set_up_log(const struct config *c)
{
	const struct log_config log = {
		.id = "wispd",
		.level = (enum log_level)c->log_level,
		.show_level = true,
		.fd = STDERR_FILENO,
	};

	log_setup(&log);
}

/* Books that cannot be opened for want of room are opened with what was kept for that. */
static int run_in_any_case(struct wispd *d, struct error *err)
{
	int r;

	d->no_room = !reserve_make(d->config.state_dir);
	r = run(d, err);
	if (r != -ENOSPC || !reserve_give_up(d->config.state_dir))
		return r;
	log_error("the disk is full; the reserve is for ends, and nothing new begins");
	d->no_room = true;
	*err = (struct error){ 0 };
	return run(d, err);
}

/* What wispd does with a back-up, rather than supervise. */
typedef int (*backup_fn)(const struct config *c, const char *path, const char *archive,
			 struct backup_report *ret, struct error *err);

static int verify_copy(const struct config *c, const char *path, const char *archive,
		       struct backup_report *ret, struct error *err)
{
	(void)c;
	return backup_check(path, archive, ret, err);
}

static int restore_copy(const struct config *c, const char *path, const char *archive,
			struct backup_report *ret, struct error *err)
{
	int lock = lock_state(c->state_dir, err), r;

	(void)archive;
	if (lock < 0)
		return lock;
	r = backup_restore(c, path, ret, err);
	fd_close(lock);
	return r;
}

static int handle_copy(const char *config_file, backup_fn handle, const char *path,
		       const char *archive)
{
	struct config *c = calloc(1, sizeof(*c));
	struct backup_report report = { 0 };
	struct error err = { .text = "out of memory" };
	int r = c ? config_read(config_file, c, &err) : -ENOMEM;

	if (r == 0)
		r = handle(c, path, archive, &report, &err);
	free(c);
	if (r < 0)
		return complain(&err, EXIT_FAILURE);
	printf("%lld events are as they were written; the last is %lld:%s\n",
	       (long long)report.ledger.checked, (long long)report.seq, report.hex);
	if (report.ledger.rolled_up)
		printf("%lld were rolled up, and not looked at\n",
		       (long long)report.ledger.rolled_up);
	fputs(report.ledger.fault, stdout);
	return report.ledger.bad_seq ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int supervise(const char *config_file)
{
	struct wispd *d = calloc(1, sizeof(*d));
	struct error err = { 0 };
	int lock = -1, status = EXIT_FAILURE;

	if (!d)
		return EXIT_FAILURE;
	if (config_read(config_file, &d->config, &err) < 0) {
		status = EXIT_BAD_ARGUMENTS;
	} else {
		set_up_log(&d->config);
		lock = lock_state(d->config.state_dir, &err);
		if (lock >= 0 && run_in_any_case(d, &err) >= 0)
			status = EXIT_SUCCESS;
	}
	fd_close(lock);
	free(d);
	return status ? complain(&err, status) : 0;
}

int main(int argc, char *argv[])
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "restore", required_argument, NULL, 'r' },
		{ "verify", required_argument, NULL, 'y' },
		{ "archive", required_argument, NULL, 'a' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *config = access(CONFIG_FILE, F_OK) == 0 ? CONFIG_FILE : NULL;
	const char *copy = NULL, *archive = NULL;
	backup_fn handle = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (option) {
		case 'c':
			config = optarg;
			break;
		case 'r':
		case 'y':
			copy = optarg;
			handle = option == 'r' ? restore_copy : verify_copy;
			break;
		case 'a':
			archive = optarg;
			break;
		case 'v':
			printf("wispd v%s\n", WISP_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			fputs(usage_text, stdout);
			return EXIT_SUCCESS;
		default:
			fputs(usage_text, stderr);
			return EXIT_BAD_ARGUMENTS;
		}
	}
	if (optind < argc) {
		fputs(usage_text, stderr);
		return EXIT_BAD_ARGUMENTS;
	}
	return copy ? handle_copy(config, handle, copy, archive) : supervise(config);
}
