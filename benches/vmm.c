/* vmm.c - the monitors that are compared: the registry, and what they share. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "benches/vmm.h"

const struct vmm_ops *const vmm_all[] = {
	&vmm_wisp,
	&vmm_qemu,
	&vmm_firecracker,
	NULL,
};

int vmm_beside(const char *relative, char path[static PATH_MAX])
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n < 0)
		return -errno;
	self[n] = '\0';
	slash = strrchr(self, '/');
	*slash = '\0';
	if (snprintf(path, PATH_MAX, "%s/%s", self, relative) >= PATH_MAX)
		return -ENAMETOOLONG;
	return access(path, R_OK) == 0 ? 0 : -ENOENT;
}

static json_t *config_json(const struct machine *m)
{
	json_t *root =
		json_pack("{s:{s:s, s:s}, s:{s:i, s:i}, s:[]}", "boot-source", "kernel_image_path",
			  m->kernel, "boot_args", m->cmdline, "machine-config", "vcpu_count",
			  (int)m->vcpus, "mem_size_mib", (int)m->mem_mib, "drives");
	json_t *drives = json_object_get(root, "drives");
	int r = 0;

	if (root && m->initrd)
		r |= json_object_set_new(json_object_get(root, "boot-source"), "initrd_path",
					 json_string(m->initrd));
	if (root && m->disk)
		r |= json_array_append_new(drives,
					   json_pack("{s:s, s:s, s:b, s:b}", "drive_id", "disk",
						     "path_on_host", m->disk, "is_root_device", 0,
						     "is_read_only", 1));
	if (root && m->disk && m->io_engine)
		r |= json_object_set_new(json_array_get(drives, 0), "io_engine",
					 json_string(m->io_engine));
	if (root && m->vsock)
		r |= json_object_set_new(
			root, "vsock",
			json_pack("{s:i, s:s}", "guest_cid", 3, "uds_path", m->vsock));
	if (root && m->tap)
		r |= json_object_set_new(root, "network-interfaces",
					 json_pack("[{s:s, s:s, s:s}]", "iface_id", "eth0",
						   "host_dev_name", m->tap, "guest_mac",
						   VMM_GUEST_MAC));
	if (root && m->huge_pages)
		r |= json_object_set_new(json_object_get(root, "machine-config"), "huge_pages",
					 json_string(m->huge_pages));
	if (r < 0) {
		json_decref(root);
		return NULL;
	}
	return root;
}

int vmm_write_config(const struct machine *m, const char *dir, char path[static PATH_MAX],
		     struct error *err)
{
	json_t *root = config_json(m);
	int r = 0;

	if (!root)
		return error_set(err, -EINVAL, "cmdline", "use UTF-8 text",
				 "cannot write the machine as JSON");
	if (snprintf(path, PATH_MAX, "%s/config.json", dir) >= PATH_MAX)
		r = error_set(err, -ENAMETOOLONG, NULL, NULL, "%s is too long a path", dir);
	else if (json_dump_file(root, path, JSON_INDENT(2)) < 0)
		r = error_errno(err, NULL, NULL, "cannot write %s", path);
	json_decref(root);
	return r;
}
