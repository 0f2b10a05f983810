/* command_images.c - wispctl's commands about images. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/cli/cli.h"

enum { ADD_KERNEL, ADD_INITRD, ADD_ROOTFS, ADD_READ_ONLY, ADD_CMDLINE, ADD_AGENT };

static const struct cli_option add_options[] = {
	[ADD_KERNEL] = { "kernel", "FILE", "ELF or bzImage; without it the disk boots itself" },
	[ADD_INITRD] = { "initrd", "FILE", "" },
	[ADD_ROOTFS] = { "rootfs", "FILE", "a raw disk; each instance gets a copy" },
	[ADD_READ_ONLY] = { "read-only", NULL,
			    "all instances use the disk itself, and cannot write" },
	[ADD_CMDLINE] = { "cmdline", "TEXT", "of the kernel" },
	[ADD_AGENT] = { "agent", NULL, "its guests get an agent, and are ready when that answers" },
	{ 0 },
};

/* wispd has another current folder. */
static void add_path(json_t *body, const char *name, const char *file)
{
	char path[PATH_MAX];

	if (file)
		json_object_set_new(body, name, json_string(realpath(file, path) ? path : file));
}

static int add(struct cli *cli, const struct cli_arguments *a)
{
	json_t *body =
		json_pack("{s:s, s:b, s:b}", "name", a->operand[0], "rootfs_read_only",
			  a->option[ADD_READ_ONLY] != NULL, "agent", a->option[ADD_AGENT] != NULL);
	json_t *reply = NULL;
	int status;

	add_path(body, "kernel", a->option[ADD_KERNEL]);
	add_path(body, "initrd", a->option[ADD_INITRD]);
	add_path(body, "rootfs", a->option[ADD_ROOTFS]);
	if (a->option[ADD_CMDLINE])
		json_object_set_new(body, "cmdline", json_string(a->option[ADD_CMDLINE]));
	status = cli_call(cli, "POST", "/images", body, &reply);
	if (status == 0)
		status = cli_wait(cli, reply);
	if (status == 0)
		puts(a->operand[0]);
	json_decref(reply);
	return status;
}

enum { IMPORT_BASE, IMPORT_SIZE, IMPORT_READ_ONLY, IMPORT_CMDLINE };

static const struct cli_option import_options[] = {
	[IMPORT_BASE] = { "base", "IMAGE",
			  "whose kernel and command line it has; else a disk boots itself" },
	[IMPORT_SIZE] = { "size", "MIB",
			  "of its file system; by default what is needed, and some" },
	[IMPORT_READ_ONLY] = { "read-only", NULL,
			       "all instances use the disk itself, and cannot write" },
	[IMPORT_CMDLINE] = { "cmdline", "TEXT", "added to the kernel's command line" },
	{ 0 },
};

/* "KIND:PATH...": wispd has another current folder. */
static json_t *source_of(const char *text)
{
	size_t kind = strcspn(text, ":") + 1, path = text[kind - 1] ? strcspn(text + kind, ":") : 0;
	char given[PATH_MAX], whole[PATH_MAX];

	snprintf(given, sizeof(given), "%.*s", (int)path, text + (path ? kind : 0));
	if (!path || !realpath(given, whole))
		return json_string(text);
	return json_sprintf("%.*s%s%s", (int)kind, text, whole, text + kind + path);
}

static int import(struct cli *cli, const struct cli_arguments *a)
{
	json_t *body = json_pack("{s:s, s:o, s:b, s:b}", "name", a->operand[1], "source",
				 source_of(a->operand[0]), "agent", a->option[IMPORT_BASE] != NULL,
				 "rootfs_read_only", a->option[IMPORT_READ_ONLY] != NULL);
	json_t *reply = NULL;
	int status;

	cli_add_text(body, "base", a->option[IMPORT_BASE]);
	cli_add_text(body, "cmdline", a->option[IMPORT_CMDLINE]);
	if (a->option[IMPORT_SIZE])
		json_object_set_new(body, "size_mib",
				    json_integer(strtoll(a->option[IMPORT_SIZE], NULL, 10)));
	status = cli_call(cli, "POST", "/images", body, &reply);
	if (status == 0)
		status = cli_wait(cli, reply);
	if (status == 0)
		puts(a->operand[1]);
	json_decref(reply);
	return status;
}

static int print_log(struct cli *cli, const struct cli_arguments *a)
{
	struct wisp_reply reply = { 0 };
	char path[CLI_PATH_BYTES];
	int r;

	snprintf(path, sizeof(path), "/images/%s/log", a->operand[0]);
	r = cli_try(cli, "GET", path, NULL, &reply);
	if (r < 0)
		fprintf(stderr, "wispctl: %s\n", wisp_error(cli->client));
	else
		fwrite(reply.body, 1, reply.len, stdout);
	wisp_reply_clear(&reply);
	return r == -EPROTO ? EXIT_REFUSED : r < 0 ? EXIT_UNREACHABLE : 0;
}

static int ls(struct cli *cli, const struct cli_arguments *a)
{
	static const char *const members[] = {
		"name", "state", "bytes", "digest", "cmdline", NULL
	};

	(void)a;
	return cli_list(cli, "/images", "images", members);
}

static int rm(struct cli *cli, const struct cli_arguments *a)
{
	int first = 0;

	for (unsigned i = 0; i < a->operands; i++) {
		char path[CLI_PATH_BYTES];
		int status;

		snprintf(path, sizeof(path), "/images/%s", a->operand[i]);
		status = cli_call(cli, "DELETE", path, NULL, NULL);
		if (status == 0)
			puts(a->operand[i]);
		first = first ? first : status;
	}
	return first;
}

static const struct cli_command commands[] = {
	{ "image add", "NAME", "make an image of files", add_options, -1, 1, 1, add },
	{ "image import", "KIND:PATH[:TAG] NAME",
	  "make an image of an OCI image, an archive or a disk", import_options, -1, 2, 2, import },
	{ "image log", "IMAGE", "print what one said that did not boot", NULL, -1, 1, 1,
	  print_log },
	{ "image ls", "", "list images", NULL, -1, 0, 0, ls },
	{ "image rm", "IMAGE...", "remove images", NULL, -1, 1, CLI_OPERANDS_MAX, rm },
	{ 0 },
};

const struct cli_area cli_images = { "Images", commands };
