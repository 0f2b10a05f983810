/* image_probe.h - a real boot of each image with an agent, before it may be used.
 *
 * A probe is an instance like any other, of the tenant PROBE_TENANT: it is started, and when
 * its agent has answered the image is published under its name; when it ends before, the
 * image has failed, keeps what its console said, and no name. The instance is deleted in
 * either case. As the instance is in the books, so is the probe: a restart of wispd finds it.
 * Loop thread.
 */
#ifndef SUPERVISOR_IMAGE_PROBE_H
#define SUPERVISOR_IMAGE_PROBE_H

#include "supervisor/images/image.h"

#define PROBE_TENANT "wisp-probe"

struct wispd;

/* (T) Makes the instance, which begins when it is kicked. */
int image_probe_begin(struct wispd *d, const struct image *image, char id[INSTANCE_ID_BYTES],
		      struct error *err);

/* Whether this instance is a probe whose outcome is known. */
bool image_probe_is_over(const struct instance *i);

/* Writes the outcome, and that the instance is to be deleted. An error: to be tried again. */
int image_probe_settle(struct wispd *d, struct instance *i, struct error *err);

/* What the console of an image's probe said, when it failed; from malloc. -ENOENT. */
int image_probe_log(const struct config *c, const char *digest, char **ret, struct error *err);

#endif
