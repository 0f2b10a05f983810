/* filter_json.h - filters as Firecracker's compiler of filters reads them, in JSON.
 *
 *   {"vmm":  {"default_action": "trap", "filter_action": "allow",
 *             "filter": [{"syscall": "read"},
 *                        {"syscall": "ioctl",
 *                         "args": [{"index": 1, "type": "dword", "op": "eq", "val": 44672}]}]},
 *    "vcpu": {...}}
 *
 * Members of the object are Firecracker's threads; "vmm" and "api" are one in wisp, its
 * main thread, and their rules are added up. A call is as filter_action says when a rule
 * that names it holds with all its args, otherwise as default_action says.
 */
#ifndef VMM_SECCOMP_FILTER_JSON_H
#define VMM_SECCOMP_FILTER_JSON_H

#include <jansson.h>

#include "vmm/base/error.h"
#include "vmm/seccomp/program.h"

/* wisp's threads that a file has filters for. */
enum filter_thread { FILTER_MAIN, FILTER_VCPU, FILTER_THREADS };

/* "main", as in a filter file. */
const char *filter_thread_name(enum filter_thread thread);

/* The programs of all threads. 0, or a negative errno with *err naming the member at
 * fault; nothing in root is trusted. */
int filter_json_compile(const json_t *root, struct program ret[FILTER_THREADS], struct error *err);

#endif
