/* host_wispd.c - starting wispd, asking it, and looking at the host behind its back. */
#include <dirent.h>
#include <errno.h>
#include <fts.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "benches/host_wispd.h"
#include "benches/vmm.h"
#include "vmm/base/clock.h"

enum { STAT_CUTIME_FIELD = 16, STAT_CSTIME_FIELD };
enum { LIMIT_MS = 120000, POLL_MS = 1, CALL_TIMEOUT_MS = 60000 };

/* --- its control group --- */

/* Calls fn with its folder in each hierarchy that is mounted. */
static void each_group(const struct host_wispd *h, void (*fn)(const char *group, int64_t *ret),
		       int64_t *ret)
{
	FILE *f = fopen("/proc/self/mounts", "re");
	char line[PATH_MAX * 2], at[PATH_MAX], type[64], path[PATH_MAX + 80];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %4095s %63s", at, type) != 2 ||
		    strncmp(type, "cgroup", strlen("cgroup")) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", at, h->group);
		fn(path, ret);
	}
	if (f)
		fclose(f);
}

static void remove_group(const char *group, int64_t *unused)
{
	(void)unused;
	rmdir(group);
}

/* --- its life --- */

static int write_config(const char *dir, const char *path, const char *group, struct error *err)
{
	FILE *f = fopen(path, "we");
	int r;

	if (!f)
		return error_errno(err, NULL, NULL, "cannot write %s", path);
	fprintf(f,
		"{\"state_dir\": \"%s/state\", \"jail_dir\": \"%s/jails\", \"socket\": \"%s/sock\","
		" \"cgroup\": \"%s\", \"instances_max\": 4096, \"vcpus\": 4096, \"memory_mib\": 1048576, \"log_level\": \"warn\"}",
		dir, dir, dir, group);
	r = fclose(f);
	return r == 0 ? 0 : error_errno(err, NULL, NULL, "cannot write %s", path);
}

static int await_socket(struct host_wispd *h, struct error *err)
{
	struct pollfd process = { .fd = h->process.pidfd, .events = POLLIN };
	uint64_t deadline_us = clock_now_us() + LIMIT_MS * UINT64_C(1000);
	char why[512] = "";

	while (wisp_call(h->client, "GET", "/version", NULL, NULL) < 0) {
		if (poll(&process, 1, POLL_MS) == 1) {
			(void)!read(h->process.err, why, sizeof(why) - 1);
			return error_set(err, -ECANCELED, NULL, NULL, "wispd ended: %s", why);
		}
		if (clock_now_us() > deadline_us)
			return error_set(err, -ETIMEDOUT, NULL, NULL, "wispd does not answer");
	}
	return 0;
}

static int spawn(const char *config, struct host_wispd *h, struct error *err)
{
	char program[PATH_MAX];
	char *const argv[] = { program, (char *)"--config", (char *)config, NULL };
	int r = vmm_beside("wispd", program);

	if (r < 0)
		return error_set(err, r, NULL, "build or install the whole of wisp",
				 "there is no %s", program);
	r = spawn_create(argv, &h->process, err);
	return r < 0 ? r : spawn_release(&h->process);
}

int host_wispd_start(const char *dir, struct host_wispd *ret, struct error *err)
{
	char config[PATH_MAX + 32], socket[PATH_MAX + 32];
	int r;

	*ret = (struct host_wispd){ .process = SPAWN_NONE };
	if (geteuid() != 0)
		return error_set(err, -EPERM, NULL, "start it as root", "wispd makes jails");
	snprintf(config, sizeof(config), "%s/wispd.json", dir);
	snprintf(socket, sizeof(socket), "%s/sock", dir);
	snprintf(ret->dir, sizeof(ret->dir), "%s", dir);
	snprintf(ret->jails, sizeof(ret->jails), "%s/jails/wisp", dir);
	snprintf(ret->group, sizeof(ret->group), "wisp-bench-supervisor-%d", (int)getpid());
	r = write_config(dir, config, ret->group, err);
	if (r == 0)
		r = spawn(config, ret, err);
	if (r < 0)
		return r;
	if (wisp_open(socket, &ret->client) < 0)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	wisp_set_timeout(ret->client, CALL_TIMEOUT_MS);
	return await_socket(ret, err);
}

void host_wispd_end(struct host_wispd *h)
{
	struct pollfd ended = { .fd = h->process.pidfd, .events = POLLIN };

	wisp_close(h->client);
	if (h->process.pid > 0 && kill(h->process.pid, SIGTERM) == 0)
		poll(&ended, 1, LIMIT_MS);
	spawn_end(&h->process);
	if (h->group[0])
		each_group(h, remove_group, NULL);
}

