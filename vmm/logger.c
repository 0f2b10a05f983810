/* logger.c - where this process's log goes and what is in it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/base/log.h"
#include "vmm/logger.h"

struct logger {
	char id[VM_ID_LEN + 1];
	struct logger_config config;
	int fd; /* -1: stderr */
};

static int open_file(const char *path, int *ret, struct error *err)
{
	if (!path[0])
		return 0;
	*ret = fd_open_lines(path, 0644);
	if (*ret < 0)
		return error_set(err, *ret, "log_path", "give a writable file or FIFO",
				 "The log file %s cannot be opened: %s", path, strerror(-*ret));
	return 0;
}

int logger_parse_level(const struct logger_config *c, enum log_level *ret, struct error *err)
{
	if (log_level_parse(c->level, ret) == 0)
		return 0;
	return error_set(err, -EBADMSG, "level", NULL,
			 "unknown variant `%s`, expected one of `Off`, `Trace`, `Debug`, `Info`, "
			 "`Warn`, `Warning`, `Error`",
			 c->level);
}

int logger_set(struct logger *l, const struct logger_config *config, struct error *err)
{
	enum log_level level;
	int fd = -1, r = logger_parse_level(config, &level, err);

	if (r == 0)
		r = open_file(config->log_path, &fd, err);
	if (r < 0)
		return r;
	log_setup(&(struct log_config){
		.id = l->id,
		.level = level,
		.format = (enum log_format)config->format,
		.show_level = config->show_level,
		.show_origin = config->show_log_origin,
		.module = config->module,
		.fd = fd < 0 ? STDERR_FILENO : fd,
	});
	fd_close(l->fd);
	l->fd = fd;
	l->config = *config;
	return 0;
}

int logger_create(const char *id, const struct logger_config *config, struct logger **ret,
		  struct error *err)
{
	struct logger *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	snprintf(l->id, sizeof(l->id), "%s", id);
	l->fd = -1;
	r = logger_set(l, config, err);
	if (r < 0)
		free(l);
	else
		*ret = l;
	return r;
}

const struct logger_config *logger_config(const struct logger *l)
{
	return &l->config;
}

void logger_destroy(struct logger *l)
{
	if (!l)
		return;
	log_setup(&(struct log_config){ .id = l->id, .level = LOG_WARN, .fd = STDERR_FILENO });
	fd_close(l->fd);
	free(l);
}
