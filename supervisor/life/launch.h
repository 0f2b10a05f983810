/* launch.h - what a VMM is to be started with: a copy of everything that takes part.
 *
 * Filled on the loop's thread from the books (kind.h, load), then taken along by a worker
 * that has no access to them: the kinds' side effects and the runtime see nothing else.
 */
#ifndef SUPERVISOR_LAUNCH_H
#define SUPERVISOR_LAUNCH_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "supervisor/books/instance.h"
#include "supervisor/config.h"
#include "supervisor/device/preflight.h"
#include "supervisor/life/adopted.h"
#include "supervisor/life/board.h"
#include "supervisor/network/lease.h"
#include "supervisor/network/netns.h"
#include "supervisor/share/share.h"
#include "supervisor/volume/erasure.h"

enum {
	LAUNCH_DRIVES_MAX = 8,
	LAUNCH_NETS_MAX = 8,
	LAUNCH_FILE_BYTES = 64,
	LAUNCH_IP_BYTES = 192,	/* of the parameter that tells an address */
	LAUNCH_WORD_BYTES = 64, /* of another parameter in front */
	LAUNCH_CMDLINE_BYTES = 2 * CMDLINE_BYTES + LAUNCH_IP_BYTES + 2 * LAUNCH_WORD_BYTES,
};

struct firewall;
struct runtime;

/* A disk. file: its name in the VMM's folder, where attach() has put it. */
struct launch_drive {
	char id[LAUNCH_FILE_BYTES], file[LAUNCH_FILE_BYTES];
	char volume[LAUNCH_FILE_BYTES]; /* whose file it is; "": the image's */
	int64_t size_mib;		/* of that */
	bool root, read_only, busy;
	bool unmade; /* prepare() is to copy it out of load.snapshot */
	bool made;   /* it did */
	bool shared; /* and they have blocks in common */
};

/* An interface. Its tap has the name of the lease's link. */
struct launch_net {
	char id[LAUNCH_FILE_BYTES];
	struct lease lease; /* of one that was given only the link and the MAC address */
	unsigned mtu;	    /* 0: that of all */
};

/* A folder of the host. It is below, a path, in allowed: "" if it is not allowed any more. */
struct launch_share {
	char tag[SHARE_TAG_BYTES];
	char allowed[CONFIG_FOLDER_BYTES], below[CONFIG_FOLDER_BYTES];
	/* Whose doing it is on the host, what the guest's root does there, and its users from 1 on;
	 * others 0: nobody's. */
	uid_t user, first_other;
	unsigned others;
	bool read_only;
};

enum {
	LAUNCH_DEVICES_MAX = PREFLIGHT_DEVICES_MAX,
	LAUNCH_REASON_BYTES = 200,
};

enum device_outcome {
	DEVICE_UNTOUCHED,
	DEVICE_READY, /* proven, and about to be used */
	DEVICE_CLEAN, /* proven after its use */
	DEVICE_UNFIT, /* not to be given to anybody */
};

/* A function of the host's, and what work has made of it, for the books. */
struct launch_device {
	char address[PCI_ADDRESS_BYTES];
	int group;
	int node; /* of memory that is near it; -1: unknown */
	char driver[PCI_NAME_BYTES], override[PCI_NAME_BYTES]; /* that it had; "": none */
	bool quarantined;
	bool used; /* and not proven since */
	enum device_outcome outcome;
	char how[PCI_NAME_BYTES];      /* it was reset */
	char why[LAUNCH_REASON_BYTES]; /* it is unfit */
	uint64_t bind_us, reset_us;    /* what these took; 0: it was not done */
	bool given_back;
	char now[PCI_NAME_BYTES]; /* its driver after that */
};

enum { LAUNCH_SNAPSHOT_BYTES = 24 };

/* What a VMM is to go on from, instead of booting its guest. Its instance has a use of this
 * snapshot (snapshot.h). attach() puts its files into the VMM's folder, and boot() has them
 * loaded (by a VMM that was given nothing else to do yet: a blank one, too), lets the guest
 * go, and has its agent take on what is this instance's own. When that has come to a good
 * end the instance is running and the use is over: from the next start on it boots. */