/* --- requests --- */

int host_wispd_call(struct host_wispd *h, const char *verb, const char *path, const char *body,
		    json_t **ret, struct error *err)
{
	struct wisp_reply reply = { 0 };
	int r = wisp_call(h->client, verb, path, body, &reply);

	if (r < 0)
		error_set(err, r, NULL, NULL, "%s %s: %s", verb, path,
			  reply.body && reply.body[0] ? reply.body : wisp_error(h->client));
	else if (ret)
		*ret = json_loads(reply.body, 0, NULL);
	wisp_reply_clear(&reply);
	return r;
}

int host_wispd_await(struct host_wispd *h, const json_t *answer, struct error *err)
{
	const char *state = "active";
	char path[128];
	json_t *j = NULL;
	int r = 0;

	snprintf(path, sizeof(path), "/operations/%s?wait_ms=30000",
		 json_string_value(json_object_get(answer, "operation")));
	while (r == 0 && state && strcmp(state, "active") == 0) {
		json_decref(j);
		j = NULL;
		r = host_wispd_call(h, "GET", path, NULL, &j, err);
		state = json_string_value(json_object_get(j, "state"));
	}
	if (r == 0 && (!state || strcmp(state, "done") != 0))
		r = error_set(err, -ECANCELED, NULL, NULL, "an operation failed: %s",
			      json_string_value(json_object_get(j, "message")));
	json_decref(j);
	return r;
}

int host_wispd_await_number(struct host_wispd *h, const char *path, const char *member,
			    int64_t least, int64_t most, struct error *err)
{
	uint64_t deadline_us = clock_now_us() + LIMIT_MS * UINT64_C(1000);
	int64_t now = -1;

	while (clock_now_us() < deadline_us) {
		json_t *j = NULL;
		int r = host_wispd_call(h, "GET", path, NULL, &j, err);

		if (r < 0)
			return r;
		now = json_is_array(json_object_get(j, member))
			      ? (int64_t)json_array_size(json_object_get(j, member))
			      : json_integer_value(json_object_get(j, member));
		json_decref(j);
		if (now >= least && now <= most)
			return 0;
		poll(NULL, 0, POLL_MS);
	}
	return error_set(err, -ETIMEDOUT, NULL, NULL, "%s of %s stays %lld", member, path,
			 (long long)now);
}

/* --- the host --- */

