/* runtime_wisp.c - a microVM: wisp-jailer starts wisp, libwisp configures it.
 *
 * A machine is configured over its API rather than by a file: only so can the console's
 * output be limited, and a blank VMM is what pools are made of.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/client/libwisp.h"
#include "guest-images/agent/caller.h"
#include "supervisor/life/cell.h"
#include "supervisor/life/identity.h"
#include "supervisor/life/runtimes.h"
#include "supervisor/life/wisp_memory.h"
#include "supervisor/network/passt.h"
#include "supervisor/share/serve.h"
#include "supervisor/snapshot/files.h"
#include "vmm/base/clock.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

enum {
	CALL_TIMEOUT_MS = 5000,
	FILES_TIMEOUT_MS = 600000, /* to write or to load memory */
	SOCKET_POLL_MS = 1,
	UNPLUG_POLL_MS = 20,
	GUEST_CID = 3,	     /* the first that is a guest's */
	SLOT_MIB = 128,	     /* of memory that can be plugged */
	STATISTICS_S = 3600, /* only with them it tells what the balloon holds */
};

#define SOCKET	  "api.sock"
#define RUN_IN	  "/run/" /* where the VMM makes its sockets */
#define SOCKET_IN "/run/api.sock"
#define LINES_IN  "/metrics.log"

static int add_blank(const struct launch *l, struct runtime_command *ret, struct error *err)
{
	char vcpus[24], mem_mib[24];
	const char *const texts[] = {
		"--blank", "--blank-vcpus", vcpus, "--blank-mem-mib", mem_mib, NULL,
	};

	snprintf(vcpus, sizeof(vcpus), "%lld", (long long)l->vcpus);
	snprintf(mem_mib, sizeof(mem_mib), "%lld", (long long)l->mem_mib);
	return runtime_command_add(ret, texts, err);
}

/* What it takes to be saved while the guest runs: the usual devices and one more, and to see
 * which of its pages were written. */
static int add_live(const struct launch *l, struct runtime_command *ret, struct error *err)
{
	static const char *const texts[] = { "--device", "kvm",		"--device",   "net/tun",
					     "--device", "null",	"--device",   "urandom",
					     "--device", "userfaultfd", "--own-proc", NULL };

	if (!l->config->live_snapshots || access("/dev/userfaultfd", F_OK) < 0)
		return 0;
	return runtime_command_add(ret, texts, err);
}

static int command(const struct launch *l, struct runtime_command *ret, struct error *err)
{
	static const char *const own[] = { "--",   "--api-sock",     SOCKET_IN, "--level",
					   "Warn", "--metrics-path", LINES_IN,	NULL };
	static const char *const pci[] = { "--enable-pci", NULL };
	int r = cell_command(l, ret, err);

	if (r == 0)
		r = add_live(l, ret, err);
	if (r == 0)
		r = runtime_command_add(ret, own, err);
	if (r == 0 && l->blank)
		r = add_blank(l, ret, err);
	return r < 0 || !l->hotplug ? r : runtime_command_add(ret, pci, err);
}

/* --- the machine's API --- */

static const char *const way_names[] = {
	[RUNTIME_VSOCK] = "vsock.sock",
	[RUNTIME_CONSOLE] = "console.sock",
};

static int open_way(const struct launch *l, enum runtime_way way, unsigned lane, struct error *err)
{
	(void)lane;
	return cell_open_socket(l, way_names[way], err);
}

struct link {
	struct wisp *client;
	int fd;
};

static void link_close(struct link *link)
{
	wisp_close(link->client);
	fd_close(link->fd);
}

static int link_open(const struct launch *l, struct link *ret, struct error *err)
{
	char path[32];
	int fd = cell_open_socket(l, SOCKET, err);

	if (fd < 0)
		return fd;
	*ret = (struct link){ .fd = fd };
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (wisp_open(path, &ret->client) < 0) {
		link_close(ret);
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	}
	wisp_set_timeout(ret->client, CALL_TIMEOUT_MS);
	return 0;
}

/* One request; body: stolen. */
static int put(struct link *link, const char *verb, const char *path, json_t *body,
	       struct error *err)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	int r = text ? wisp_call(link->client, verb, path, text, NULL) : -ENOMEM;

	free(text);
	json_decref(body);
	if (r < 0)
		error_set(err, r, NULL, NULL, "The VMM refused %s: %s", path,
			  r == -ENOMEM ? "out of memory" : wisp_error(link->client));
	return r;
}

