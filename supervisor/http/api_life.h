/* api_life.h - what routes that make instances or move them have in common.
 *
 * For handlers (api.h): within their transaction; a negative errno and call->err.
 */
#ifndef SUPERVISOR_API_LIFE_H
#define SUPERVISOR_API_LIFE_H

#include "supervisor/http/api.h"
#include "supervisor/life/board.h"

/* Of a body's check: "" or a name that can be used (instance_name_ok()). */
int api_check_name(const char *name, struct error *err);
/* One interface that is asked for: struct lease_request. */
extern const struct body_table api_interface_table;

/* How long it lives, from now; 0: for ever. */
void api_set_expiry(struct instance *i, uint64_t ttl_s);
/* The image that has this name or digest now. -ENOENT; -EPERM: it is not published. */
int api_use_image(struct api_call *call, const char *which, struct instance *i);
/* Its shape, as that is now, and what follows from it. -ENOENT. */
int api_use_shape(struct api_call *call, const char *name, struct instance *i);
/* What is to run it (runtime.h): said, or "": what a microVM has not decides. -ENOTSUP, -ENODEV. */
int api_choose_runtime(struct api_call *call, const char *said, const struct board *asked,
		       bool devices, struct instance *i);
/* -ENOSPC: nothing new can begin. */
int api_check_room(struct api_call *call);
/* One that may not wait is started at once when it has been created, or never: now is when
 * that is decided. */
int api_admit(struct api_call *call, const struct instance *i);
/* Drives of this new one can come and go. */
int api_let_plug(struct api_call *call, const struct instance *i);

/* How large its root disk is, and what its image's is; -EINVAL: it has none of its own. The
 * second makes the books say that it is so large; 0: that it was not grown. -EDQUOT. */
int api_find_disk(struct api_call *call, const struct instance *i, int64_t *size_mib,
		  int64_t *image_mib);
int api_set_disk(struct api_call *call, const struct instance *i, int64_t size_mib);

/* -ESTALE; 0: whatever it is. */
int api_check_generation(struct api_call *call, const struct instance *i, uint64_t generation);
/* -EPERM, and the states in which the verb is allowed. */
int api_refuse_move(struct api_call *call, const struct instance *i, const char *verb);

/* -EPERM: only its engine starts it. */
int api_refuse_engine(struct api_call *call, const struct instance *i);

/* An operation, and what it is about as it is now; the instance is looked at after that. */
int api_answer(struct api_call *call, const struct instance *i, const char *verb, int goal);

/* (T) The instance, which is new, is in this network namespace, and has so many other interfaces. */
int api_take_netns(struct api_call *call, const struct instance *i, const char *path,
		   const char *link, unsigned interfaces);

#endif
