/* device_schema.c - the tables of what a machine has: drives, interfaces and its other devices.
 *
 * See schema.h.
 */
#include <errno.h>

#include "api/schema.h"
#include "api/schema_rows.h"
#include "devices/mmds/mmds.h"
#include "devices/virtio/net_mac.h"

static const char *const cache_type_names[] = {
	[CACHE_UNSAFE] = "Unsafe",
	[CACHE_WRITEBACK] = "Writeback",
	NULL,
};
static const char *const io_engine_names[] = {
	[IO_ENGINE_SYNC] = "Sync",
	[IO_ENGINE_ASYNC] = "Async",
	[IO_ENGINE_DIRECT] = "Direct",
	NULL,
};

static const struct body_field token_bucket_fields[] = {
	{ .name = "size",
	  .type = BODY_U64,
	  PLACE(token_bucket, size),
	  .required = true,
	  .max = INT64_MAX },
	{ .name = "refill_time",
	  .type = BODY_U64,
	  PLACE(token_bucket, refill_time_ms),
	  .required = true,
	  .max = INT64_MAX },
	{ .name = "one_time_burst",
	  .type = BODY_U64,
	  PLACE(token_bucket, one_time_burst),
	  .nullable = true,
	  .max = INT64_MAX },
};
static const struct body_table body_token_bucket = { TABLE(token_bucket, token_bucket_fields) };

static const struct body_field rate_limiter_fields[] = {
	{ .name = "bandwidth",
	  .type = BODY_OBJECT,
	  PLACE(limiter_config, bandwidth),
	  MARK(limiter_config, has_bandwidth),
	  .nullable = true,
	  .table = &body_token_bucket },
	{ .name = "ops",
	  .type = BODY_OBJECT,
	  PLACE(limiter_config, ops),
	  MARK(limiter_config, has_ops),
	  .nullable = true,
	  .table = &body_token_bucket },
};
const struct body_table body_rate_limiter = { TABLE(limiter_config, rate_limiter_fields) };

static const char bad_drive[] = "Invalid block config.";

static const struct body_field drive_fields[] = {
	{ .name = "drive_id", .type = BODY_ID, PLACE(drive_config, drive_id), .required = true },
	{ .name = "partuuid",
	  .type = BODY_STRING,
	  PLACE(drive_config, partuuid),
	  .nullable = true,
	  .min = 1 },
	{ .name = "is_root_device",
	  .type = BODY_BOOL,
	  PLACE(drive_config, is_root_device),
	  .required = true },
	{ .name = "cache_type",
	  .type = BODY_ENUM,
	  PLACE(drive_config, cache_type),
	  .names = cache_type_names },
	{ .name = "is_read_only",
	  .type = BODY_BOOL,
	  PLACE(drive_config, is_read_only),
	  MARK(drive_config, has_read_only),
	  .nullable = true },
	{ .name = "path_on_host",
	  .type = BODY_STRING,
	  PLACE(drive_config, path_on_host),
	  .nullable = true,
	  .min = 1,
	  .fault = bad_drive },
	{ .name = "rate_limiter",
	  .type = BODY_OBJECT,
	  PLACE(drive_config, rate_limiter),
	  MARK(drive_config, has_rate_limiter),
	  .nullable = true,
	  .table = &body_rate_limiter },
	{ .name = "io_engine",
	  .type = BODY_ENUM,
	  PLACE(drive_config, io_engine),
	  MARK(drive_config, has_io_engine),
	  .nullable = true,
	  .names = io_engine_names },
	{ .name = "socket",
	  .type = BODY_STRING,
	  PLACE(drive_config, socket),
	  .nullable = true,
	  .min = 1,
	  .fault = bad_drive },
};

/* A file or a back end, and for a back end nothing that only it can decide. */
static int check_drive(void *config, struct error *err)
{
	struct drive_config *c = config;
	bool file = c->path_on_host[0];

	if (!file && !c->socket[0])
		return error_set(err, -EINVAL, "path_on_host", "it is missing", "%s", bad_drive);
	if (c->socket[0] && (file || c->has_read_only || c->has_io_engine || c->has_rate_limiter))
		return error_set(err, -EINVAL, "socket",
				 "leave out path_on_host, is_read_only, io_engine and rate_limiter",
				 "%s", bad_drive);
	c->has_read_only = c->has_io_engine = file;
	return 0;
}