static int64_t count_entries(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int64_t n = 0;

	while (dir && (entry = readdir(dir)) != NULL)
		n += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

int host_wispd_await_no_jail(struct host_wispd *h, struct error *err)
{
	uint64_t deadline_us = clock_now_us() + LIMIT_MS * UINT64_C(1000);

	while (count_entries(h->jails)) {
		if (clock_now_us() > deadline_us)
			return error_set(err, -ETIMEDOUT, NULL, NULL, "there are jails left in %s",
					 h->jails);
		poll(NULL, 0, POLL_MS);
	}
	return 0;
}

static int64_t count_folders(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_nlink > 2 ? (int64_t)st.st_nlink - 2 : 0;
}

static int64_t count_files(const char *folder)
{
	char *const folders[] = { (char *)folder, NULL };
	FTS *all = fts_open(folders, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	const FTSENT *one;
	int64_t n = 0;

	while (all && (one = fts_read(all)) != NULL)
		n += one->fts_info != FTS_DP;
	if (all)
		fts_close(all);
	return n;
}

static int64_t count_mounts(void)
{
	FILE *f = fopen("/proc/self/mounts", "re");
	int64_t n = 0;
	int c;

	while (f && (c = getc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

static void add_folders(const char *group, int64_t *ret)
{
	*ret += count_folders(group);
}

/* Not in /sys, which shows those of the namespace that mounted it. */
static int64_t count_links(void)
{
	struct if_nameindex *all = if_nameindex();
	int64_t n = 0;

	while (all && all[n].if_index)
		n++;
	if (all)
		if_freenameindex(all);
	return n;
}

/* Of this namespace; none where there is no nft. */
static int64_t count_rules(void)
{
	struct spawn nft = SPAWN_NONE;
	struct pollfd more = { .events = POLLIN };
	int64_t n = 0;
	struct error err;
	ssize_t len = 1;
	char part[4096];

	if (spawn_shell_start("nft list ruleset", &nft, &err) < 0)
		return 0;
	more.fd = nft.out;
	while (len > 0 && poll(&more, 1, LIMIT_MS) == 1) {
		len = read(nft.out, part, sizeof(part));
		for (ssize_t i = 0; i < len; i++)
			n += part[i] == '\n';
	}
	spawn_end(&nft);
	return n;
}

void host_wispd_count(const struct host_wispd *h, struct host_leavings *ret)
{
	char path[64];

	*ret = (struct host_leavings){ .jails = count_entries(h->jails),
				       .links = count_links(),
				       .rules = count_rules(),
				       .files = count_files(h->dir),
				       .mounts = count_mounts() };
	each_group(h, add_folders, &ret->cgroups);
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)h->process.pid);
	ret->descriptors = count_entries(path);
}

/* Of a group and all below it, in either version; -1: there is no such file. */
static int64_t group_cpu_us(const char *group)
{
	char path[PATH_MAX + 512], line[128];
	int64_t us = -1;
	FILE *f;

	snprintf(path, sizeof(path), "%s/cpuacct.usage", group);
	f = fopen(path, "re");
	if (f && fgets(line, sizeof(line), f))
		us = strtoll(line, NULL, 10) / 1000;
	if (f)
		fclose(f);
	snprintf(path, sizeof(path), "%s/cpu.stat", group);
	f = us < 0 ? fopen(path, "re") : NULL;
	while (f && us < 0 && fgets(line, sizeof(line), f))
		if (strncmp(line, "usage_usec ", strlen("usage_usec ")) == 0)
			us = strtoll(line + strlen("usage_usec "), NULL, 10);
	if (f)
		fclose(f);
	return us;
}

static int64_t without_children(const char *group)
{
	int64_t us = group_cpu_us(group);
	DIR *dir = us < 0 ? NULL : opendir(group);
	struct dirent *entry;
	char path[PATH_MAX + 320];

	while (dir && (entry = readdir(dir)) != NULL) {
		snprintf(path, sizeof(path), "%s/%s", group, entry->d_name);
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			us -= group_cpu_us(path);
	}
	if (dir)
		closedir(dir);
	return us;
}

static void find_cpu(const char *group, int64_t *ret)
{
	if (*ret < 0)
		*ret = without_children(group);
}

int64_t host_wispd_cpu_us(const struct host_wispd *h)
{
	int64_t us = -1;

	each_group(h, find_cpu, &us);
	return us;
}

int64_t host_wispd_rss_kib(const struct host_wispd *h)
{
	char path[64], line[128];
	int64_t kib = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)h->process.pid);
	f = fopen(path, "re");
	while (f && kib < 0 && fgets(line, sizeof(line), f))
		if (strncmp(line, "VmRSS:", strlen("VmRSS:")) == 0)
			kib = strtoll(line + strlen("VmRSS:"), NULL, 10);
	if (f)
		fclose(f);
	return kib;
}

/* --- what it uses --- */

int64_t host_wispd_own_cpu_us(const struct host_wispd *h)
{
	struct timespec t = { 0 };
	clockid_t clock;

	if (clock_getcpuclockid(h->process.pid, &clock) == 0)
		clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* From the last ")" on, since the name before it may have anything in it. */
static void read_children(const struct host_wispd *h, struct host_use *ret)
{
	const int64_t tick_us = 1000000 / sysconf(_SC_CLK_TCK);
	char path[64], line[1024] = "", *at, *rest = NULL;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)h->process.pid);
	f = fopen(path, "re");
	at = f && fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	if (f)
		fclose(f);
	at = at ? strtok_r(at, " ", &rest) : NULL;
	for (unsigned field = 2; at && field <= STAT_CSTIME_FIELD; field++) {
		if (field >= STAT_CUTIME_FIELD)
			ret->children_us += strtoll(at, NULL, 10) * tick_us;
		at = strtok_r(NULL, " ", &rest);
	}
}

int64_t host_written_bytes(pid_t pid)
{
	static const char name[] = "wchar: ";
	char path[64], line[128];
	int64_t bytes = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/io", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, name, strlen(name)) == 0)
			bytes = strtoll(line + strlen(name), NULL, 10);
	if (f)
		fclose(f);
	return bytes;
}

void host_wispd_use(const struct host_wispd *h, struct host_use *ret)
{
	*ret = (struct host_use){ .cpu_us = host_wispd_own_cpu_us(h) };
	read_children(h, ret);
	ret->written_bytes = host_written_bytes(h->process.pid);
}