struct launch_load {
	char snapshot[LAUNCH_SNAPSHOT_BYTES]; /* "": it boots */
	bool or_boot; /* if it cannot be loaded: nobody asked for this very snapshot */
	bool refused; /* that it was, boot() says */
};

/* The snapshot that is being made of it. */
struct launch_save {
	char snapshot[LAUNCH_SNAPSHOT_BYTES]; /* "": none */
	bool resume;			      /* the guest goes on afterwards */
	bool live;			      /* and while its memory is written */
	int64_t disk_most_mib;		      /* that the copy of its disk may have */
	int64_t size_mib;		      /* what came of it: that the files take */
};

enum { LAUNCH_WORDS_BYTES = 160 };

/* The resize that is under way (books/size.h), and what came of it. */
struct launch_resize {
	int64_t mem_from_mib, mem_mib;	/* 0: not of memory */
	int64_t disk_mib;		/* 0: not of the disk */
	int64_t timeout_ms;		/* that the guest may take */
	int64_t now_mib;		/* memory that it has */
	char words[LAUNCH_WORDS_BYTES]; /* about its file system; "": nobody grew it */
};

/* Where it runs (host/place.h), as the kernel writes it. */
struct launch_place {
	char cpus[TOPOLOGY_LIST_BYTES]; /* its cores, or where it floats; "": nobody knows */
	bool anywhere;			/* those are all that there are */
	char mems[16];			/* the node of its memory; "": any */
	bool huge_pages;		/* of 2 MiB: what its memory is made of */
	unsigned nvcpus;		/* how many have a processor each; 0: they float */
	int vcpu[PLACE_VCPUS_MAX];
};

/* Of UEFI, in the VMM's folder. */
#define LAUNCH_VARIABLES "firmware.vars"

struct launch {
	const struct config *config;
	const struct runtime *runtime;
	char id[INSTANCE_ID_BYTES], name[NAME_BYTES];
	struct launch_load load;
	struct launch_save save;
	uid_t uid; /* and gid: of the VMM alone; 0: none was leased */
	struct launch_resize resize;
	int64_t vcpus, mem_mib;
	int64_t mem_max_mib;  /* that it can have while it runs; 0: it is as it is */
	int64_t mem_room_mib; /* that a file of its memory may take */
	int64_t disk_mib;     /* its root disk was grown to; 0: it was not */
	char cmdline[LAUNCH_CMDLINE_BYTES];
	struct board board;						       /* settled */
	char kernel[DIGEST_BYTES], initrd[DIGEST_BYTES], rootfs[DIGEST_BYTES]; /* "": none */
	bool rootfs_read_only;
	bool wipe;  /* its disk is overwritten before it is removed */
	bool wiped; /* that was done, as erasure tells */
	struct erasure erasure;
	bool agent;	/* the guest has an agent, and is ready when that answers */
	bool hotplug;	/* drives can come and go while it runs */
	bool blank;	/* its VMM is to wait for a machine of this shape (pool/pool.h) */
	bool was_blank; /* it may be attached as one, and is somebody's now */
	unsigned ndrives, nnets, ndevices, nshares;
	struct launch_place place;
	struct launch_drive drives[LAUNCH_DRIVES_MAX];
	struct launch_net nets[LAUNCH_NETS_MAX];
	struct launch_device devices[LAUNCH_DEVICES_MAX];
	struct launch_share shares[SHARES_MAX];
	char group[ADOPTED_GROUP_BYTES]; /* of an engine's process (adopted.h); "": none */
	char tag[NETWORK_TAG_BYTES];	 /* network.h */
	struct firewall *firewall;
	char netns[PATH_MAX]; /* "": the host's */
	struct netns given;   /* its one interface is there; path "": none was given */
	struct netns_link given_link;
	int pidfd; /* of the process that stands for the VMM, while it boots; -1 */
};

#endif
