/* truth.h - the books of this host: what is written down, and what may be.
 *
 * Whoever changes anything gets this. Loop thread; not owned by those who get it.
 */
#ifndef SUPERVISOR_TRUTH_H
#define SUPERVISOR_TRUTH_H

#include <stdint.h>

struct ledger;
struct store;
struct topology;

/* What can be held of a host and of a tenant's quota. */
enum resource {
	RESOURCE_INSTANCES,
	RESOURCE_VCPUS,
	RESOURCE_MEMORY_MIB,
	RESOURCE_ADDRESSES,
	RESOURCE_DISK_MIB,
	RESOURCES_COUNT
};

extern const char *const resource_names[RESOURCES_COUNT + 1]; /* NULL-ended */

struct truth {
	struct store *store;
	struct ledger *ledger;
	int64_t capacity[RESOURCES_COUNT]; /* of the host; below 0: no limit */
	/* Of the host, as it was last seen; NULL: nobody has looked, and all floats. */
	const struct topology *topology;
};

#endif