const struct body_table body_drive = {
	TABLE(drive_config, drive_fields),
	.check = check_drive,
};

static const struct body_field drive_update_fields[] = {
	{ .name = "drive_id", .type = BODY_ID, PLACE(drive_update, drive_id), .required = true },
	{ .name = "path_on_host",
	  .type = BODY_STRING,
	  PLACE(drive_update, path_on_host),
	  .nullable = true,
	  .min = 1 },
	{ .name = "rate_limiter",
	  .type = BODY_OBJECT,
	  PLACE(drive_update, rate_limiter),
	  MARK(drive_update, has_rate_limiter),
	  .nullable = true,
	  .table = &body_rate_limiter },
};
const struct body_table body_drive_update = { TABLE(drive_update, drive_update_fields) };

/* An IPv4 packet's least, and what the driver's field can hold. */
enum { MIN_MTU = 68 };

static const struct body_field net_fields[] = {
	{ .name = "iface_id", .type = BODY_ID, PLACE(net_config, iface_id), .required = true },
	{ .name = "host_dev_name",
	  .type = BODY_STRING,
	  PLACE(net_config, host_dev_name),
	  .nullable = true,
	  .min = 1 },
	{ .name = "guest_mac",
	  .type = BODY_STRING,
	  PLACE(net_config, guest_mac),
	  .nullable = true,
	  .min = NET_MAC_TEXT,
	  .fault = "The provided MAC address is invalid." },
	{ .name = "mtu",
	  .type = BODY_U64,
	  PLACE(net_config, mtu),
	  MARK(net_config, has_mtu),
	  .nullable = true,
	  .min = MIN_MTU,
	  .max = UINT16_MAX },
	{ .name = "rx_rate_limiter",
	  .type = BODY_OBJECT,
	  PLACE(net_config, rx_rate_limiter),
	  MARK(net_config, has_rx_rate_limiter),
	  .nullable = true,
	  .table = &body_rate_limiter },
	{ .name = "tx_rate_limiter",
	  .type = BODY_OBJECT,
	  PLACE(net_config, tx_rate_limiter),
	  MARK(net_config, has_tx_rate_limiter),
	  .nullable = true,
	  .table = &body_rate_limiter },
	/* wisp's own: Firecracker's interfaces are taps. */
	{ .name = "passt_socket",
	  .type = BODY_STRING,
	  PLACE(net_config, passt_socket),
	  .nullable = true,
	  .min = 1 },
	{ .name = "whole_frames",
	  .type = BODY_BOOL,
	  PLACE(net_config, whole_frames),
	  MARK(net_config, has_whole_frames),
	  .hidden = true },
};
const struct body_table body_net = { TABLE(net_config, net_fields) };

static const struct body_field net_update_fields[] = {
	{ .name = "iface_id", .type = BODY_ID, PLACE(net_update, iface_id), .required = true },
	{ .name = "rx_rate_limiter",
	  .type = BODY_OBJECT,
	  PLACE(net_update, rx_rate_limiter),
	  MARK(net_update, has_rx_rate_limiter),
	  .nullable = true,
	  .table = &body_rate_limiter },
	{ .name = "tx_rate_limiter",
	  .type = BODY_OBJECT,
	  PLACE(net_update, tx_rate_limiter),
	  MARK(net_update, has_tx_rate_limiter),
	  .nullable = true,
	  .table = &body_rate_limiter },
};
const struct body_table body_net_update = { TABLE(net_update, net_update_fields) };
static const struct body_field pmem_fields[] = {
	{ .name = "id", .type = BODY_ID, PLACE(pmem_config, id), .required = true },
	{ .name = "path_on_host",
	  .type = BODY_STRING,
	  PLACE(pmem_config, path_on_host),
	  .required = true,
	  .min = 1 },
	{ .name = "root_device", .type = BODY_BOOL, PLACE(pmem_config, root_device) },
	{ .name = "read_only", .type = BODY_BOOL, PLACE(pmem_config, read_only) },
	{ .name = "rate_limiter",
	  .type = BODY_OBJECT,
	  PLACE(pmem_config, rate_limiter),
	  MARK(pmem_config, has_rate_limiter),
	  .nullable = true,
	  .table = &body_rate_limiter },
};
const struct body_table body_pmem = { TABLE(pmem_config, pmem_fields) };

