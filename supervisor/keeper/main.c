/* main.c - wisp-keeper: starts a program that serves a VMM or a network, and keeps it running.
 *
 * wispd starts it; it is not for people (keep.h tells what it does).
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/keeper/keep.h"

enum { NO_USER = -1 };

static const struct option options[] = {
	{ "lock", required_argument, NULL, 'l' },
	{ "log", required_argument, NULL, 'o' },
	{ "folder", required_argument, NULL, 'f' },
	{ "socket", required_argument, NULL, 's' },
	{ "user", required_argument, NULL, 'u' },
	{ "listen", no_argument, NULL, 'L' },
	{ "share", required_argument, NULL, 'S' },
	{ "below", required_argument, NULL, 'b' },
	{ "others", required_argument, NULL, 'O' },
	{ "read-only", no_argument, NULL, 'r' },
	{ "parent-cgroup", required_argument, NULL, 'p' },
	{ "id", required_argument, NULL, 'i' },
	{ "cgroup", required_argument, NULL, 'c' },
	{ "network", no_argument, NULL, 'n' },
	{ 0 },
};

/* "memory.max=1000", as wisp-jailer has it. */
static int take_value(struct jail_options *o, char *text)
{
	char *equals = strchr(text, '=');
	struct jail_cgroup_value *v = &o->cgroup[o->cgroup_count];

	if (!equals || o->cgroup_count == JAIL_CGROUPS_MAX ||
	    (size_t)(equals - text) >= sizeof(v->file))
		return -EINVAL;
	memcpy(v->file, text, (size_t)(equals - text));
	v->value = equals + 1;
	o->cgroup_count++;
	return 0;
}

/* "FIRST:COUNT": none of them is root, or stands for "as it is". */
static int take_others(struct keep *k, const char *text)
{
	char *end;
	unsigned long first = strtoul(text, &end, 10), count;

	if (*end != ':')
		return -EINVAL;
	count = strtoul(end + 1, &end, 10);
	if (*end || first == 0 || count == 0 || first >= (uid_t)NO_USER ||
	    count > (uid_t)NO_USER - first)
		return -EINVAL;
	k->first_other = (uid_t)first;
	k->others = (unsigned)count;
	return 0;
}

static int take(struct keep *k, int option)
{
	unsigned long user;
	char *end;

	switch (option) {
	case 'l':
		k->lock = optarg;
		return 0;
	case 'o':
		k->log = optarg;
		return 0;
	case 'f':
		k->folder = optarg;
		return 0;
	case 's':
		k->socket = optarg;
		return 0;
	case 'L':
		k->listen = true;
		return 0;
	case 'S':
		k->share = optarg;
		return 0;
	case 'b':
		k->below = optarg;
		return 0;
	case 'O':
		return take_others(k, optarg);
	case 'r':
		k->read_only = true;
		return 0;
	case 'p':
		k->groups.parent_cgroup = optarg;
		return 0;
	case 'i':
		k->groups.id = optarg;
		return 0;
	case 'c':
		return take_value(&k->groups, optarg);
	case 'n':
		k->network = true;
		return 0;
	case 'u':
		user = strtoul(optarg, &end, 10);
		k->user = (uid_t)user;
		/* Never root, and nothing that stands for "as it is". */
		return *end || user == 0 || user >= (uid_t)NO_USER ? -EINVAL : 0;
	default:
		return -EINVAL;
	}
}

/* Either a network, or a VMM by a socket. */
static bool fits(const struct keep *k)
{
	if (k->network)
		return !k->socket && !k->listen && !k->share && !k->below && !k->groups.id;
	return k->socket && !strchr(k->socket, '/') && !k->share == !k->below &&
	       !k->groups.id == !k->groups.parent_cgroup;
}

int main(int argc, char **argv)
{
	struct keep k = { 0 };
	struct error err = { 0 };
	int option, r = 0;

	while (r == 0 && (option = getopt_long(argc, argv, "+", options, NULL)) != -1)
		r = take(&k, option);
	k.argv = &argv[optind];
	if (r < 0 || !k.lock || !k.log || !k.folder || !k.user || !k.argv[0] || !fits(&k)) {
		fprintf(stderr, "usage: wisp-keeper --lock FILE --log FILE --folder FOLDER"
				" --user UID {--network | --socket NAME [--listen]"
				" [--share FOLDER --below PATH [--others FIRST:COUNT]"
				" [--read-only]]"
				" [--parent-cgroup GROUP --id NAME [--cgroup FILE=VALUE]...]}"
				" -- PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	if (keep_begin(&k, &err) == 0)
		return 0;
	fprintf(stderr, "%s\n", err.text);
	return 1;
}
