/* fake_devices.h - a tree of sysfs and procfs with a healthy host in it, to be spoilt. */
#ifndef TESTS_UNIT_FAKE_DEVICES_H
#define TESTS_UNIT_FAKE_DEVICES_H

#define FAKE_NIC	     "0000:00:04.0"
#define FAKE_NVME	     "0000:01:00.0"
#define FAKE_FOLDER(address) "sys/bus/pci/devices/" address

/* root: a folder that is there and empty. -1 when a file cannot be made. */
int fake_host(const char *root);
/* A function of this class ("0x020000"), in this group; below 0: none. */
int fake_function(const char *root, const char *address, const char *class_code, int group);

/* A file, a link, or nothing any more, with the folders above it. */
int fake_file(const char *root, const char *path, const char *text);
int fake_link(const char *root, const char *path, const char *target);
int fake_remove(const char *root, const char *path);

#endif
