/* logger.h - where this process's log goes and what is in it.
 *
 * What the command line says first and PUT /logger or the configuration file may
 * change before the machine starts. Main thread, and no other thread may be
 * running: the log itself (vmm/base/log.h) is read without a lock.
 */
#ifndef VMM_LOGGER_H
#define VMM_LOGGER_H

#include <stdbool.h>

#include "vmm/base/error.h"
#include "vmm/base/log.h"
#include "vmm/config.h"

struct logger;

/* The log of the instance id as config says. 0 and *ret, or a negative errno; then
 * the log goes where it went. */
int logger_create(const char *id, const struct logger_config *config, struct logger **ret,
		  struct error *err);

/* Changes all of it. The file is opened, and made if it is missing, before anything
 * is changed; a FIFO may still have no reader. 0, or a negative errno and nothing
 * has changed: err->field is the API's name of the field. */
int logger_set(struct logger *l, const struct logger_config *config, struct error *err);

/* The level that config names. 0, or -EBADMSG with Firecracker's text. Any thread. */
int logger_parse_level(const struct logger_config *config, enum log_level *ret, struct error *err);

const struct logger_config *logger_config(const struct logger *l);

/* The log goes to stderr afterwards. Accepts NULL. */
void logger_destroy(struct logger *l);

#endif