static bool reply_begun(struct wisp_reply *reply)
{
	bool begun = !strstr(reply->body, "\"Not started\"");

	wisp_reply_clear(reply);
	return begun;
}

/* Until its socket answers, its process ends, or time is up. *begun: its guest has. */
static int wait_for_socket(const struct launch *l, struct link *ret, bool *begun, struct error *err)
{
	uint64_t deadline_us = clock_now_us() + l->config->start_timeout_ms * 1000;
	struct pollfd process = { .fd = l->pidfd, .events = POLLIN };

	for (;;) {
		int r = link_open(l, ret, err);

		if (r == 0) {
			struct wisp_reply reply = { 0 };

			r = wisp_call(ret->client, "GET", "/", NULL, &reply);
			if (r == 0) {
				*begun = reply_begun(&reply);
				return 0;
			}
			error_set(err, r, NULL, NULL, "%s", wisp_error(ret->client));
			wisp_reply_clear(&reply);
			link_close(ret);
		}
		/* One that loads for a wispd that died is busy. */
		if (r != -ENOENT && r != -ECONNREFUSED && r != -ETIMEDOUT)
			return r;
		if (poll(&process, 1, SOCKET_POLL_MS) > 0)
			return error_set(err, -ECHILD, NULL, "wispctl logs --vmm shows why",
					 "The VMM ended before it was ready");
		if (clock_now_us() > deadline_us)
			return error_set(err, -ETIMEDOUT, NULL, NULL, "The VMM did not get ready");
	}
}

/* What books of an older day call a blank may be somebody's by now. */
static int await(const struct launch *l, struct error *err)
{
	struct link link = { .fd = -1 };
	bool begun;
	int r = wait_for_socket(l, &link, &begun, err);

	if (r < 0)
		return r;
	if (begun)
		r = error_set(err, -EBUSY, NULL, NULL, "%s is no blank: it has a guest", l->id);
	link_close(&link);
	return r;
}

static int put_drive(struct link *link, const struct launch_drive *d, struct error *err)
{
	char path[LAUNCH_FILE_BYTES + 16], file[LAUNCH_FILE_BYTES + 1];

	snprintf(path, sizeof(path), "/drives/%s", d->id);
	snprintf(file, sizeof(file), "/%s", d->file);
	return put(link, "PUT", path,
		   json_pack("{s:s, s:s, s:b, s:b}", "drive_id", d->id, "path_on_host", file,
			     "is_root_device", d->root, "is_read_only", d->read_only),
		   err);
}

static int put_drives(const struct launch *l, struct link *link, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < l->ndrives && r == 0; i++)
		r = put_drive(link, &l->drives[i], err);
	return r;
}

static void limit(json_t *net, const char *name, int64_t bytes_per_s)
{
	if (bytes_per_s)
		json_object_set_new(net, name,
				    json_pack("{s:{s:I, s:i}}", "bandwidth", "size",
					      (json_int_t)bytes_per_s, "refill_time", 1000));
}

static void limit_both(json_t *net, const struct lease *l)
{
	limit(net, "rx_rate_limiter", l->rx_bytes_per_s);
	limit(net, "tx_rate_limiter", l->tx_bytes_per_s);
}

static json_t *describe_net(const struct launch_net *n)
{
	bool passt = n->lease.network.mode == NETWORK_PASST;
	char socket[LAUNCH_FILE_BYTES];
	json_t *net;

	passt_socket(n, socket);
	net = json_pack("{s:s, s:s, s:s}", "iface_id", n->id,
			passt ? "passt_socket" : "host_dev_name", passt ? socket : n->lease.link,
			"guest_mac", n->lease.mac);
	if (n->mtu)
		json_object_set_new(net, "mtu", json_integer(n->mtu));
	if (n->lease.network.netdev)
		json_object_set_new(net, "whole_frames", json_true());
	limit_both(net, &n->lease);
	return net;
}

static int put_nets(const struct launch *l, struct link *link, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < l->nnets && r == 0; i++) {
		const struct launch_net *n = &l->nets[i];
		char path[LAUNCH_FILE_BYTES + 32];

		snprintf(path, sizeof(path), "/network-interfaces/%s", n->id);
		r = put(link, "PUT", path, describe_net(n), err);
	}
	return r;
}

