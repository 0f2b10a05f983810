/* kinds.h - the kinds that there are, each in a file of its own (kind.h). */
#ifndef SUPERVISOR_KINDS_H
#define SUPERVISOR_KINDS_H

struct kind;

extern const struct kind kind_user;	/* the user that the VMM runs as */
extern const struct kind kind_engine;	/* the control group of a process of its engine's */
extern const struct kind kind_image;	/* kernel, initrd and root disk, from an image */
extern const struct kind kind_board;	/* its firmware, and what disks hang on */
extern const struct kind kind_snapshot; /* the one it begins with, the one made of it */
extern const struct kind kind_volume;	/* disks that outlive it */
extern const struct kind kind_network;	/* interfaces, in its tenant's networks */
extern const struct kind kind_netns;	/* a network namespace that it was given */
extern const struct kind kind_share;	/* folders of the host */
extern const struct kind kind_device;	/* PCI functions of the host */
extern const struct kind kind_place;	/* processors, and the node of its memory */
extern const struct kind kind_size;	/* what it has got beyond shape and image */
extern const struct kind kind_client;	/* without whom it does not last */

struct error;
struct launch;
struct wispd;

/* Any thread: its interfaces, which may be attached as those of a blank, are as they are to be. */
int kind_network_change(const struct launch *l, struct error *err);
/* Loop thread: an instance has another name, by which its network knows it from now on. */
int kind_network_rename(struct wispd *d, const char *instance, struct error *err);

#endif
