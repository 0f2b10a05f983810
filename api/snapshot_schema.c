/* snapshot_schema.c - the tables of the snapshots' bodies. */
#include <errno.h>

#include "api/schema.h"
#include "api/schema_rows.h"

static const char *const type_names[] = {
	[SNAPSHOT_FULL] = "Full",
	[SNAPSHOT_DIFF] = "Diff",
	NULL,
};
static const char *const backend_names[] = {
	[MEMORY_BACKEND_FILE] = "File",
	[MEMORY_BACKEND_UFFD] = "Uffd",
	NULL,
};

static const char *const huge_pages_names[] = {
	[HUGE_PAGES_NONE] = "None",
	[HUGE_PAGES_TRANSPARENT] = "Transparent",
	[HUGE_PAGES_2M] = "2M",
	[HUGE_PAGES_AS_SAVED] = "Snapshot",
	NULL,
};

static const struct body_field create_fields[] = {
	{ .name = "mem_file_path",
	  .type = BODY_STRING,
	  PLACE(snapshot_create_config, mem_file_path),
	  .required = true,
	  .min = 1 },
	{ .name = "snapshot_path",
	  .type = BODY_STRING,
	  PLACE(snapshot_create_config, snapshot_path),
	  .required = true,
	  .min = 1 },
	{ .name = "snapshot_type",
	  .type = BODY_ENUM,
	  PLACE(snapshot_create_config, snapshot_type),
	  .names = type_names },
	/* wisp's own. */
	{ .name = "live", .type = BODY_BOOL, PLACE(snapshot_create_config, live) },
	{ .name = "resume_vm", .type = BODY_BOOL, PLACE(snapshot_create_config, resume_vm) },
};

static int check_create(void *config, struct error *err)
{
	const struct snapshot_create_config *c = config;

	if (c->live && c->snapshot_type != SNAPSHOT_FULL)
		return error_set(err, -EINVAL, "live", "leave out snapshot_type",
				 "A live snapshot is a Full one");
	if (c->resume_vm && !c->live)
		return error_set(err, -EINVAL, "resume_vm", "PATCH /vm when it has been saved",
				 "Only a live create can resume the guest");
	return 0;
}

const struct body_table body_snapshot_create = {
	TABLE(snapshot_create_config, create_fields),
	.check = check_create,
};

static const struct body_field backend_fields[] = {
	{ .name = "backend_type",
	  .type = BODY_ENUM,
	  PLACE(memory_backend_config, backend_type),
	  .required = true,
	  .names = backend_names },
	{ .name = "backend_path",
	  .type = BODY_STRING,
	  PLACE(memory_backend_config, backend_path),
	  .required = true,
	  .min = 1 },
};
static const struct body_table body_backend = { TABLE(memory_backend_config, backend_fields) };

static const struct body_field network_override_fields[] = {
	{ .name = "iface_id",
	  .type = BODY_ID,
	  PLACE(network_override, iface_id),
	  .required = true },
	{ .name = "host_dev_name",
	  .type = BODY_STRING,
	  PLACE(network_override, host_dev_name),
	  .required = true,
	  .min = 1 },
	{ .name = "guest_mac", .type = BODY_STRING, PLACE(network_override, guest_mac) },
};
static const struct body_table body_network_override = {
	TABLE(network_override, network_override_fields),
	.open = true,
};

static const struct body_field drive_override_fields[] = {
	{ .name = "drive_id", .type = BODY_ID, PLACE(drive_override, drive_id), .required = true },
	{ .name = "path_on_host",
	  .type = BODY_STRING,
	  PLACE(drive_override, path_on_host),
	  .required = true,
	  .min = 1 },
};
static const struct body_table body_drive_override = {
	TABLE(drive_override, drive_override_fields),
};

static const struct body_field pmem_override_fields[] = {
	{ .name = "id", .type = BODY_ID, PLACE(pmem_override, id), .required = true },
	{ .name = "path_on_host",
	  .type = BODY_STRING,
	  PLACE(pmem_override, path_on_host),
	  .required = true,
	  .min = 1 },
};
static const struct body_table body_pmem_override = {
	TABLE(pmem_override, pmem_override_fields),
};

static const struct body_field console_override_fields[] = {
	{ .name = "uds_path",
	  .type = BODY_STRING,
	  PLACE(console_override, uds_path),
	  .required = true,
	  .min = 1 },
};
static const struct body_table body_console_override = {
	TABLE(console_override, console_override_fields),
};