/* A machine that was loaded has the limits that it was saved with. */
static int limit_nets(const struct launch *l, struct link *link, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; i < l->nnets && r == 0; i++) {
		const struct launch_net *n = &l->nets[i];
		char path[LAUNCH_FILE_BYTES + 32];
		json_t *net;

		if (!n->lease.rx_bytes_per_s && !n->lease.tx_bytes_per_s)
			continue;
		snprintf(path, sizeof(path), "/network-interfaces/%s", n->id);
		net = json_pack("{s:s}", "iface_id", n->id);
		limit_both(net, &n->lease);
		r = put(link, "PATCH", path, net, err);
	}
	return r;
}

static int put_shares(const struct launch *l, struct link *link, struct error *err)
{
	int r = 0;

	for (unsigned n = 0; n < l->nshares && r == 0; n++) {
		char path[SHARE_TAG_BYTES + 32], socket[LAUNCH_FILE_BYTES];

		share_socket(n, socket);
		snprintf(path, sizeof(path), "/shared-directories/%s", l->shares[n].tag);
		r = put(link, "PUT", path,
			json_pack("{s:s, s:s}", "tag", l->shares[n].tag, "socket", socket), err);
	}
	return r;
}

static int put_machine(const struct launch *l, struct link *link, struct error *err)
{
	json_t *boot =
		json_pack("{s:s, s:s}", "kernel_image_path", "/kernel", "boot_args", l->cmdline);
	int r = put(link, "PUT", "/machine-config",
		    json_pack("{s:I, s:I, s:s}", "vcpu_count", (json_int_t)l->vcpus, "mem_size_mib",
			      (json_int_t)l->mem_mib, "huge_pages",
			      l->place.huge_pages ? "2M" : "None"),
		    err);

	if (boot && l->initrd[0])
		json_object_set_new(boot, "initrd_path", json_string("/initrd"));
	if (r < 0)
		json_decref(boot);
	else
		r = put(link, "PUT", "/boot-source", boot, err);
	return r;
}

static int put_console(const struct launch *l, struct link *link, struct error *err)
{
	return put(link, "PUT", "/serial",
		   json_pack("{s:s, s:{s:I, s:i}}", "serial_out_path", "/" CELL_CONSOLE,
			     "rate_limiter", "size", (json_int_t)l->config->console_bytes_per_s,
			     "refill_time", 1000),
		   err);
}

/* Every machine has a number of its own on its own vsock: all may be the same. */
static int put_ways(const struct launch *l, struct link *link, struct error *err)
{
	char vsock[LAUNCH_FILE_BYTES], console[LAUNCH_FILE_BYTES];
	int r;

	snprintf(vsock, sizeof(vsock), RUN_IN "%s", way_names[RUNTIME_VSOCK]);
	r = put(link, "PUT", "/vsock",
		json_pack("{s:i, s:s}", "guest_cid", GUEST_CID, "uds_path", vsock), err);
	if (r < 0 || !strstr(l->cmdline, "console=hvc0"))
		return r;
	snprintf(console, sizeof(console), RUN_IN "%s", way_names[RUNTIME_CONSOLE]);
	return put(link, "PUT", "/console", json_pack("{s:s}", "uds_path", console), err);
}

/* What is plugged is in whole slots; what it can have is less, and wispd's to keep to. */
static int put_memory(const struct launch *l, struct link *link, struct error *err)
{
	int64_t more_mib = l->mem_max_mib - l->mem_mib;
	int r;

	if (!l->mem_max_mib)
		return 0;
	r = put(link, "PUT", "/balloon",
		json_pack("{s:i, s:b, s:i}", "amount_mib", 0, "deflate_on_oom", false,
			  "stats_polling_interval_s", STATISTICS_S),
		err);
	/* What serves shares learns of memory once. */
	if (r < 0 || more_mib <= 0 || l->nshares)
		return r;
	more_mib = (more_mib + SLOT_MIB - 1) / SLOT_MIB * SLOT_MIB;
	return put(link, "PUT", "/hotplug/memory",
		   json_pack("{s:I}", "total_size_mib", (json_int_t)more_mib), err);
}

static int configure(const struct launch *l, struct link *link, struct error *err)
{
	int r;

	wisp_set_timeout(link->client, (unsigned)l->config->start_timeout_ms);
	r = put_machine(l, link, err);
	if (r == 0)
		r = put_drives(l, link, err);
	if (r == 0)
		r = put_nets(l, link, err);
	if (r == 0)
		r = put_shares(l, link, err);
	if (r == 0)
		r = put_console(l, link, err);
	if (r == 0)
		r = put_ways(l, link, err);
	if (r == 0)
		r = put_memory(l, link, err);
	if (r == 0)
		r = put(link, "PUT", "/actions", json_pack("{s:s}", "action_type", "InstanceStart"),
			err);
	return r;
}

