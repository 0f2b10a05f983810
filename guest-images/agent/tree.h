/* tree.h - a file, or a directory with all that is in it, through a channel.
 *
 * Both ends use it, in both directions. Files, directories and symbolic links are carried,
 * with permissions, owners and times of files; other kinds are left out. What is received
 * is not trusted: every name is one component of a path, and no symbolic link is followed
 * below the destination, whoever made it.
 */
#ifndef GUEST_IMAGES_AGENT_TREE_H
#define GUEST_IMAGES_AGENT_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "guest-images/agent/channel.h"

struct tree_result {
	uint64_t entries, bytes;
	char fault[512]; /* of a failure: what could not be done */
};

/* Sends what is at path; a symbolic link there is followed, below it none. 0, or a negative
 * errno with fault; nothing is said to the other side then. */
int tree_send(struct channel *c, const char *path, struct tree_result *ret);

/* Receives to path, or, when that is a directory, to name in it. owners: keep the sender's
 * owners, and set-id bits. 0, or a negative errno with fault; -EREMOTE: the sender's fault. */
int tree_receive(struct channel *c, const char *path, const char *name, bool owners,
		 struct tree_result *ret);

#endif
