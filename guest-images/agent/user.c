/* user.c - two files of lines, cut at their colons. */
#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest-images/agent/user.h"

enum { MAX_COLUMNS = 8, LINE_LEN = 4096 };

enum passwd_column { PASSWD_NAME = 0, PASSWD_UID = 2, PASSWD_GID = 3, PASSWD_HOME = 5 };
enum group_column { GROUP_NAME = 0, GROUP_GID = 2, GROUP_MEMBERS = 3 };

static bool id_parse(const char *text, uint32_t *ret)
{
	unsigned long value;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || *end || value >= UINT32_MAX) /* the last one means "unchanged" */
		return false;
	*ret = (uint32_t)value;
	return true;
}

/* Cuts a line in place; columns that it does not have are "". */
static void columns_cut(char *line, char *column[MAX_COLUMNS])
{
	static char none[1];

	line[strcspn(line, "\n")] = '\0';
	for (int i = 0; i < MAX_COLUMNS; i++)
		column[i] = line ? strsep(&line, ":") : none;
}

/* The first line of the file that starts with name, or, when name is NULL, has id in its
 * column id_column: read into line, and cut. */
static bool entry_find(const char *path, const char *name, uint32_t id, int id_column,
		       char line[LINE_LEN], char *column[MAX_COLUMNS])
{
	FILE *f = fopen(path, "re");
	bool found = false;
	uint32_t got;

	while (f && !found && fgets(line, LINE_LEN, f)) {
		columns_cut(line, column);
		if (name)
			found = strcmp(column[0], name) == 0;
		else
			found = id_parse(column[id_column], &got) && got == id;
	}
	if (f)
		fclose(f);
	return found;
}

static bool is_member(char *members, const char *name)
{
	char *one;

	while ((one = strsep(&members, ","))) {
		if (strcmp(one, name) == 0)
			return true;
	}
	return false;
}

/* The groups that list the user. */
static void groups_find(struct user *u)
{
	FILE *f = fopen("/etc/group", "re");
	char line[LINE_LEN], *column[MAX_COLUMNS];
	uint32_t gid;

	while (f && u->group_count < USER_MAX_GROUPS && fgets(line, sizeof(line), f)) {
		columns_cut(line, column);
		if (id_parse(column[GROUP_GID], &gid) && is_member(column[GROUP_MEMBERS], u->name))
			u->groups[u->group_count++] = gid;
	}
	if (f)
		fclose(f);
}

static int primary_find(const char *text, struct user *u)
{
	char line[LINE_LEN], *column[MAX_COLUMNS];
	uint32_t uid = 0, gid;
	bool number = id_parse(text, &uid);

	strcpy(u->home, "/");
	if (entry_find("/etc/passwd", number ? NULL : text, uid, PASSWD_UID, line, column)) {
		if (!id_parse(column[PASSWD_UID], &uid) || !id_parse(column[PASSWD_GID], &gid))
			return -EINVAL;
		u->gid = gid;
		snprintf(u->name, sizeof(u->name), "%.*s", USER_NAME_LEN - 1, column[PASSWD_NAME]);
		if (*column[PASSWD_HOME] == '/')
			snprintf(u->home, sizeof(u->home), "%s", column[PASSWD_HOME]);
	} else if (!number && strcmp(text, "root") != 0) {
		return -ENOENT; /* an image without /etc/passwd has a root all the same */
	}
	u->uid = uid;
	return 0;
}

static int group_find(const char *text, gid_t *ret)
{
	char line[LINE_LEN], *column[MAX_COLUMNS];
	uint32_t gid;

	if (!id_parse(text, &gid)) {
		if (!entry_find("/etc/group", text, 0, GROUP_GID, line, column))
			return -ENOENT;
		if (!id_parse(column[GROUP_GID], &gid))
			return -EINVAL;
	}
	*ret = gid;
	return 0;
}

int user_find(const char *text, struct user *ret)
{
	struct user u = { 0 };
	char name[USER_NAME_LEN], *group;
	int r;

	if (!*text || strlen(text) >= sizeof(name))
		return -EINVAL;
	strcpy(name, text);
	group = strchr(name, ':');
	if (group)
		*group++ = '\0';
	r = primary_find(name, &u);
	if (r == 0 && *u.name)
		groups_find(&u);
	if (r == 0 && group)
		r = group_find(group, &u.gid);
	if (r == 0)
		*ret = u;
	return r;
}

int user_become(const struct user *u)
{
	if (setgroups(u->group_count, u->groups) < 0 || setgid(u->gid) < 0 || setuid(u->uid) < 0)
		return -errno;
	return 0;
}