static const struct body_field vsock_override_fields[] = {
	{ .name = "uds_path",
	  .type = BODY_STRING,
	  PLACE(vsock_override, uds_path),
	  .required = true,
	  .min = 1 },
	{ .name = "guest_cid",
	  .type = BODY_U64,
	  PLACE(vsock_override, guest_cid),
	  .nullable = true,
	  .min = VSOCK_MIN_CID,
	  .max = VSOCK_MAX_CID },
};
static const struct body_table body_vsock_override = {
	TABLE(vsock_override, vsock_override_fields),
	.open = true,
};

static const struct body_field load_fields[] = {
	{ .name = "snapshot_path",
	  .type = BODY_STRING,
	  PLACE(snapshot_load_config, snapshot_path),
	  .required = true,
	  .min = 1 },
	{ .name = "mem_file_path",
	  .type = BODY_STRING,
	  PLACE(snapshot_load_config, mem_file_path),
	  .nullable = true,
	  .min = 1 },
	{ .name = "mem_backend",
	  .type = BODY_OBJECT,
	  PLACE(snapshot_load_config, memory),
	  MARK(snapshot_load_config, has_memory),
	  .nullable = true,
	  .table = &body_backend },
	{ .name = "enable_diff_snapshots",
	  .type = BODY_BOOL,
	  PLACE(snapshot_load_config, enable_diff_snapshots) },
	{ .name = "track_dirty_pages",
	  .type = BODY_BOOL,
	  PLACE(snapshot_load_config, track_dirty_pages) },
	{ .name = "resume_vm", .type = BODY_BOOL, PLACE(snapshot_load_config, resume_vm) },
	{ .name = "clock_realtime",
	  .type = BODY_BOOL,
	  PLACE(snapshot_load_config, clock_realtime) },
	{ .name = "huge_pages",
	  .type = BODY_ENUM,
	  PLACE(snapshot_load_config, huge_pages),
	  MARK(snapshot_load_config, has_huge_pages),
	  .nullable = true,
	  .names = huge_pages_names },
	{ .name = "network_overrides",
	  .type = BODY_ARRAY,
	  PLACE(snapshot_load_config, networks),
	  MARK(snapshot_load_config, nnetworks),
	  .max = VM_MAX_NETS,
	  .table = &body_network_override },
	{ .name = "vsock_override",
	  .type = BODY_OBJECT,
	  PLACE(snapshot_load_config, vsock),
	  MARK(snapshot_load_config, has_vsock),
	  .nullable = true,
	  .table = &body_vsock_override },
	/* wisp's own. */
	{ .name = "drive_overrides",
	  .type = BODY_ARRAY,
	  PLACE(snapshot_load_config, drives),
	  MARK(snapshot_load_config, ndrives),
	  .max = VM_MAX_DRIVES,
	  .table = &body_drive_override },
	{ .name = "pmem_overrides",
	  .type = BODY_ARRAY,
	  PLACE(snapshot_load_config, pmem),
	  MARK(snapshot_load_config, npmem),
	  .max = VM_MAX_PMEM,
	  .table = &body_pmem_override },
	{ .name = "console_override",
	  .type = BODY_OBJECT,
	  PLACE(snapshot_load_config, console),
	  MARK(snapshot_load_config, has_console),
	  .nullable = true,
	  .table = &body_console_override },
	{ .name = "allow_changed_disks",
	  .type = BODY_BOOL,
	  PLACE(snapshot_load_config, allow_changed_disks) },
	{ .name = "mmds_data", .type = BODY_DOCUMENT, PLACE(snapshot_load_config, mmds_data) },
	{ .name = "working_set_path",
	  .type = BODY_STRING,
	  PLACE(snapshot_load_config, working_set_path),
	  .min = 1 },
};

static int check_load(void *config, struct error *err)
{
	const struct snapshot_load_config *c = config;

	if (c->has_memory && c->mem_file_path[0])
		return error_set(
			err, -EINVAL, "mem_file_path", "leave it out",
			"too many fields: either `mem_backend` or `mem_file_path` exclusively "
			"is required");
	if (!c->has_memory && !c->mem_file_path[0])
		return error_set(
			err, -EINVAL, "mem_backend", "give it",
			"missing field: either `mem_backend` or `mem_file_path` is required");
	if (c->working_set_path[0] && c->has_memory &&
	    c->memory.backend_type == MEMORY_BACKEND_UFFD)
		return error_set(err, -EINVAL, "working_set_path", "leave it out",
				 "What is brought before it is asked for, the handler decides");
	return 0;
}

const struct body_table body_snapshot_load = {
	TABLE(snapshot_load_config, load_fields),
	.check = check_load,
};

static const struct body_field working_set_fields[] = {
	{ .name = "working_set_path",
	  .type = BODY_STRING,
	  PLACE(working_set_config, working_set_path),
	  .required = true,
	  .min = 1 },
};
const struct body_table body_working_set = {
	TABLE(working_set_config, working_set_fields),
};
