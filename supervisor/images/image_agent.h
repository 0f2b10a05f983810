/* image_agent.h - the agent's way into an image's guests: one file, in an initrd of our own.
 *
 * The kernel starts wisp-init from that initrd; it starts the agent, mounts the root disk
 * and stays the first process, or becomes the disk's own init program. So no image has to
 * be prepared for it. An image that brings an initrd must have wisp-init there as /init.
 */
#ifndef SUPERVISOR_IMAGE_AGENT_H
#define SUPERVISOR_IMAGE_AGENT_H

#include "supervisor/images/image.h"

/* Fills the digest of the initrd, where the image has none, and adds what wisp-init has to
 * know to the command line. Any thread. -E2BIG: there is no room for that. */
int image_agent_inject(const struct config *c, struct image *image, struct error *err);

/* Puts words before what is behind " -- ", which is a command. Room: CMDLINE_BYTES. */
int image_agent_add_words(char *cmdline, const char *words, struct error *err);

#endif