/* --- snapshots --- */

static json_t *describe_load(const struct launch *l)
{
	json_t *nets = json_array();

	/* What is reached by a socket has the same one everywhere. */
	for (unsigned i = 0; i < l->nnets; i++)
		if (l->nets[i].lease.network.mode != NETWORK_PASST)
			json_array_append_new(nets, json_pack("{s:s, s:s, s:s}", "iface_id",
							      l->nets[i].id, "host_dev_name",
							      l->nets[i].lease.link, "guest_mac",
							      l->nets[i].lease.mac));
	return json_pack("{s:s, s:{s:s, s:s}, s:b, s:o}", "snapshot_path", "/" SNAPSHOT_LOAD_STATE,
			 "mem_backend", "backend_type", "File", "backend_path",
			 "/" SNAPSHOT_LOAD_MEMORY, "resume_vm", true, "network_overrides", nets);
}

/* In every jail disks and sockets have the same names, so all that differs are taps. */
static int load(const struct launch *l, struct link *link, struct error *err)
{
	int r;

	wisp_set_timeout(link->client, FILES_TIMEOUT_MS);
	r = put(link, "PUT", "/snapshot/load", describe_load(l), err);
	wisp_set_timeout(link->client, CALL_TIMEOUT_MS);
	return r;
}

/* As long as the snapshot's files are there it is to be told who it is, whoever looks. */
static int settle_in(const struct launch *l, struct error *err)
{
	int r = l->agent ? identity_tell(l, err) : 0;

	return r < 0 ? r : snapshot_files_take_back(l, err);
}

static int save(const struct launch *l, struct error *err)
{
	struct link link = { .fd = -1 };
	bool live = l->save.live;
	int r = link_open(l, &link, err);

	if (r < 0)
		return r;
	wisp_set_timeout(link.client, FILES_TIMEOUT_MS);
	r = put(&link, "PUT", "/snapshot/create",
		json_pack("{s:s, s:s, s:o*, s:o*}", "snapshot_path", RUN_IN SNAPSHOT_STATE,
			  "mem_file_path", RUN_IN SNAPSHOT_MEMORY, "live",
			  live ? json_true() : NULL, "resume_vm", live ? json_true() : NULL),
		err);
	if (r == -EPROTO && strstr(wisp_error(link.client), "live snapshot is being written"))
		r = -EBUSY;
	link_close(&link);
	return r;
}

/* --- the life of a machine --- */

/* A load that was refused has left the VMM as it was. *loaded: the guest goes on. That it boots
 * instead the files of the snapshot say, which are not there then. */
static int begin(struct launch *l, struct link *link, bool *loaded, struct error *err)
{
	int r = *loaded ? load(l, link, err) : configure(l, link, err);

	if (r == 0 || !*loaded || !l->load.or_boot)
		return r;
	log_warn("%s boots, for its pool's snapshot cannot be loaded: %s", l->id, err->text);
	*loaded = false;
	l->load.refused = true;
	r = snapshot_files_take_back(l, err);
	return r < 0 ? r : configure(l, link, err);
}

static int boot(struct launch *l, struct error *err)
{
	bool loaded = l->load.snapshot[0] && (!l->load.or_boot || snapshot_files_are_lent(l));
	bool begun = false;
	struct link link = { .fd = -1 };
	int r = wait_for_socket(l, &link, &begun, err);

	if (r < 0)
		return r;
	/* Begun by a wispd that did not live to see it. */
	if (!begun)
		r = begin(l, &link, &loaded, err);
	if (r == 0 && loaded)
		r = limit_nets(l, &link, err);
	link_close(&link);
	return r < 0 || !loaded ? r : settle_in(l, err);
}

static int call(const struct launch *l, const char *verb, const char *path, const char *name,
		const char *value, struct error *err)
{
	struct link link = { .fd = -1 };
	int r = link_open(l, &link, err);

	if (r < 0)
		return r;
	r = put(&link, verb, path, json_pack("{s:s}", name, value), err);
	link_close(&link);
	return r;
}

static int pause_machine(const struct launch *l, struct error *err)
{
	return call(l, "PATCH", "/vm", "state", "Paused", err);
}