static const struct body_field pmem_update_fields[] = {
	{ .name = "id", .type = BODY_ID, PLACE(pmem_update, id), .required = true },
	{ .name = "rate_limiter",
	  .type = BODY_OBJECT,
	  PLACE(pmem_update, rate_limiter),
	  MARK(pmem_update, has_rate_limiter),
	  .nullable = true,
	  .table = &body_rate_limiter },
};
const struct body_table body_pmem_update = { TABLE(pmem_update, pmem_update_fields) };

static const struct body_field entropy_fields[] = {
	{ .name = "rate_limiter",
	  .type = BODY_OBJECT,
	  PLACE(entropy_config, rate_limiter),
	  MARK(entropy_config, has_rate_limiter),
	  .nullable = true,
	  .table = &body_rate_limiter },
};
const struct body_table body_entropy = { TABLE(entropy_config, entropy_fields) };

static const char balloon_too_large[] = "Amount of pages requested is too large.";

static const struct body_field balloon_fields[] = {
	{ .name = "amount_mib",
	  .type = BODY_U64,
	  PLACE(balloon_config, amount_mib),
	  .required = true,
	  .max = UINT32_MAX,
	  .fault = balloon_too_large },
	{ .name = "deflate_on_oom",
	  .type = BODY_BOOL,
	  PLACE(balloon_config, deflate_on_oom),
	  .required = true },
	{ .name = "stats_polling_interval_s",
	  .type = BODY_U64,
	  PLACE(balloon_config, stats_polling_interval_s),
	  .max = UINT16_MAX },
	{ .name = "free_page_hinting",
	  .type = BODY_BOOL,
	  PLACE(balloon_config, free_page_hinting) },
	{ .name = "free_page_reporting",
	  .type = BODY_BOOL,
	  PLACE(balloon_config, free_page_reporting) },
};
const struct body_table body_balloon = { TABLE(balloon_config, balloon_fields) };

static const struct body_field vsock_fields[] = {
	{ .name = "guest_cid",
	  .type = BODY_U64,
	  PLACE(vsock_config, guest_cid),
	  .required = true,
	  .min = VSOCK_MIN_CID,
	  .max = VSOCK_MAX_CID },
	{ .name = "uds_path",
	  .type = BODY_STRING,
	  PLACE(vsock_config, uds_path),
	  .required = true,
	  .min = 1 },
	{ .name = "vsock_id",
	  .type = BODY_STRING,
	  PLACE(vsock_config, vsock_id),
	  .nullable = true,
	  .hidden = true },
};
const struct body_table body_vsock = { TABLE(vsock_config, vsock_fields) };

static const char *const mmds_version_names[] = { [MMDS_V1] = "V1", [MMDS_V2] = "V2", NULL };

static const struct body_field mmds_fields[] = {
	{ .name = "version",
	  .type = BODY_ENUM,
	  PLACE(mmds_config, version),
	  .names = mmds_version_names },
	{ .name = "network_interfaces",
	  .type = BODY_STRINGS,
	  PLACE(mmds_config, network_interfaces),
	  MARK(mmds_config, ninterfaces),
	  .required = true,
	  .max = VM_MAX_NETS },
	{ .name = "ipv4_address",
	  .type = BODY_STRING,
	  PLACE(mmds_config, ipv4_address),
	  .nullable = true,
	  .min = 1 },
	{ .name = "imds_compat", .type = BODY_BOOL, PLACE(mmds_config, imds_compat) },
};
static const struct mmds_config mmds_default = MMDS_CONFIG_DEFAULT;
const struct body_table body_mmds = {
	TABLE(mmds_config, mmds_fields),
	.defaults = &mmds_default,
};

