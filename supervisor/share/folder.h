/* folder.h - a folder of the host's that a guest is given, reached without leaving it.
 *
 * What lies in an allowed folder may have been put there by a guest that had it before: so
 * below that folder no link is followed. Any thread, any process.
 */
#ifndef SUPERVISOR_SHARE_FOLDER_H
#define SUPERVISOR_SHARE_FOLDER_H

#include <stdbool.h>

#include "vmm/base/error.h"

/* Absolute, and each part of it a name: where it leads is what it says, but for links. */
bool folder_name_plain(const char *path);

/* The folder below, a path relative to allowed ("": allowed itself), whose own path may have
 * links: they are the operator's. A descriptor (O_PATH), or a negative errno and *err. */
int share_folder_open(const char *allowed, const char *below, struct error *err);

#endif