static int resume_machine(const struct launch *l, struct error *err)
{
	return call(l, "PATCH", "/vm", "state", "Resumed", err);
}

/* Its agent can do it in any image; the button wants a guest that hears it. */
static int ask_agent_to_stop(const struct launch *l, struct error *err)
{
	static const char *const fields[] = { "mode=poweroff", NULL };
	char path[32];
	int way = open_way(l, RUNTIME_VSOCK, 0, err), fd, r;

	if (way < 0)
		return way;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", way);
	fd = caller_connect(path, AGENT_PORT, CALL_TIMEOUT_MS, err);
	fd_close(way);
	if (fd < 0)
		return fd;
	r = caller_ask(fd, "shutdown", fields, CALL_TIMEOUT_MS, NULL, err);
	fd_close(fd);
	return r;
}

static int power_off(const struct launch *l, struct error *err)
{
	if (l->agent && ask_agent_to_stop(l, err) == 0)
		return 0;
	return call(l, "PUT", "/actions", "action_type", "PowerButton", err);
}

/* --- drives of a running machine --- */

static int plug_drive(const struct launch *l, const struct launch_drive *d, struct error *err)
{
	struct link link = { .fd = -1 };
	int r = link_open(l, &link, err);

	if (r < 0)
		return r;
	r = put_drive(&link, d, err);
	link_close(&link);
	return r;
}

static int refresh_drive(const struct launch *l, const struct launch_drive *d, struct error *err)
{
	char path[LAUNCH_FILE_BYTES + 16], file[LAUNCH_FILE_BYTES + 1];
	struct link link = { .fd = -1 };
	int r = link_open(l, &link, err);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/drives/%s", d->id);
	snprintf(file, sizeof(file), "/%s", d->file);
	r = put(&link, "PATCH", path,
		json_pack("{s:s, s:s}", "drive_id", d->id, "path_on_host", file), err);
	link_close(&link);
	return r;
}

static bool has_drive(struct link *link, const struct launch_drive *d)
{
	struct wisp_reply reply = { 0 };
	char name[LAUNCH_FILE_BYTES + 2];
	bool has;

	if (wisp_call(link->client, "GET", "/vm/config", NULL, &reply) < 0)
		return false;
	snprintf(name, sizeof(name), "\"%s\"", d->id);
	has = strstr(reply.body, name) != NULL;
	wisp_reply_clear(&reply);
	return has;
}

/* The guest lets it go when it likes. */
static int unplug_drive(const struct launch *l, const struct launch_drive *d, struct error *err)
{
	uint64_t deadline_us = clock_now_us() + l->config->start_timeout_ms * 1000;
	char path[LAUNCH_FILE_BYTES + 16];
	struct link link = { .fd = -1 };
	int r = 0;

	if (link_open(l, &link, err) < 0)
		return 0;
	snprintf(path, sizeof(path), "/drives/%s", d->id);
	(void)wisp_call(link.client, "DELETE", path, NULL, NULL);
	while (has_drive(&link, d) && clock_now_us() < deadline_us)
		poll(NULL, 0, UNPLUG_POLL_MS);
	if (has_drive(&link, d))
		r = error_set(err, -ETIMEDOUT, "volume",
			      "unmount it there, and look at its console",
			      "The guest of %s does not let %s go", l->id, d->id);
	link_close(&link);
	return r;
}

static int set_memory(const struct launch *l, struct launch_resize *q, struct error *err)
{
	struct link link = { .fd = -1 };
	int r = link_open(l, &link, err);

	if (r < 0)
		return r;
	r = wisp_memory_set(link.client, q, err);
	link_close(&link);
	return r;
}

const struct runtime runtime_wisp = {
	.name = "wisp",
	.program = offsetof(struct config, wisp),
	.overhead_mib = 64,
	.vcpu_thread = "vcpu#",
	.prepare = cell_prepare,
	.remove = cell_remove,
	.open_folder = cell_open_folder,
	.open_log = cell_open_log,
	.open_console = cell_open_console,
	.open_lines = cell_open_lines,
	.open_way = open_way,
	.clear = cell_clear,
	.command = command,
	.await = await,
	.boot = boot,
	.pause = pause_machine,
	.resume = resume_machine,
	.power_off = power_off,
	.save = save,
	.plug_drive = plug_drive,
	.unplug_drive = unplug_drive,
	.refresh_drive = refresh_drive,
	.set_memory = set_memory,
	.survey = cell_survey,
	.sweep = cell_sweep,
};
