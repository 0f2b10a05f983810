/* config_check.h - what several fields of a configuration, or the host, decide.
 *
 * Types and ranges of single fields are the API's to check (api/body.h). 0, or -EINVAL
 * and *err with the field at fault. Any thread.
 */
#ifndef VMM_CONFIG_CHECK_H
#define VMM_CONFIG_CHECK_H

#include "vmm/base/error.h"
#include "vmm/config.h"

int config_check_machine(const struct machine_config *c, struct error *err);
int config_check_net(const struct net_config *c, struct error *err);
int config_check_memory_hotplug(const struct memory_hotplug_config *c, struct error *err);

#endif
