/* caller_frames.h - what the parts of the caller share. */
#ifndef GUEST_IMAGES_AGENT_CALLER_FRAMES_H
#define GUEST_IMAGES_AGENT_CALLER_FRAMES_H

#include "guest-images/agent/channel.h"
#include "guest-images/agent/fields.h"
#include "vmm/base/error.h"

int caller_channel(int fd, struct channel **ret, struct error *err);

/* Sends FRAME_REQUEST: the verb and "name=value" texts up to NULL. */
int caller_request(struct channel *c, const char *verb, const char *const fields[],
		   struct error *err);

/* The error of a FRAME_FAULT: -EREMOTE; *guest_code, which may be NULL: its errno or 0. */
int caller_fault(const struct frame *f, int *guest_code, struct error *err);

/* The error of a channel that failed with code. */
int caller_broken(int code, struct error *err);

#endif
