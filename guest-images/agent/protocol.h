/* protocol.h - what a guest's agent and its callers say to each other.
 *
 * The agent listens on a port of the guest's vsock. A connection carries one request: the
 * caller sends FRAME_REQUEST, whose first field is the verb, both sides stream what the
 * verb needs, and the agent ends it with FRAME_ANSWER or FRAME_FAULT and closes.
 *
 * Everything is a frame: a header of eight bytes, then the payload. Numbers are little
 * endian. Payloads are either bytes or fields: "name=value" texts, each ended by a zero
 * byte; a name may come several times. A field that the reader does not know is ignored,
 * so that either side may be newer.
 *
 *   verb      caller sends                            agent sends before its answer
 *   exec      INPUT (empty: end), RESIZE, SIGNAL      OUTPUT, ERRORS
 *   read                                              ENTRY, DATA..., END  (a file tree)
 *   write     ENTRY, DATA..., END
 *   health, identity, addresses, shutdown, grow
 *
 *   exec      argument* environment* user directory terminal rows columns timeout_ms,
 *             seed: mixed into the kernel's random numbers first, for a clone may not have
 *             seen yet that it is one; answers status, or signal; timeout=1 when the time limit ended it
 *   read      path
 *   write     path, name (used when path is a directory)
 *   health    answers version, uptime_ms, boot_id, hostname, clock_ns, processes, load,
 *             memory_total_bytes, memory_available_bytes, root_total_bytes,
 *             root_available_bytes
 *   identity  seed clock_ns hostname machine_id, mac* address* ("eth0 VALUE"), gateway*,
 *             resolver; answers when all of it is so
 *   addresses  mac* address* gateway* resolver, as of identity: of a guest that is who it was, and
 *             whose own programs need not hear of it
 *   shutdown  mode: poweroff or reboot
 *   grow      the root file system becomes as large as its disk
 *   fault     code (an errno), text
 *
 * Neither side trusts the other: the agent's caller may be anybody who can open the
 * socket on the host, and a guest may run an agent of its own making.
 */
#ifndef GUEST_IMAGES_AGENT_PROTOCOL_H
#define GUEST_IMAGES_AGENT_PROTOCOL_H

#include <stdint.h>

enum {
	AGENT_PORT = 1024, /* unless the guest was told another one */
	FRAME_HEADER_LEN = 8,
	FRAME_MAX = 128 * 1024, /* longest payload */
};

enum frame_type {
	FRAME_REQUEST = 1, /* fields */
	FRAME_INPUT,	   /* bytes */
	FRAME_RESIZE,	   /* fields: rows, columns */
	FRAME_SIGNAL,	   /* fields: number */
	FRAME_OUTPUT,	   /* bytes: standard output, or the terminal's */
	FRAME_ERRORS,	   /* bytes: standard error */
	FRAME_ENTRY,	   /* fields: path, type, mode, uid, gid, mtime_s, target */
	FRAME_DATA,	   /* bytes of the file that the last ENTRY named */
	FRAME_END,	   /* nothing: the tree is whole */
	FRAME_ANSWER,	   /* fields */
	FRAME_FAULT,	   /* fields: code, text */
};

#endif