static const struct body_field memory_fields[] = {
	{ .name = "total_size_mib",
	  .type = BODY_U64,
	  PLACE(memory_hotplug_config, total_size_mib),
	  .required = true,
	  .max = UINT32_MAX },
	{ .name = "block_size_mib",
	  .type = BODY_U64,
	  PLACE(memory_hotplug_config, block_size_mib),
	  .max = UINT32_MAX },
	{ .name = "slot_size_mib",
	  .type = BODY_U64,
	  PLACE(memory_hotplug_config, slot_size_mib),
	  .max = UINT32_MAX },
};
static const struct memory_hotplug_config memory_default = MEMORY_HOTPLUG_DEFAULT;
const struct body_table body_memory = {
	TABLE(memory_hotplug_config, memory_fields),
	.defaults = &memory_default,
};

static const struct body_field memory_target_fields[] = {
	{ .name = "requested_size_mib",
	  .type = BODY_U64,
	  PLACE(memory_target_config, requested_size_mib),
	  .required = true,
	  .max = UINT32_MAX },
};
const struct body_table body_memory_target = {
	TABLE(memory_target_config, memory_target_fields),
};

static const struct body_field shared_directory_fields[] = {
	{ .name = "tag",
	  .type = BODY_ID,
	  PLACE(shared_directory_config, tag),
	  .required = true,
	  .min = 1 },
	{ .name = "socket",
	  .type = BODY_STRING,
	  PLACE(shared_directory_config, socket),
	  .required = true,
	  .min = 1 },
};
const struct body_table body_shared_directory = {
	TABLE(shared_directory_config, shared_directory_fields),
};

static const struct body_field serial_fields[] = {
	{ .name = "serial_out_path",
	  .type = BODY_STRING,
	  PLACE(serial_config, serial_out_path),
	  .nullable = true,
	  .min = 1 },
	{ .name = "rate_limiter",
	  .type = BODY_OBJECT,
	  PLACE(serial_config, rate_limiter),
	  MARK(serial_config, has_rate_limiter),
	  .nullable = true,
	  .table = &body_token_bucket },
};
const struct body_table body_serial = { TABLE(serial_config, serial_fields) };

/* The ring is the guest's to fill: it takes this much of the host's memory. */
enum { MAX_HISTORY_BYTES = 16 * 1024 * 1024 };

static const struct body_field console_fields[] = {
	{ .name = "uds_path",
	  .type = BODY_STRING,
	  PLACE(console_config, uds_path),
	  .nullable = true,
	  .min = 1 },
	{ .name = "pty_path",
	  .type = BODY_STRING,
	  PLACE(console_config, pty_path),
	  .nullable = true,
	  .min = 1 },
	{ .name = "history_bytes",
	  .type = BODY_U64,
	  PLACE(console_config, history_bytes),
	  .min = 1,
	  .max = MAX_HISTORY_BYTES },
	{ .name = "rate_limiter",
	  .type = BODY_OBJECT,
	  PLACE(console_config, rate_limiter),
	  MARK(console_config, has_rate_limiter),
	  .nullable = true,
	  .table = &body_token_bucket },
};
static const struct console_config console_default = CONSOLE_CONFIG_DEFAULT;
const struct body_table body_console = {
	TABLE(console_config, console_fields),
	.defaults = &console_default,
};

static const struct body_field target_fields[] = {
	{ .name = "amount_mib",
	  .type = BODY_U64,
	  PLACE(balloon_target_config, amount_mib),
	  .required = true,
	  .max = UINT32_MAX,
	  .fault = balloon_too_large },
};
const struct body_table body_target = {
	TABLE(balloon_target_config, target_fields),
};

static const struct body_field hinting_fields[] = {
	{ .name = "acknowledge_on_stop",
	  .type = BODY_BOOL,
	  PLACE(hinting_config, acknowledge_on_stop) },
};
static const struct hinting_config hinting_default = { .acknowledge_on_stop = true };
const struct body_table body_hinting = {
	TABLE(hinting_config, hinting_fields),
	.defaults = &hinting_default,
};

static const struct body_field polling_fields[] = {
	{ .name = "stats_polling_interval_s",
	  .type = BODY_U64,
	  PLACE(balloon_polling_config, stats_polling_interval_s),
	  .required = true,
	  .max = UINT16_MAX },
};
const struct body_table body_polling = {
	TABLE(balloon_polling_config, polling_fields),
};
