/* config_file.h - a machine from one JSON file, in Firecracker's form. */
#ifndef API_CONFIG_FILE_H
#define API_CONFIG_FILE_H

#include "vmm/base/error.h"
#include "vmm/vm.h"

enum { CONFIG_FILE_BYTES = 1 << 20 }; /* the largest file that is read */

/* Reads path and configures vm as the API would; does not start it. 0, or a
 * negative errno: err->text names the file, err->field the key as in
 * "drives[1].path_on_host". Parts put before the error stay put. Loop thread. */
int config_file_apply(struct vm *vm, const char *path, struct error *err);

/* Reads path, any JSON object or list, and gives it to the metadata service. As above. */
int config_file_metadata(struct vm *vm, const char *path, struct error *err);

#endif
