/* grow.h - a root file system that is smaller than its disk becomes as large. */
#ifndef GUEST_IMAGES_AGENT_GROW_H
#define GUEST_IMAGES_AGENT_GROW_H

/* The file system of /, if it is an ext4 that can be written to; the disk may have grown under
 * it a moment ago. disk: its device; NULL: as sysfs tells, which must be mounted. 0, too, where
 * it is as large; -EOPNOTSUPP: another file system, or it was made without room to grow;
 * -EROFS; or another negative errno of the kernel's. */
int grow_root(const char *disk);

#endif
