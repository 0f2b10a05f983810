/* test_routes.c - requests against the dispatcher and a fake machine: what status
 * and message each gets, and what the machine was told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/routes.h"
#include "api/schema.h"
#include "tests/unit/fake_vm.h"

#define ALREADY	 "The requested operation is not supported after starting the microVM."
#define NOT_YET	 "The requested operation is not supported before starting the microVM."
#define BAD_JSON "An error occurred when deserializing the json body of a request: "
#define NO_ROUTE "Invalid request method and/or path: "
#define VCPUS                                                                                       \
	"The number of vCPUs must be greater than 0, less than 32 and must be 1 or an even number " \
	"if SMT is enabled."
#define MEMORY "The memory size (MiB) is either 0, or not a multiple of the configured page size."
#define NET    "\"iface_id\":\"n\""
#define FILES  "\"snapshot_path\":\"/nonexistent\",\"mem_file_path\":\"m\""
#define DRIVE  "\"drive_id\":\"d\",\"is_root_device\":false"
#define PMEM   "\"id\":\"p\",\"path_on_host\":\"/p\""
#define LIMITER                                                                \
	"{\"ops\":{\"size\":1,\"refill_time\":100},\"bandwidth\":{\"size\":1," \
	"\"refill_time\":1}}"

struct row {
	enum http_verb verb;
	const char *path;
	const char *body;    /* NULL: none */
	int status;	     /* 0: 400 */
	const char *message; /* how a 400's fault message begins, or a 200's body */
	const char *calls;   /* what the machine was told; NULL: nothing */
	enum vm_state state; /* of the machine; 0: not started */
};

static const struct row good[] = {
	{ VERB_GET, "/", NULL, 200,
	  .message = "{\"id\":\"fake\",\"state\":\"Not started\",\"vmm_version\":\"" WISP_VERSION
		     "\",\"app_name\":\"wisp\"}" },
	{ VERB_GET, "/", NULL, 200, .message = "{\"id\":\"fake\",\"state\":\"Running\"",
	  .state = VM_RUNNING },
	{ VERB_GET, "/", NULL, 200, .message = "{\"id\":\"fake\",\"state\":\"Paused\"",
	  .state = VM_PAUSED },
	{ VERB_GET, "/version", NULL, 200, .message = "{\"firecracker_version\":\"1." },
	{ VERB_GET, "/version", NULL, 200, .message = "{\"firecracker_version\":\"1.",
	  .state = VM_PAUSED },
	{ VERB_GET, "/machine-config", NULL, 200,
	  .message =
		  "{\"vcpu_count\":1,\"mem_size_mib\":128,\"smt\":false,\"track_dirty_pages\":false,"
		  "\"huge_pages\":\"None\"}" },
	{ VERB_GET, "/machine-config", NULL, 200, .message = "{\"vcpu_count\":1,",
	  .state = VM_RUNNING },
	{ VERB_GET, "/vm/config", NULL, 200,
	  .message =
		  "{\"balloon\":null,\"drives\":[],\"boot-source\":null,\"cpu-config\":null,"
		  "\"logger\":{\"log_path\":null,\"level\":\"Info\",\"show_level\":false,"
		  "\"show_log_origin\":false,\"module\":null},\"machine-config\":{\"vcpu_count\":1,\"mem_size_mib\":128,"
		  "\"smt\":false,\"track_dirty_pages\":false,\"huge_pages\":\"None\"},\"metrics\":null,"
		  "\"mmds-config\":null,\"network-interfaces\":[],\"vsock\":null,"
		  "\"console\":null,\"entropy\":null,"
		  "\"pmem\":[],\"memory-hotplug\":null,\"shared-directories\":[]}" },
	{ VERB_GET, "/metrics", NULL, 200,
	  .message = "# TYPE wisp_info gauge\nwisp_info{id=\"fake\",version=" },
	{ VERB_GET, "/events", NULL, 200, .message = "event: state\ndata: {\"state\":\"Running\",",
	  .state = VM_RUNNING },
	{ VERB_GET, "/metrics", NULL, 200, .message = "# TYPE wisp_info", .state = VM_PAUSED },
	{ VERB_PUT, "/logger", "{\"format\":\"Json\"}", 204, .message = "",
	  .calls = "put_logger " },
	{ VERB_PUT, "/logger", "{\"level\":\"Debug\"}", 204, .message = "",
	  .calls = "put_logger " },
	{ VERB_PUT, "/logger", "{}", 204, .message = "", .calls = "put_logger " },
	{ VERB_PUT, "/metrics", "{\"metrics_path\":\"/dev/null\",\"unknown\":1}", 204,
	  .message = "", .calls = "put_metrics " },
	{ VERB_PUT, "/metrics",
	  "{\"metrics_path\":\"m\",\"emit_id\":true,\"properties\":{\"a\":\"b\",\"\":\"\"}}", 204,
	  .message = "", .calls = "put_metrics " },
	{ VERB_PUT, "/metrics", "{\"metrics_path\":\"m\",\"properties\":null}", 204, .message = "",
	  .calls = "put_metrics " },
	{ VERB_PUT, "/cpu-config", "{}", 204, .message = "", .calls = "put_cpu " },
	{ VERB_PUT, "/cpu-config",
	  "{\"kvm_capabilities\":[\"171\",\"!172\"],\"cpuid_modifiers\":[{\"leaf\":\"0x1\","
	  "\"subleaf\":\"0x0\",\"flags\":0,\"modifiers\":[{\"register\":\"edx\",\"bitmap\":"
	  "\"0b01x\"}]}],\"msr_modifiers\":[{\"addr\":\"0x10a\",\"bitmap\":\"0b1\"}]}",
	  204, .message = "", .calls = "put_cpu " },
	{ VERB_PUT, "/actions", "{\"action_type\":\"FlushMetrics\"}", 204, .message = "",
	  .calls = "flush_metrics ", .state = VM_PAUSED },
	{ VERB_PUT, "/boot-source", "{\"kernel_image_path\":\"k\"}", 204, .message = "",
	  .calls = "put_boot_source " },
	{ VERB_PUT, "/boot-source",
	  "{\"kernel_image_path\":\"k\",\"initrd_path\":\"i\",\"boot_args\":\"a b\"}", 204,
	  .message = "", .calls = "put_boot_source " },
	{ VERB_PUT, "/boot-source",
	  "{\"kernel_image_path\":\"k\",\"initrd_path\":null,\"boot_args\":null}", 204,
	  .message = "", .calls = "put_boot_source " },
	{ VERB_PUT, "/boot-source", "{\"kernel_image_path\":\"k\",\"boot_args\":\"\"}", 204,
	  .message = "", .calls = "put_boot_source " },
	{ VERB_PUT, "/machine-config", "{\"vcpu_count\":2,\"mem_size_mib\":256}", 204,
	  .message = "", .calls = "put_machine " },
	{ VERB_PUT, "/machine-config",
	  "{\"vcpu_count\":32,\"mem_size_mib\":1,\"smt\":true,\"track_dirty_pages\":true,"
	  "\"huge_pages\":\"2M\",\"cpu_template\":\"None\"}",
	  204, .message = "", .calls = "put_machine " },
	{ VERB_PUT, "/machine-config",
	  "{\"vcpu_count\":1,\"mem_size_mib\":2,\"huge_pages\":\"Transparent\","
	  "\"cpu_template\":null}",
	  204, .message = "", .calls = "put_machine " },
	{ VERB_PUT, "/machine-config",
	  "{\"vcpu_count\":1,\"mem_size_mib\":2,\"cpu_template\":\"T2CL\"}", 204, .message = "",
	  .calls = "put_machine " },
	{ VERB_PATCH, "/machine-config", "{\"cpu_template\":\"T2A\"}", 204, .message = "",
	  .calls = "put_machine " },
	{ VERB_PATCH, "/machine-config", "{\"vcpu_count\":4}", 204, .message = "",
	  .calls = "put_machine " },
	{ VERB_PATCH, "/machine-config", " {\"smt\":true,\"mem_size_mib\":null}\n", 204,
	  .message = "", .calls = "put_machine " },
	{ VERB_PUT, "/snapshot/create", "{" FILES "}", 204, .message = "", .calls = "save ",
	  .state = VM_PAUSED },
	{ VERB_PUT, "/snapshot/create", "{" FILES ",\"snapshot_type\":\"Diff\"}", 204,
	  .message = "", .calls = "save ", .state = VM_PAUSED },
	/* Answered later. */
	{ VERB_PUT, "/snapshot/create", "{" FILES ",\"live\":true}", 204, .message = "",
	  .calls = "save_live ", .state = VM_RUNNING },
	{ VERB_PUT, "/snapshot/create", "{" FILES ",\"live\":true}", 204, .message = "",
	  .calls = "save_live ", .state = VM_PAUSED },
	{ VERB_PUT, "/snapshot/create", "{" FILES ",\"live\":true,\"resume_vm\":true}", 204,
	  .message = "", .calls = "save_live ", .state = VM_PAUSED },
	{ VERB_PUT, "/snapshot/working-set", "{\"working_set_path\":\"w\"}", 204, .message = "",
	  .calls = "save_working_set ", .state = VM_RUNNING },
	{ VERB_PUT, "/snapshot/working-set", "{\"working_set_path\":\"w\"}", 204, .message = "",
	  .calls = "save_working_set ", .state = VM_PAUSED },
	{ VERB_PUT, "/drives/d", "{" DRIVE ",\"path_on_host\":\"p\"}", 204, .message = "",
	  .calls = "put_drive " },
	{ VERB_PUT, "/mmds/config", "{\"network_interfaces\":[\"n\",\"m\"]}", 204, .message = "",
	  .calls = "put_mmds " },
	{ VERB_PUT, "/mmds/config",
	  "{\"network_interfaces\":[\"n\"],\"version\":\"V2\",\"ipv4_address\":\"169.254.1.1\","
	  "\"imds_compat\":true}",
	  204, .message = "", .calls = "put_mmds " },
	{ VERB_PUT, "/mmds/config", "{\"network_interfaces\":[\"n\"],\"ipv4_address\":null}", 204,
	  .message = "", .calls = "put_mmds " },
	{ VERB_GET, "/mmds", NULL, 200, .message = "{}" },
	{ VERB_GET, "/mmds", NULL, 200, .message = "{}", .state = VM_RUNNING },
	{ VERB_PUT, "/mmds", "{\"a\":{\"b\":[1,null]}}", 204, .message = "",
	  .calls = "put_metadata " },
	{ VERB_PUT, "/mmds", "[]", 204, .message = "", .calls = "put_metadata ",
	  .state = VM_PAUSED },
	{ VERB_PATCH, "/mmds", "{\"a\":null}", 204, .message = "", .calls = "patch_metadata " },
	{ VERB_PATCH, "/mmds", "{}", 204, .message = "", .calls = "patch_metadata ",
	  .state = VM_RUNNING },
	{ VERB_PUT, "/drives/d",
	  "{" DRIVE ",\"path_on_host\":\"p\",\"is_read_only\":true,\"partuuid\":\"u\","
	  "\"cache_type\":\"Writeback\",\"io_engine\":\"Sync\",\"rate_limiter\":null,"
	  "\"socket\":null}",
	  204, .message = "", .calls = "put_drive " },
	{ VERB_PUT, "/drives/d", "{" DRIVE ",\"path_on_host\":\"p\",\"is_read_only\":null}", 204,
	  .message = "", .calls = "put_drive " },
	{ VERB_PUT, "/drives/d", "{" DRIVE ",\"path_on_host\":\"p\",\"io_engine\":\"Direct\"}", 204,
	  .message = "", .calls = "put_drive " },
	{ VERB_PUT, "/drives/d",
	  "{" DRIVE ",\"path_on_host\":\"p\",\"io_engine\":\"Async\",\"rate_limiter\":" LIMITER "}",
	  204, .message = "", .calls = "put_drive " },
	{ VERB_PUT, "/drives/d", "{" DRIVE ",\"path_on_host\":\"p\",\"rate_limiter\":{}}", 204,
	  .message = "", .calls = "put_drive " },
	{ VERB_PUT, "/drives/d",
	  "{" DRIVE ",\"path_on_host\":\"p\",\"rate_limiter\":{\"bandwidth\":{\"size\":0,"
	  "\"refill_time\":0,\"one_time_burst\":null},\"ops\":null}}",
	  204, .message = "", .calls = "put_drive " },
	{ VERB_PUT, "/drives/d", "{" DRIVE ",\"path_on_host\":\"p\"}", 204, .message = "",
	  .calls = "put_drive ", .state = VM_RUNNING },
	{ VERB_DELETE, "/drives/d", NULL, 204, .message = "", .calls = "delete_drive ",
	  .state = VM_RUNNING },
	{ VERB_DELETE, "/drives/d", NULL, 204, .message = "", .calls = "delete_drive ",
	  .state = VM_PAUSED },
	{ VERB_PUT, "/network-interfaces/n", "{" NET ",\"host_dev_name\":\"t\"}", 204,
	  .message = "", .calls = "put_net ", .state = VM_RUNNING },
	{ VERB_DELETE, "/network-interfaces/n", NULL, 204, .message = "", .calls = "delete_net ",
	  .state = VM_RUNNING },
	{ VERB_PATCH, "/drives/d", "{\"drive_id\":\"d\",\"path_on_host\":\"p\"}", 204,
	  .message = "", .calls = "patch_drive ", .state = VM_RUNNING },
	{ VERB_PATCH, "/drives/d",
	  "{\"drive_id\":\"d\",\"path_on_host\":null,\"rate_limiter\":" LIMITER "}", 204,
	  .message = "", .calls = "patch_drive ", .state = VM_PAUSED },
	{ VERB_PATCH, "/drives/d", "{\"drive_id\":\"d\",\"rate_limiter\":{}}", 204, .message = "",
	  .calls = "patch_drive ", .state = VM_RUNNING },
	{ VERB_PUT, "/network-interfaces/n", "{" NET ",\"host_dev_name\":\"tap0\"}", 204,
	  .message = "", .calls = "put_net " },
	{ VERB_PUT, "/network-interfaces/n",
	  "{" NET ",\"host_dev_name\":\"tap0123456789ab\",\"guest_mac\":\"06:00:AC:10:00:02\","
	  "\"mtu\":65535,\"rx_rate_limiter\":" LIMITER ",\"tx_rate_limiter\":" LIMITER "}",
	  204, .message = "", .calls = "put_net " },
	{ VERB_PUT, "/network-interfaces/n",
	  "{" NET ",\"host_dev_name\":null,\"guest_mac\":null,\"mtu\":null,"
	  "\"rx_rate_limiter\":null,\"tx_rate_limiter\":null,\"passt_socket\":\"/p\"}",
	  204, .message = "", .calls = "put_net " },
	{ VERB_PUT, "/network-interfaces/n", "{" NET ",\"whole_frames\":true}", 204, .message = "",
	  .calls = "put_net " },
	{ VERB_PUT, "/network-interfaces/n", "{" NET ",\"mtu\":68}", 204, .message = "",
	  .calls = "put_net " },
	{ VERB_PATCH, "/network-interfaces/n",
	  "{" NET ",\"rx_rate_limiter\":" LIMITER ",\"tx_rate_limiter\":{}}", 204, .message = "",
	  .calls = "patch_net ", .state = VM_RUNNING },
	{ VERB_PATCH, "/network-interfaces/n", "{" NET "}", 204, .message = "",
	  .calls = "patch_net ", .state = VM_PAUSED },
	{ VERB_PUT, "/pmem/p", "{" PMEM "}", 204, .message = "", .calls = "put_pmem " },
	{ VERB_PUT, "/pmem/p",
	  "{" PMEM ",\"root_device\":true,\"read_only\":true,\"rate_limiter\":" LIMITER "}", 204,
	  .message = "", .calls = "put_pmem " },
	{ VERB_PUT, "/pmem/p", "{" PMEM "}", 204, .message = "", .calls = "put_pmem ",
	  .state = VM_RUNNING },
	{ VERB_DELETE, "/pmem/p", NULL, 204, .message = "", .calls = "delete_pmem ",
	  .state = VM_RUNNING },
	{ VERB_PATCH, "/pmem/p", "{\"id\":\"p\",\"rate_limiter\":" LIMITER "}", 204, .message = "",
	  .calls = "patch_pmem ", .state = VM_RUNNING },
	{ VERB_PATCH, "/pmem/p", "{\"id\":\"p\",\"rate_limiter\":null}", 204, .message = "",
	  .calls = "patch_pmem ", .state = VM_PAUSED },
	{ VERB_PUT, "/hotplug/memory", "{\"total_size_mib\":1024}", 204, .message = "",
	  .calls = "put_memory " },
	{ VERB_PUT, "/hotplug/memory",
	  "{\"total_size_mib\":1024,\"block_size_mib\":4,\"slot_size_mib\":256}", 204,
	  .message = "", .calls = "put_memory " },
	{ VERB_PATCH, "/hotplug/memory", "{\"requested_size_mib\":512}", 204, .message = "",
	  .calls = "patch_memory ", .state = VM_RUNNING },
	{ VERB_PATCH, "/hotplug/memory", "{\"requested_size_mib\":0}", 204, .message = "",
	  .calls = "patch_memory ", .state = VM_PAUSED },
	{ VERB_PUT, "/drives/d",
	  "{" DRIVE ",\"socket\":\"s\",\"path_on_host\":null,\"is_read_only\":null,"
	  "\"io_engine\":null,\"rate_limiter\":null,\"cache_type\":\"Writeback\"}",
	  204, .message = "", .calls = "put_drive " },
	{ VERB_PUT, "/shared-directories/a_1", "{\"tag\":\"a_1\",\"socket\":\"s\"}", 204,
	  .message = "", .calls = "put_shared_directory " },
	{ VERB_PUT, "/shared-directories/a", "{\"tag\":\"a\",\"socket\":\"s\"}", 204, .message = "",
	  .calls = "put_shared_directory ", .state = VM_RUNNING },
	{ VERB_DELETE, "/shared-directories/a", NULL, 204, .message = "",
	  .calls = "delete_shared_directory ", .state = VM_PAUSED },
	{ VERB_PATCH, "/balloon/hinting/start", NULL, 204, .message = "", .calls = "start_hinting ",
	  .state = VM_RUNNING },
	{ VERB_PATCH, "/balloon/hinting/start", "{}", 204, .message = "", .calls = "start_hinting ",
	  .state = VM_PAUSED },
	{ VERB_PATCH, "/balloon/hinting/start", "{\"acknowledge_on_stop\":false}", 204,
	  .message = "", .calls = "start_hinting_unacknowledged ", .state = VM_RUNNING },
	{ VERB_PATCH, "/balloon/hinting/stop", NULL, 204, .message = "", .calls = "stop_hinting ",
	  .state = VM_RUNNING },
	{ VERB_PATCH, "/balloon/hinting/stop", "{}", 204, .message = "", .calls = "stop_hinting ",
	  .state = VM_RUNNING },
	{ VERB_GET, "/balloon/hinting/status", NULL, 200,
	  .message = "{\"host_cmd\":5,\"guest_cmd\":null}", .calls = "hinting ",
	  .state = VM_RUNNING },
	{ VERB_PUT, "/entropy", "{}", 204, .message = "", .calls = "put_entropy " },
	{ VERB_PUT, "/entropy", "{\"rate_limiter\":null}", 204, .message = "",
	  .calls = "put_entropy " },
	{ VERB_PUT, "/entropy", "{\"rate_limiter\":" LIMITER "}", 204, .message = "",
	  .calls = "put_entropy " },
	{ VERB_PUT, "/entropy", "{\"rate_limiter\":{}}", 204, .message = "",
	  .calls = "put_entropy " },
	{ VERB_PUT, "/balloon", "{\"amount_mib\":0,\"deflate_on_oom\":false}", 204, .message = "",
	  .calls = "put_balloon " },
	{ VERB_PUT, "/balloon",
	  "{\"amount_mib\":4294967295,\"deflate_on_oom\":true,\"stats_polling_interval_s\":65535,"
	  "\"free_page_hinting\":false,\"free_page_reporting\":true}",
	  204, .message = "", .calls = "put_balloon " },
	{ VERB_PUT, "/serial", "{}", 204, .message = "", .calls = "put_serial " },
	{ VERB_PUT, "/serial",
	  "{\"serial_out_path\":\"/s\",\"rate_limiter\":{\"size\":1,\"refill_time\":1}}", 204,
	  .message = "", .calls = "put_serial " },
	{ VERB_PUT, "/console", "{\"uds_path\":\"c\"}", 204, .message = "",
	  .calls = "put_console " },
	{ VERB_PUT, "/console",
	  "{\"uds_path\":null,\"pty_path\":\"p\",\"history_bytes\":16777216,"
	  "\"rate_limiter\":{\"size\":1,\"refill_time\":1}}",
	  204, .message = "", .calls = "put_console " },
	{ VERB_PUT, "/vsock", "{\"guest_cid\":3,\"uds_path\":\"/v\"}", 204, .message = "",
	  .calls = "put_vsock " },
	{ VERB_PUT, "/vsock", "{\"guest_cid\":4294967294,\"uds_path\":\"v\",\"vsock_id\":null}",
	  204, .message = "", .calls = "put_vsock " },
	{ VERB_PATCH, "/balloon", "{\"amount_mib\":64}", 204, .message = "",
	  .calls = "patch_balloon ", .state = VM_RUNNING },
	{ VERB_PATCH, "/balloon", "{\"amount_mib\":0}", 204, .message = "",
	  .calls = "patch_balloon ", .state = VM_PAUSED },
	{ VERB_PATCH, "/balloon/statistics", "{\"stats_polling_interval_s\":3}", 204, .message = "",
	  .calls = "patch_balloon_statistics ", .state = VM_RUNNING },
	{ VERB_GET, "/balloon/statistics", NULL, 200,
	  .message = "{\"target_pages\":768,\"actual_pages\":257,\"target_mib\":3,"
		     "\"actual_mib\":1,\"free_memory\":9223372036854775807,"
		     "\"direct_reclaim\":0}",
	  .calls = "balloon_statistics ", .state = VM_RUNNING },
	{ VERB_PUT, "/actions", "{\"action_type\":\"InstanceStart\"}", 204, .message = "",
	  .calls = "start " },
	{ VERB_PUT, "/actions", "{\"action_type\":\"SendCtrlAltDel\"}", 204, .message = "",
	  .calls = "ctrl_alt_del ", .state = VM_RUNNING },
	{ VERB_PUT, "/actions", "{\"action_type\":\"SendCtrlAltDel\"}", 204, .message = "",
	  .calls = "ctrl_alt_del ", .state = VM_PAUSED },
	{ VERB_PUT, "/actions", "{\"action_type\":\"PowerButton\"}", 204, .message = "",
	  .calls = "power_button ", .state = VM_RUNNING },
	{ VERB_PATCH, "/vm", "{\"state\":\"Paused\"}", 204, .message = "", .calls = "pause ",
	  .state = VM_RUNNING },
	{ VERB_PATCH, "/vm", "{\"state\":\"Paused\"}", 204, .message = "", .calls = "pause ",
	  .state = VM_PAUSED },
	{ VERB_PATCH, "/vm", "{\"state\":\"Resumed\"}", 204, .message = "", .calls = "resume ",
	  .state = VM_PAUSED },
	{ VERB_PATCH, "/vm", "{\"state\":\"Resumed\"}", 204, .message = "", .calls = "resume ",
	  .state = VM_RUNNING },
};

static const struct row bad[] = {
	{ VERB_PUT, "/snapshot/create", "{" FILES "}",
	  .message = "The requested operation is not supported before starting the microVM." },
	{ VERB_PUT, "/snapshot/create", "{" FILES "}",
	  .message = "The requested operation is not supported after starting the microVM.",
	  .state = VM_RUNNING },
	{ VERB_PUT, "/snapshot/create", "{" FILES ",\"live\":true}",
	  .message = "The requested operation is not supported before starting the microVM." },
	{ VERB_PUT, "/snapshot/create", "{" FILES ",\"live\":1}",
	  .message = BAD_JSON "invalid type", .state = VM_RUNNING },
	{ VERB_PUT, "/snapshot/create", "{" FILES ",\"live\":true,\"snapshot_type\":\"Diff\"}",
	  .message = "A live snapshot is a Full one", .state = VM_RUNNING },
	{ VERB_PUT, "/snapshot/create", "{" FILES ",\"resume_vm\":true}",
	  .message = "Only a live create can resume the guest", .state = VM_PAUSED },
	{ VERB_PUT, "/snapshot/create", "{\"snapshot_path\":\"s\"}",
	  .message = BAD_JSON "missing field `mem_file_path`", .state = VM_PAUSED },
	{ VERB_PUT, "/snapshot/create", "{" FILES ",\"snapshot_type\":\"Half\"}",
	  .message = BAD_JSON "unknown variant `Half`", .state = VM_PAUSED },
	{ VERB_PUT, "/snapshot/load", "{" FILES "}",
	  .message = "The requested operation is not supported after starting the microVM.",
	  .state = VM_RUNNING },
	{ VERB_PUT, "/snapshot/load", "{\"snapshot_path\":\"/nonexistent\"}",
	  .message = "missing field: either `mem_backend` or `mem_file_path` is required" },
	{ VERB_PUT, "/snapshot/load",
	  "{" FILES ",\"mem_backend\":{\"backend_type\":\"File\",\"backend_path\":\"m\"}}",
	  .message = "too many fields: either `mem_backend` or `mem_file_path`" },
	{ VERB_PUT, "/snapshot/load",
	  "{\"snapshot_path\":\"s\",\"mem_backend\":{\"backend_type\":\"Uffd\"}}",
	  .message = BAD_JSON "missing field `backend_path`" },
	{ VERB_PUT, "/snapshot/load", "{" FILES ",\"huge_pages\":\"Snapshot\",\"x\":1}",
	  .message = BAD_JSON "unknown field `x`" },
	{ VERB_PUT, "/snapshot/load", "{" FILES ",\"pmem_overrides\":[{\"id\":\"p\"}]}",
	  .message = BAD_JSON "missing field `path_on_host`" },
	{ VERB_PUT, "/snapshot/load", "{" FILES ",\"console_override\":{\"pty_path\":\"p\"}}",
	  .message = BAD_JSON "unknown field `pty_path`" },
	{ VERB_PUT, "/snapshot/load", "{" FILES ",\"allow_changed_disks\":1}",
	  .message = BAD_JSON "invalid type" },
	{ VERB_PUT, "/snapshot/load",
	  "{" FILES ",\"allow_changed_disks\":true,\"console_override\":{\"uds_path\":\"c\"},"
	  "\"pmem_overrides\":[{\"id\":\"p\",\"path_on_host\":\"f\"}],\"network_overrides\":"
	  "[{\"iface_id\":\"n\",\"host_dev_name\":\"t\",\"guest_mac\":\"06:00:00:00:00:01\"}]}",
	  .message = "The state /nonexistent cannot be opened", .calls = "forget " },
	{ VERB_PUT, "/snapshot/load", "{" FILES ",\"huge_pages\":\"Snapshot\"}",
	  .message = "The state /nonexistent cannot be opened", .calls = "forget " },
	{ VERB_PUT, "/snapshot/load",
	  "{" FILES ",\"mmds_data\":{\"a\":[1,{\"b\":null}]},\"vsock_override\":"
	  "{\"uds_path\":\"v\",\"guest_cid\":9}}",
	  .message = "The state /nonexistent cannot be opened", .calls = "forget " },
	{ VERB_PUT, "/snapshot/load", "{" FILES ",\"mmds_data\":[]}",
	  .message = BAD_JSON "invalid type" },
	{ VERB_PUT, "/snapshot/load",
	  "{" FILES ",\"vsock_override\":{\"uds_path\":\"v\",\"guest_cid\":2}}",
	  .message = "The value of guest_cid is out of range" },
	{ VERB_PUT, "/snapshot/load", "{" FILES ",\"working_set_path\":\"w\"}",
	  .message = "The state /nonexistent cannot be opened", .calls = "forget " },
	{ VERB_PUT, "/snapshot/load", "{" FILES ",\"working_set_path\":\"\"}",
	  .message = "The value of working_set_path is out of range" },
	{ VERB_PUT, "/snapshot/load",
	  "{\"snapshot_path\":\"s\",\"working_set_path\":\"w\",\"mem_backend\":"
	  "{\"backend_type\":\"Uffd\",\"backend_path\":\"p\"}}",
	  .message = "What is brought before it is asked for, the handler decides" },
	{ VERB_PUT, "/snapshot/working-set", "{\"working_set_path\":\"w\"}",
	  .message = "The requested operation is not supported before starting the microVM." },
	{ VERB_PUT, "/snapshot/working-set", "{}",
	  .message = BAD_JSON "missing field `working_set_path`", .state = VM_RUNNING },
	/* routing */
	{ VERB_GET, "/nope", .message = NO_ROUTE "GET nope." },
	{ VERB_GET, "", .message = NO_ROUTE "GET ." },
	{ VERB_GET, "//", .message = NO_ROUTE "GET /." },
	{ VERB_GET, "/version/", .message = NO_ROUTE "GET version/." },
	{ VERB_GET, "/versions", .message = NO_ROUTE "GET versions." },
	{ VERB_GET, "/vm", .message = NO_ROUTE "GET vm." },
	{ VERB_GET, "/boot-source", .message = NO_ROUTE "GET boot-source." },
	{ VERB_GET, "/drives/d", .message = NO_ROUTE "GET drives/d." },
	{ VERB_GET, "/machine-config?x=1", .message = NO_ROUTE "GET machine-config?x=1." },
	{ VERB_PUT, "/nope", "{}", .message = NO_ROUTE "PUT nope." },
	{ VERB_PUT, "/", "{}", .message = NO_ROUTE "PUT ." },
	{ VERB_PUT, "/version", "{}", .message = NO_ROUTE "PUT version." },
	{ VERB_PUT, "/vm", "{}", .message = NO_ROUTE "PUT vm." },
	{ VERB_PUT, "/drives/a/b", "{}", .message = NO_ROUTE "PUT drives/a/b." },
	{ VERB_PUT, "/drivesx", "{}", .message = NO_ROUTE "PUT drivesx." },
	{ VERB_GET, "/console", .message = NO_ROUTE "GET console." },
	{ VERB_GET, "/vsock", .message = NO_ROUTE "GET vsock." },
	{ VERB_DELETE, "/balloon", .message = NO_ROUTE "DELETE balloon." },
	{ VERB_PUT, "/balloon/statistics", "{}", .message = NO_ROUTE "PUT balloon/statistics." },
	{ VERB_PATCH, "/balloon/hinting", "{}", .message = NO_ROUTE "PATCH balloon/hinting." },
	{ VERB_PUT, "/balloon/hinting/start", "{}",
	  .message = NO_ROUTE "PUT balloon/hinting/start." },
	{ VERB_PATCH, "/balloon/hinting/start", "{\"acknowledge_on_stop\":1}",
	  .message = BAD_JSON "invalid type: integer", .state = VM_RUNNING },
	{ VERB_PATCH, "/balloon/hinting/start", "{}", .message = NOT_YET },
	{ VERB_PATCH, "/balloon/hinting/stop", .message = NOT_YET },
	{ VERB_GET, "/balloon/hinting/status", .message = NOT_YET },
	{ VERB_GET, "/balloon/hinting/status", "{}", .message = "GET request cannot have a body.",
	  .state = VM_RUNNING },
	{ VERB_PATCH, "/boot-source", "{}", .message = NO_ROUTE "PATCH boot-source." },
	{ VERB_PATCH, "/actions", "{}", .message = NO_ROUTE "PATCH actions." },
	{ VERB_DELETE, "/entropy", .message = NO_ROUTE "DELETE entropy." },
	{ VERB_DELETE, "/drives", .message = "The ID cannot be empty." },
	{ VERB_DELETE, "/drives/a-b", .message = "API Resource IDs can only" },
	{ VERB_DELETE, "/", .message = NO_ROUTE "DELETE ." },
	/* presence of a body, before the path is looked at */
	{ VERB_GET, "/", "{}", .message = "GET request cannot have a body." },
	{ VERB_GET, "/nope", "{}", .message = "GET request cannot have a body." },
	{ VERB_PUT, "/boot-source", .message = "Empty PUT request." },
	{ VERB_PUT, "/nope", .message = "Empty PUT request." },
	{ VERB_PATCH, "/vm", .message = "Empty PATCH request." },
	{ VERB_PATCH, "/machine-config", .message = "Empty PATCH request." },
	{ VERB_PATCH, "/machine-config", "{}", .message = "Empty PATCH request." },
	{ VERB_PATCH, "/machine-config", "{\"smt\":null}", .message = "Empty PATCH request." },
	{ VERB_DELETE, "/drives/d", "{}", .message = "Empty Delete request." },
	/* ids */
	{ VERB_PUT, "/drives", "{}", .message = "The ID cannot be empty." },
	{ VERB_PUT, "/drives/", "{}", .message = "The ID cannot be empty." },
	{ VERB_PUT, "/drives/a-b", "{}",
	  .message = "API Resource IDs can only contain alphanumeric characters and underscores." },
	{ VERB_PUT, "/drives/%2e%2e", "{}", .message = "API Resource IDs can only" },
	{ VERB_PUT, "/drives/caf\xc3\xa9", "{}", .message = "API Resource IDs can only" },
	{ VERB_PUT, "/drives/e", "{" DRIVE ",\"path_on_host\":\"p\"}",
	  .message = "The id from the path does not match the id from the body!" },
	{ VERB_PUT, "/drives/d",
	  "{\"drive_id\":\"\",\"is_root_device\":true,\"path_on_host\":\"p\"}",
	  .message = "The ID cannot be empty. (drive_id)" },
	{ VERB_PUT, "/drives/d",
	  "{\"drive_id\":\"a b\",\"is_root_device\":true,\"path_on_host\":\"p\"}",
	  .message = "API Resource IDs can only" },
	/* JSON itself */
	{ VERB_PUT, "/logger", "{\"level\":\"Loud\"}",
	  .message = BAD_JSON "unknown variant `Loud`, expected one of `Off`" },
	{ VERB_PUT, "/logger", "{\"level\":3}", .message = BAD_JSON },
	{ VERB_PUT, "/logger", "{\"path\":\"l\"}", .message = BAD_JSON "unknown field `path`" },
	{ VERB_PUT, "/logger", "{\"log_path\":\"\"}", .message = "" },
	{ VERB_PUT, "/cpu-config", "{\"kvm_capabilities\":[171]}", .message = BAD_JSON },
	{ VERB_PUT, "/cpu-config", "{\"kvm_capabilities\":\"171\"}", .message = BAD_JSON },
	{ VERB_PUT, "/cpu-config", "{\"kvm_capabilities\":[\"\"]}",
	  .message = "The value of kvm_capabilities is out of range." },
	{ VERB_PUT, "/cpu-config", "{\"cpuid_modifiers\":[{}]}",
	  .message = BAD_JSON "missing field `leaf`" },
	{ VERB_PUT, "/cpu-config",
	  "{\"cpuid_modifiers\":[{\"leaf\":\"0x1\",\"subleaf\":\"0x0\",\"flags\":0,\"modifiers\":"
	  "[{\"register\":\"rax\",\"bitmap\":\"0b1\"}]}]}",
	  .message = BAD_JSON "unknown variant `rax`, expected one of `eax`, `ebx`, `ecx`, `edx`" },
	{ VERB_PUT, "/cpu-config", "{\"msr_modifiers\":[{\"addr\":\"0x1\"}]}",
	  .message = BAD_JSON "missing field `bitmap`" },
	{ VERB_PUT, "/cpu-config", "{\"reg_modifiers\":[]}",
	  .message = BAD_JSON "unknown field `reg_modifiers`" },
	{ VERB_PUT, "/cpu-config", "{}", .message = ALREADY, .state = VM_RUNNING },
	{ VERB_PUT, "/metrics", "{}", .message = BAD_JSON "missing field `metrics_path`" },
	{ VERB_PUT, "/metrics", "{\"metrics_path\":1}", .message = BAD_JSON },
	{ VERB_PUT, "/metrics", "{\"metrics_path\":\"m\",\"emit_id\":\"yes\"}",
	  .message = BAD_JSON "invalid type: string \"yes\", expected a boolean" },
	{ VERB_PUT, "/metrics", "{\"metrics_path\":\"m\",\"properties\":[]}",
	  .message = BAD_JSON "invalid type: sequence, expected a map" },
	{ VERB_PUT, "/metrics", "{\"metrics_path\":\"m\",\"properties\":{\"a\":1}}",
	  .message = BAD_JSON "invalid type: integer `1`, expected a string" },
	{ VERB_PUT, "/metrics", "{\"metrics_path\":\"m\",\"properties\":{\"a\":\"b\",\"a\":\"c\"}}",
	  .message = BAD_JSON "duplicate object key" },
	{ VERB_PUT, "/metrics", "{\"metrics_path\":\"m\"}", .message = ALREADY,
	  .state = VM_RUNNING },
	{ VERB_PUT, "/entropy", "{", .message = BAD_JSON },
	{ VERB_PUT, "/entropy", "{}x",
	  .message = BAD_JSON "end of file expected near 'x' at line 1" },
	{ VERB_PUT, "/entropy", "{,}", .message = BAD_JSON },
	{ VERB_PUT, "/entropy", "\n\n{]",
	  .message = BAD_JSON "string or '}' expected near ']' at line 3" },
	{ VERB_PUT, "/entropy", "// no\n{}", .message = BAD_JSON },
	{ VERB_PUT, "/entropy", "{'a':1}", .message = BAD_JSON },
	{ VERB_PUT, "/entropy", "{\"rate_limiter\":nul}", .message = BAD_JSON },
	{ VERB_PUT, "/entropy", "{\"\\u0000\":1}", .message = BAD_JSON },
	{ VERB_PUT, "/entropy", "{\"\xff\":1}", .message = BAD_JSON "unable to decode byte 0xff" },
	{ VERB_PUT, "/entropy", "[]",
	  .message = BAD_JSON "invalid type: sequence, expected an object" },
	{ VERB_PUT, "/entropy", "null", .message = BAD_JSON },
	{ VERB_PUT, "/entropy", "{\"rate_limiter\":null,\"rate_limiter\":null}",
	  .message = BAD_JSON "duplicate object key" },
	/* fields */
	{ VERB_PUT, "/boot-source", "{}",
	  .message = BAD_JSON "missing field `kernel_image_path` at line 1 column 2." },
	{ VERB_PUT, "/boot-source", "{\"kernel_image_path\":\"k\",\"kernel\":1}",
	  .message = BAD_JSON "unknown field `kernel`, expected one of `kernel_image_path`, "
			      "`initrd_path`, `boot_args`. (kernel)" },
	{ VERB_PUT, "/boot-source", "{\"kernel_image_path\":null}",
	  .message = BAD_JSON "invalid type: null, expected a string. (kernel_image_path)" },
	{ VERB_PUT, "/boot-source", "{\"kernel_image_path\":\"\"}",
	  .message = "The value of kernel_image_path is out of range. (kernel_image_path: it has 0 "
		     "bytes; 1 to 4095 is possible)" },
	{ VERB_PUT, "/boot-source", "{\"kernel_image_path\":7}",
	  .message = BAD_JSON "invalid type: integer `7`, expected a string." },
	{ VERB_PUT, "/boot-source", "{\"kernel_image_path\":\"k\",\"boot_args\":[]}",
	  .message = BAD_JSON "invalid type: sequence, expected a string. (boot_args)" },
	{ VERB_PUT, "/machine-config", "{\"mem_size_mib\": 128}",
	  .message = BAD_JSON "missing field `vcpu_count` at line 1 column 21." },
	{ VERB_PUT, "/machine-config", "{\"vcpu_count\": 2}",
	  .message = BAD_JSON "missing field `mem_size_mib` at line 1 column 17." },
	{ VERB_PUT, "/machine-config", "{\"vcpu_count\":0,\"mem_size_mib\":128}",
	  .message = VCPUS " (vcpu_count: it is 0; 1 to 32 is possible)" },
	{ VERB_PUT, "/machine-config", "{\"vcpu_count\":33,\"mem_size_mib\":128}",
	  .message = VCPUS },
	{ VERB_PUT, "/machine-config", "{\"vcpu_count\":-2,\"mem_size_mib\":128}",
	  .message = BAD_JSON "invalid value: integer `-2`, expected u64" },
	{ VERB_PUT, "/machine-config", "{\"vcpu_count\":1.5,\"mem_size_mib\":128}",
	  .message = BAD_JSON "invalid type: floating point `1.5`, expected u64" },
	{ VERB_PUT, "/machine-config", "{\"vcpu_count\":\"2\",\"mem_size_mib\":128}",
	  .message = BAD_JSON "invalid type: string \"2\", expected u64" },
	{ VERB_PUT, "/machine-config", "{\"vcpu_count\":true,\"mem_size_mib\":128}",
	  .message = BAD_JSON "invalid type: boolean `true`, expected u64" },
	{ VERB_PUT, "/machine-config", "{\"vcpu_count\":1,\"mem_size_mib\":0}", .message = MEMORY },
	{ VERB_PUT, "/machine-config", "{\"vcpu_count\":1,\"mem_size_mib\":9223372036854775807}",
	  .message = MEMORY },
	{ VERB_PUT, "/machine-config", "{\"vcpu_count\":1,\"mem_size_mib\":18446744073709551616}",
	  .message = BAD_JSON "invalid type" },
	{ VERB_PUT, "/machine-config", "{\"vcpu_count\":1,\"mem_size_mib\":1,\"smt\":\"yes\"}",
	  .message = BAD_JSON "invalid type: string \"yes\", expected a boolean. (smt)" },
	{ VERB_PUT, "/machine-config", "{\"vcpu_count\":1,\"mem_size_mib\":1,\"smt\":null}",
	  .message = BAD_JSON "invalid type: null, expected a boolean" },
	{ VERB_PUT, "/machine-config",
	  "{\"vcpu_count\":1,\"mem_size_mib\":1,\"huge_pages\":\"1G\"}",
	  .message =
		  BAD_JSON "unknown variant `1G`, expected one of `None`, `Transparent`, `2M`." },
	{ VERB_PUT, "/machine-config",
	  "{\"vcpu_count\":1,\"mem_size_mib\":1,\"huge_pages\":\"\\u000a\\u00e9\"}",
	  .message = BAD_JSON "unknown variant `???`" },
	{ VERB_PUT, "/machine-config", "{\"vcpu_count\":1,\"mem_size_mib\":1,\"huge_pages\":2}",
	  .message = BAD_JSON "invalid type: integer `2`, expected a string" },
	{ VERB_PUT, "/machine-config",
	  "{\"vcpu_count\":1,\"mem_size_mib\":1,\"cpu_template\":\"X\"}",
	  .message = BAD_JSON "unknown variant `X`, expected one of `None`, `C3`," },
	{ VERB_PATCH, "/machine-config", "{\"vcpu_count\":33}", .message = VCPUS },
	{ VERB_PATCH, "/machine-config", "{\"vcpus\":3}",
	  .message = BAD_JSON "unknown field `vcpus`" },
	{ VERB_PATCH, "/machine-config", "{\"smt\":1}", .message = BAD_JSON "invalid type" },
	{ VERB_PUT, "/drives/d", "{" DRIVE "}",
	  .message = "Invalid block config. (path_on_host: it is missing)" },
	{ VERB_PUT, "/drives/d", "{\"is_root_device\":true,\"path_on_host\":\"p\"}",
	  .message = BAD_JSON "missing field `drive_id`" },
	{ VERB_PUT, "/drives/d", "{\"drive_id\":\"d\",\"path_on_host\":\"p\"}",
	  .message = BAD_JSON "missing field `is_root_device`" },
	{ VERB_PUT, "/drives/d", "{" DRIVE ",\"path_on_host\":\"\"}",
	  .message = "Invalid block config." },
	{ VERB_PUT, "/drives/d", "{" DRIVE ",\"path_on_host\":\"p\",\"cache_type\":\"x\"}",
	  .message = BAD_JSON "unknown variant `x`, expected `Unsafe` or `Writeback`" },
	{ VERB_PUT, "/drives/d", "{" DRIVE ",\"path_on_host\":\"p\",\"io_engine\":\"async\"}",
	  .message =
		  BAD_JSON "unknown variant `async`, expected one of `Sync`, `Async`, `Direct`" },
	{ VERB_PUT, "/drives/d",
	  "{" DRIVE ",\"path_on_host\":\"p\",\"rate_limiter\":{\"ops\":{\"size\":1}}}",
	  .message = BAD_JSON "missing field `refill_time`" },
	{ VERB_PUT, "/drives/d",
	  "{" DRIVE ",\"path_on_host\":\"p\",\"rate_limiter\":{\"ops\":{\"size\":-1,"
	  "\"refill_time\":1}}}",
	  .message = BAD_JSON "invalid value: integer `-1`, expected u64" },
	{ VERB_PUT, "/drives/d",
	  "{" DRIVE ",\"path_on_host\":\"p\",\"rate_limiter\":{\"iops\":null}}",
	  .message = BAD_JSON "unknown field `iops`, expected `bandwidth` or `ops`" },
	{ VERB_PUT, "/drives/d", "{" DRIVE ",\"path_on_host\":\"p\",\"rate_limiter\":7}",
	  .message = BAD_JSON "invalid type: integer `7`" },
	{ VERB_PUT, "/drives/d", "{" DRIVE ",\"socket\":\"\"}",
	  .message = "Invalid block config." },
	{ VERB_PUT, "/drives/d", "{" DRIVE ",\"socket\":\"/s\",\"path_on_host\":\"p\"}",
	  .message = "Invalid block config. (socket: leave out path_on_host, is_read_only, " },
	{ VERB_PUT, "/drives/d", "{" DRIVE ",\"socket\":\"/s\",\"is_read_only\":false}",
	  .message = "Invalid block config. (socket: " },
	{ VERB_PUT, "/drives/d", "{" DRIVE ",\"socket\":\"/s\",\"io_engine\":\"Sync\"}",
	  .message = "Invalid block config. (socket: " },
	{ VERB_PUT, "/drives/d", "{" DRIVE ",\"socket\":\"/s\",\"rate_limiter\":{}}",
	  .message = "Invalid block config. (socket: " },
	{ VERB_PUT, "/shared-directories/a", "{\"tag\":\"a\"}",
	  .message = BAD_JSON "missing field `socket`" },
	{ VERB_PUT, "/shared-directories/a", "{\"tag\":\"b\",\"socket\":\"s\"}",
	  .message = "The tag from the path does not match the tag from the body! (tag)" },
	{ VERB_PUT, "/shared-directories/a", "{\"tag\":\"a\",\"socket\":\"\"}",
	  .message = "The value of socket is out of range." },
	{ VERB_PUT, "/shared-directories/a",
	  "{\"tag\":\"a123456789012345678901234567890123456\",\"socket\":\"s\"}",
	  .message = "The value of tag is out of range. (tag: it has 37 bytes; 1 to 36 " },
	{ VERB_DELETE, "/shared-directories/a", .message = NOT_YET },
	{ VERB_DELETE, "/shared-directories/", .state = VM_RUNNING,
	  .message = "The ID cannot be empty." },
	{ VERB_PUT, "/drives/d", "{" DRIVE ",\"path_on_host\":\"p\",\"discard\":true}",
	  .message = BAD_JSON "unknown field `discard`" },
	{ VERB_PUT, "/drives/d",
	  "{" DRIVE ",\"path_on_host\":\"p\",\"partuuid\":\"0123456789012345"
	  "678901234567890123456789012345678901234567890123\"}",
	  .message = "The value of partuuid is out of range. (partuuid: it has 64 bytes; 1 to 63" },
	{ VERB_PUT, "/hotplug/memory", "{}", .message = BAD_JSON "missing field `total_size_mib`" },
	{ VERB_PUT, "/hotplug/memory", "{\"total_size_mib\":4294967296}",
	  .message = "The value of total_size_mib is out of range." },
	{ VERB_PUT, "/hotplug/memory", "{\"total_size_mib\":128,\"size\":1}",
	  .message = BAD_JSON "unknown field `size`, expected one of `total_size_mib`, "
			      "`block_size_mib`, `slot_size_mib`" },
	{ VERB_PUT, "/hotplug/memory", "{\"total_size_mib\":128}", .message = ALREADY,
	  .state = VM_RUNNING },
	{ VERB_PATCH, "/hotplug/memory", "{\"requested_size_mib\":1}", .message = NOT_YET },
	{ VERB_PATCH, "/hotplug/memory", "{}", .state = VM_RUNNING,
	  .message = BAD_JSON "missing field `requested_size_mib`" },
	{ VERB_GET, "/hotplug/memory", .message = NOT_YET },
	{ VERB_GET, "/hotplug/memory", .message = "No such memory", .state = VM_RUNNING },
	{ VERB_GET, "/hotplug", .message = NO_ROUTE "GET hotplug." },
	{ VERB_PUT, "/pmem/p", "{\"id\":\"p\"}",
	  .message = BAD_JSON "missing field `path_on_host`" },
	{ VERB_PUT, "/pmem/p", "{\"path_on_host\":\"/p\"}",
	  .message = BAD_JSON "missing field `id`" },
	{ VERB_PUT, "/pmem/p", "{\"id\":\"p\",\"path_on_host\":\"\"}",
	  .message = "The value of path_on_host is out of range." },
	{ VERB_PUT, "/pmem/q", "{" PMEM "}",
	  .message = "The id from the path does not match the id from the body!" },
	{ VERB_PUT, "/pmem/p", "{" PMEM ",\"is_read_only\":true}",
	  .message = BAD_JSON "unknown field `is_read_only`" },
	{ VERB_PUT, "/pmem/", "{" PMEM "}", .message = "The ID cannot be empty." },
	{ VERB_DELETE, "/pmem/p", .message = NOT_YET },
	{ VERB_DELETE, "/pmem/p", "{}", .message = "Empty Delete request.", .state = VM_RUNNING },
	{ VERB_PATCH, "/pmem/p", "{\"id\":\"p\"}", .message = NOT_YET },
	{ VERB_PATCH, "/pmem/q", "{\"id\":\"p\"}", .state = VM_RUNNING,
	  .message = "The id from the path does not match the id from the body!" },
	{ VERB_PATCH, "/pmem/p", "{\"id\":\"p\",\"path_on_host\":\"/q\"}", .state = VM_RUNNING,
	  .message = BAD_JSON "unknown field `path_on_host`" },
	{ VERB_PATCH, "/drives/d", "{\"path_on_host\":\"p\"}", .state = VM_RUNNING,
	  .message = BAD_JSON "missing field `drive_id`" },
	{ VERB_PATCH, "/drives/d", "{\"drive_id\":\"e\",\"path_on_host\":\"p\"}",
	  .message = "The id from the path does not match the id from the body!",
	  .state = VM_RUNNING },
	{ VERB_PATCH, "/drives/d", "{\"drive_id\":\"d\",\"path_on_host\":\"\"}",
	  .state = VM_RUNNING, .message = "The value of path_on_host is out of range." },
	{ VERB_PATCH, "/drives/d", "{\"drive_id\":\"d\",\"is_read_only\":true}",
	  .state = VM_RUNNING,
	  .message = BAD_JSON "unknown field `is_read_only`, expected one of `drive_id`, "
			      "`path_on_host`, `rate_limiter`" },
	{ VERB_PATCH, "/drives/d", "{\"drive_id\":\"d\",\"path_on_host\":\"p\"}",
	  .message = NOT_YET },
	{ VERB_GET, "/balloon", .message = "No balloon device found." },
	{ VERB_PUT, "/balloon", "{\"deflate_on_oom\":true}",
	  .message = BAD_JSON "missing field `amount_mib`" },
	{ VERB_PUT, "/balloon", "{\"amount_mib\":1}",
	  .message = BAD_JSON "missing field `deflate_on_oom`" },
	{ VERB_PUT, "/balloon", "{\"amount_mib\":4294967296,\"deflate_on_oom\":true}",
	  .message = "Amount of pages requested is too large." },
	{ VERB_PUT, "/balloon", "{\"amount_mib\":-1,\"deflate_on_oom\":true}",
	  .message = BAD_JSON "invalid value" },
	{ VERB_PUT, "/balloon",
	  "{\"amount_mib\":1,\"deflate_on_oom\":true,\"stats_polling_interval_s\":65536}",
	  .message = "The value of stats_polling_interval_s is out of range." },
	{ VERB_PUT, "/balloon",
	  "{\"amount_mib\":1,\"deflate_on_oom\":true,\"must_tell_host\":true}",
	  .message = BAD_JSON "unknown field `must_tell_host`" },
	{ VERB_PATCH, "/balloon", "{}", .message = BAD_JSON "missing field `amount_mib`",
	  .state = VM_RUNNING },
	{ VERB_PATCH, "/balloon", "{\"amount_mib\":1,\"deflate_on_oom\":true}",
	  .message = BAD_JSON "unknown field `deflate_on_oom`", .state = VM_RUNNING },
	{ VERB_PATCH, "/balloon/statistics", "{}",
	  .message = BAD_JSON "missing field `stats_polling_interval_s`", .state = VM_RUNNING },
	{ VERB_PUT, "/network-interfaces/m", "{" NET ",\"host_dev_name\":\"t\"}",
	  .message = "The id from the path [m] does not match the id from the body [n]!" },
	{ VERB_PATCH, "/network-interfaces/m", "{" NET "}", .state = VM_RUNNING,
	  .message = "The id from the path [m] does not match the id from the body [n]!" },
	{ VERB_PUT, "/network-interfaces/n", "{\"host_dev_name\":\"t\"}",
	  .message = BAD_JSON "missing field `iface_id`" },
	{ VERB_PUT, "/network-interfaces/n", "{" NET ",\"host_dev_name\":\"tap0123456789abc\"}",
	  .message = "The value of host_dev_name is out of range." },
	{ VERB_PUT, "/network-interfaces/n", "{" NET ",\"guest_mac\":\"06:00:00:00:00\"}",
	  .message = "The provided MAC address is invalid." },
	{ VERB_PUT, "/network-interfaces/n", "{" NET ",\"guest_mac\":\"06:00:00:00:00:000\"}",
	  .message = "The provided MAC address is invalid." },
	{ VERB_PUT, "/network-interfaces/n", "{" NET ",\"mtu\":67}",
	  .message = "The value of mtu is out of range." },
	{ VERB_PUT, "/network-interfaces/n", "{" NET ",\"mtu\":65536}",
	  .message = "The value of mtu is out of range." },
	{ VERB_PUT, "/network-interfaces/n", "{" NET ",\"mac\":\"\"}",
	  .message = BAD_JSON "unknown field `mac`" },
	{ VERB_PATCH, "/network-interfaces/n", "{" NET ",\"mtu\":1500}", .state = VM_RUNNING,
	  .message = BAD_JSON "unknown field `mtu`" },
	{ VERB_GET, "/network-interfaces/n", .message = NO_ROUTE "GET network-interfaces/n." },
	{ VERB_PUT, "/vsock", "{\"guest_cid\":3}", .message = BAD_JSON "missing field `uds_path`" },
	{ VERB_PUT, "/vsock", "{\"uds_path\":\"v\"}",
	  .message = BAD_JSON "missing field `guest_cid`" },
	{ VERB_PUT, "/vsock", "{\"guest_cid\":2,\"uds_path\":\"v\"}",
	  .message = "The value of guest_cid is out of range." },
	{ VERB_PUT, "/vsock", "{\"guest_cid\":4294967295,\"uds_path\":\"v\"}",
	  .message = "The value of guest_cid is out of range." },
	{ VERB_PUT, "/vsock", "{\"guest_cid\":\"3\",\"uds_path\":\"v\"}",
	  .message = BAD_JSON "invalid type: string" },
	{ VERB_PUT, "/vsock", "{\"guest_cid\":3,\"uds_path\":\"\"}",
	  .message = "The value of uds_path is out of range." },
	{ VERB_PUT, "/vsock", "{\"guest_cid\":3,\"uds_path\":\"v\",\"port\":1}",
	  .message = BAD_JSON "unknown field `port`" },
	{ VERB_PUT, "/mmds/config", "{}",
	  .message = BAD_JSON "missing field `network_interfaces`" },
	{ VERB_PUT, "/mmds/config", "{\"network_interfaces\":\"n\"}",
	  .message = BAD_JSON "invalid type: string" },
	{ VERB_PUT, "/mmds/config", "{\"network_interfaces\":[1]}",
	  .message = BAD_JSON "invalid type: integer" },
	{ VERB_PUT, "/mmds/config", "{\"network_interfaces\":[\"n\"],\"version\":\"v1\"}",
	  .message = BAD_JSON "unknown variant `v1`, expected `V1` or `V2`" },
	{ VERB_PUT, "/mmds/config", "{\"network_interfaces\":[\"n\"],\"ipv4_address\":7}",
	  .message = BAD_JSON "invalid type: integer" },
	{ VERB_PUT, "/mmds/config",
	  "{\"network_interfaces\":[\"n\"],\"ipv4_address\":\"169.254.169.2540\"}",
	  .message = "The value of ipv4_address is out of range." },
	{ VERB_PUT, "/mmds/config", "{\"network_interfaces\":[\"n\"],\"port\":80}",
	  .message = BAD_JSON "unknown field `port`" },
	{ VERB_PUT, "/mmds/config", "{\"network_interfaces\":[\"n\"]}", .message = ALREADY,
	  .state = VM_RUNNING },
	{ VERB_PATCH, "/mmds/config", "{}", .message = NO_ROUTE "PATCH mmds/config." },
	{ VERB_GET, "/mmds/config", .message = NO_ROUTE "GET mmds/config." },
	{ VERB_PUT, "/mmds", .message = "Empty PUT request." },
	{ VERB_PATCH, "/mmds", .message = "Empty PATCH request." },
	{ VERB_GET, "/mmds", "{}", .message = "GET request cannot have a body." },
	{ VERB_PUT, "/mmds", "{\"a\":1,\"a\":2}", .message = BAD_JSON "duplicate object key" },
	{ VERB_PUT, "/mmds", "{\"a\":", .message = BAD_JSON },
	{ VERB_PATCH, "/mmds", "\"a\"", .message = BAD_JSON },
	{ VERB_PUT, "/mmds", "{\"large\":1}", 413, .message = "{\"fault_message\":\"too large\"}",
	  .calls = "put_metadata " },
	{ VERB_PATCH, "/mmds", "{\"large\":1}", 413, .message = "{\"fault_message\":\"too large\"}",
	  .calls = "patch_metadata " },
	{ VERB_PUT, "/entropy", "{\"rate_limiter\":{\"iops\":null}}",
	  .message = BAD_JSON "unknown field `iops`" },
	{ VERB_PUT, "/actions", "{}", .message = BAD_JSON "missing field `action_type`" },
	{ VERB_PUT, "/actions", "{\"action_type\":\"Reboot\"}",
	  .message = BAD_JSON
	  "unknown variant `Reboot`, expected one of `InstanceStart`, `FlushMetrics`, `SendCtrlAltDel`, `PowerButton`" },
	{ VERB_PUT, "/actions", "{\"action_type\":\"FlushMetrics\"}",
	  .message = "The requested operation is not supported before starting the microVM." },
	{ VERB_PUT, "/actions", "{\"action_type\":\"InstanceStart\",\"payload\":\"\"}",
	  .message = BAD_JSON "unknown field `payload`, expected `action_type`" },
	{ VERB_PATCH, "/vm", "{\"state\":\"Stopped\"}", .state = VM_RUNNING,
	  .message = BAD_JSON "unknown variant `Stopped`, expected `Paused` or `Resumed`" },
	{ VERB_PATCH, "/vm", "{}", .state = VM_RUNNING,
	  .message = BAD_JSON "missing field `state`" },
	/* states; a body is looked at first */
	{ VERB_PATCH, "/vm", "{\"state\":\"Paused\"}", .message = NOT_YET },
	{ VERB_PATCH, "/vm", "{\"state\":\"x\"}", .message = BAD_JSON },
	{ VERB_PUT, "/actions", "{\"action_type\":\"SendCtrlAltDel\"}", .message = NOT_YET },
	{ VERB_PUT, "/actions", "{\"action_type\":\"InstanceStart\"}", .message = ALREADY,
	  .state = VM_RUNNING },
	{ VERB_PUT, "/actions", "{\"action_type\":\"InstanceStart\"}", .message = ALREADY,
	  .state = VM_PAUSED },
	{ VERB_PUT, "/boot-source", "{\"kernel_image_path\":\"k\"}", .message = ALREADY,
	  .state = VM_RUNNING },
	{ VERB_PUT, "/boot-source", "{}", .message = BAD_JSON, .state = VM_RUNNING },
	{ VERB_PUT, "/machine-config", "{\"vcpu_count\":1,\"mem_size_mib\":1}", .message = ALREADY,
	  .state = VM_PAUSED },
	{ VERB_PATCH, "/machine-config", "{\"vcpu_count\":1}", .message = ALREADY,
	  .state = VM_RUNNING },
	{ VERB_DELETE, "/drives/d", .message = NOT_YET },
	{ VERB_DELETE, "/network-interfaces/n", .message = NOT_YET },
	{ VERB_PATCH, "/network-interfaces/n", "{" NET "}", .message = NOT_YET },
	{ VERB_PUT, "/logger", "{}", .message = ALREADY, .state = VM_RUNNING },
	{ VERB_PUT, "/entropy", "{}", .message = ALREADY, .state = VM_RUNNING },
	{ VERB_PUT, "/balloon", "{\"amount_mib\":0,\"deflate_on_oom\":false}", .message = ALREADY,
	  .state = VM_RUNNING },
	{ VERB_PUT, "/serial", "{\"serial_out_path\":\"\"}",
	  .message = "The value of serial_out_path is out of range." },
	{ VERB_PUT, "/serial", "{\"rate_limiter\":{\"ops\":null}}",
	  .message = BAD_JSON "unknown field `ops`" },
	{ VERB_PUT, "/serial", "{}", .message = ALREADY, .state = VM_RUNNING },
	{ VERB_PUT, "/console", "{\"uds_path\":\"\"}",
	  .message = "The value of uds_path is out of range." },
	{ VERB_PUT, "/console", "{\"uds_path\":\"c\",\"history_bytes\":16777217}",
	  .message = "The value of history_bytes is out of range." },
	{ VERB_PUT, "/console", "{\"uds_path\":\"c\",\"rate_limiter\":{\"bandwidth\":null}}",
	  .message = BAD_JSON "unknown field `bandwidth`" },
	{ VERB_PUT, "/console", "{\"uds_path\":\"c\"}", .message = ALREADY, .state = VM_RUNNING },
	{ VERB_PUT, "/vsock", "{\"guest_cid\":3,\"uds_path\":\"v\"}", .message = ALREADY,
	  .state = VM_RUNNING },
	{ VERB_PATCH, "/balloon", "{\"amount_mib\":1}", .message = NOT_YET },
	{ VERB_GET, "/balloon/statistics", .message = NOT_YET },
	{ VERB_PATCH, "/balloon/statistics", "{\"stats_polling_interval_s\":1}",
	  .message = NOT_YET },
};

static struct http_response ask(struct vm *vm, enum http_verb verb, const char *path,
				const char *body)
{
	struct http_response res = { .status = 204 };
	const struct http_request req = {
		.verb = verb,
		.path = path,
		.body = body,
		.body_len = body ? strlen(body) : 0,
	};

	routes_handle(vm, &req, &res);
	return res;
}

/* The fault message of a 400, or the body of a 200, or "". */
static void get_message(const struct http_response *res, char *buf, size_t len)
{
	json_t *j;

	snprintf(buf, len, "%s", res->body ? res->body : "");
	if (res->status != 400)
		return;
	j = json_loads(buf, 0, NULL);
	assert_non_null(j);
	assert_int_equal(json_object_size(j), 1);
	snprintf(buf, len, "%s", json_string_value(json_object_get(j, "fault_message")));
	json_decref(j);
}

static void check_row(const struct row *row)
{
	struct vm *vm = fake_vm_new();
	char message[2048];

	fake_vm_set_state(vm, row->state ? row->state : VM_NOT_STARTED);

	struct http_response res = ask(vm, row->verb, row->path, row->body);

	get_message(&res, message, sizeof(message));
	if (res.status != (row->status ? row->status : 400) ||
	    strncmp(message, row->message, strlen(row->message)) != 0 ||
	    strcmp(fake_vm_calls(vm), row->calls ? row->calls : "") != 0)
		fail_msg("%s %s %s\n  got  %d %s [%s]\n  want %d %s", http_verb_name(row->verb),
			 row->path, row->body ? row->body : "", res.status, message,
			 fake_vm_calls(vm), row->status, row->message);
	free(res.body);
	vm_destroy(vm);
}

static void good_requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		check_row(&good[i]);
}

static void bad_requests_change_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_row(&bad[i]);
}

static void expect_status(struct vm *vm, enum http_verb verb, const char *path, const char *body,
			  int status)
{
	struct http_response res = ask(vm, verb, path, body);

	assert_int_equal(res.status, status);
	free(res.body);
}

static void values_arrive(void **state)
{
	struct vm *vm = fake_vm_new();

	(void)state;
	expect_status(vm, VERB_PUT, "/boot-source",
		      "{\"kernel_image_path\":\"/k\",\"initrd_path\":\"/i\",\"boot_args\":\"\"}",
		      204);
	assert_string_equal(vm_boot_source(vm)->kernel_image_path, "/k");
	assert_string_equal(vm_boot_source(vm)->initrd_path, "/i");
	assert_true(vm_boot_source(vm)->has_boot_args);
	expect_status(vm, VERB_PUT, "/boot-source", "{\"kernel_image_path\":\"/k2\"}", 204);
	assert_string_equal(vm_boot_source(vm)->initrd_path, "");
	assert_false(vm_boot_source(vm)->has_boot_args);

	expect_status(vm, VERB_PUT, "/drives/d",
		      "{" DRIVE ",\"path_on_host\":\"/p\",\"is_read_only\":true,"
		      "\"cache_type\":\"Writeback\",\"partuuid\":\"u\"}",
		      204);
	assert_string_equal(vm_drive(vm, 0)->path_on_host, "/p");
	assert_string_equal(vm_drive(vm, 0)->partuuid, "u");
	assert_true(vm_drive(vm, 0)->is_read_only);
	assert_false(vm_drive(vm, 0)->is_root_device);
	assert_int_equal(vm_drive(vm, 0)->cache_type, CACHE_WRITEBACK);

	fake_vm_set_state(vm, VM_RUNNING);
	expect_status(vm, VERB_PATCH, "/drives/d",
		      "{\"drive_id\":\"d\",\"path_on_host\":\"/q\",\"rate_limiter\":" LIMITER "}",
		      204);
	assert_string_equal(vm_drive(vm, 0)->path_on_host, "/q");
	assert_int_equal(vm_drive(vm, 0)->rate_limiter.ops.refill_time_ms, 100);
	vm_destroy(vm);
}

static void metadata_comes_back(void **state)
{
	static const char document[] = "{\"b\":{\"c\":[1,null]},\"a\":\"x\"}";
	struct vm *vm = fake_vm_new();
	struct http_response res;

	(void)state;
	expect_status(vm, VERB_PUT, "/mmds", document, 204);
	res = ask(vm, VERB_GET, "/mmds", NULL);
	assert_int_equal(res.status, 200);
	assert_string_equal(res.body, document);
	free(res.body);
	vm_destroy(vm);
}

/* PUT forgets what it does not name, PATCH keeps it. */
static void put_resets_and_patch_keeps(void **state)
{
	struct vm *vm = fake_vm_new();

	(void)state;
	expect_status(vm, VERB_PUT, "/machine-config",
		      "{\"vcpu_count\":4,\"mem_size_mib\":512,\"smt\":true,\"huge_pages\":\"2M\"}",
		      204);
	expect_status(vm, VERB_PATCH, "/machine-config", "{\"mem_size_mib\":1024}", 204);
	assert_int_equal(vm_machine(vm)->vcpu_count, 4);
	assert_int_equal(vm_machine(vm)->mem_size_mib, 1024);
	assert_true(vm_machine(vm)->smt);
	assert_int_equal(vm_machine(vm)->huge_pages, HUGE_PAGES_2M);
	expect_status(vm, VERB_PUT, "/machine-config", "{\"vcpu_count\":2,\"mem_size_mib\":128}",
		      204);
	assert_false(vm_machine(vm)->smt);
	assert_int_equal(vm_machine(vm)->huge_pages, HUGE_PAGES_NONE);
	vm_destroy(vm);
}

static void balloon_is_reported(void **state)
{
	static const char expected[] =
		"{\"amount_mib\":8,\"deflate_on_oom\":true,\"stats_polling_interval_s\":5,"
		"\"free_page_hinting\":false,\"free_page_reporting\":true}";
	struct vm *vm = fake_vm_new();
	struct http_response res;

	(void)state;
	expect_status(vm, VERB_PUT, "/balloon",
		      "{\"amount_mib\":7,\"deflate_on_oom\":true,\"stats_polling_interval_s\":4,"
		      "\"free_page_reporting\":true}",
		      204);
	fake_vm_set_state(vm, VM_RUNNING);
	expect_status(vm, VERB_PATCH, "/balloon", "{\"amount_mib\":8}", 204);
	expect_status(vm, VERB_PATCH, "/balloon/statistics", "{\"stats_polling_interval_s\":5}",
		      204);
	res = ask(vm, VERB_GET, "/balloon", NULL);
	assert_string_equal(res.body, expected);
	free(res.body);
	res = ask(vm, VERB_GET, "/vm/config", NULL);
	assert_non_null(strstr(res.body, "{\"balloon\":{\"amount_mib\":8,"));
	free(res.body);
	vm_destroy(vm);
}

static void memory_is_reported(void **state)
{
	struct vm *vm = fake_vm_new();
	struct http_response res;

	(void)state;
	expect_status(vm, VERB_PUT, "/hotplug/memory", "{\"total_size_mib\":256}", 204);
	res = ask(vm, VERB_GET, "/vm/config", NULL);
	assert_non_null(strstr(res.body, "\"memory-hotplug\":{\"total_size_mib\":256,"
					 "\"block_size_mib\":2,\"slot_size_mib\":128},"));
	free(res.body);
	fake_vm_set_state(vm, VM_RUNNING);
	res = ask(vm, VERB_GET, "/hotplug/memory", NULL);
	assert_string_equal(res.body,
			    "{\"block_size_mib\":2,\"total_size_mib\":256,\"slot_size_mib\":128,"
			    "\"plugged_size_mib\":6,\"requested_size_mib\":8}");
	free(res.body);
	vm_destroy(vm);
}

static void full_config_is_reported(void **state)
{
	struct vm *vm = fake_vm_new();

	(void)state;
	expect_status(vm, VERB_PUT, "/logger",
		      "{\"log_path\":\"l\",\"level\":\"warning\",\"module\":\"devices::virtio\"}",
		      204);
	expect_status(vm, VERB_PUT, "/logger", "{\"show_level\":true}", 204);
	expect_status(vm, VERB_PUT, "/boot-source",
		      "{\"kernel_image_path\":\"/k\",\"boot_args\":\"\"}", 204);
	expect_status(vm, VERB_PUT, "/drives/d",
		      "{" DRIVE ",\"path_on_host\":\"/p\",\"is_read_only\":true}", 204);
	expect_status(vm, VERB_PUT, "/entropy",
		      "{\"rate_limiter\":{\"ops\":{\"size\":5,\"refill_time\":6}}}", 204);
	expect_status(vm, VERB_PUT, "/network-interfaces/n",
		      "{" NET ",\"host_dev_name\":\"tap0\",\"guest_mac\":\"06:00:00:00:00:01\"}",
		      204);
	expect_status(vm, VERB_PUT, "/vsock",
		      "{\"guest_cid\":7,\"uds_path\":\"/v\",\"vsock_id\":\"x\"}", 204);
	expect_status(vm, VERB_PUT, "/console", "{\"pty_path\":\"/p\"}", 204);

	expect_status(vm, VERB_PUT, "/pmem/p", "{" PMEM ",\"read_only\":true}", 204);
	expect_status(vm, VERB_PUT, "/drives/r",
		      "{\"drive_id\":\"r\",\"is_root_device\":false,"
		      "\"socket\":\"/s\"}",
		      204);
	expect_status(vm, VERB_PUT, "/mmds/config",
		      "{\"network_interfaces\":[\"unplugged\",\"n\"],\"version\":\"V2\"}", 204);
	expect_status(vm, VERB_PUT, "/shared-directories/t", "{\"tag\":\"t\",\"socket\":\"/f\"}",
		      204);

	struct http_response res = ask(vm, VERB_GET, "/vm/config", NULL);

	assert_int_equal(res.status, 200);
	assert_string_equal(
		res.body,
		"{\"balloon\":null,\"drives\":[{\"drive_id\":\"d\",\"partuuid\":null,"
		"\"is_root_device\":false,\"cache_type\":\"Unsafe\",\"is_read_only\":true,"
		"\"path_on_host\":\"/p\",\"rate_limiter\":null,\"io_engine\":\"Sync\","
		"\"socket\":null},{\"drive_id\":\"r\",\"partuuid\":null,\"is_root_device\":false,"
		"\"cache_type\":\"Unsafe\",\"is_read_only\":null,\"path_on_host\":null,"
		"\"rate_limiter\":null,\"io_engine\":null,\"socket\":\"/s\"}],"
		"\"boot-source\":{\"kernel_image_path\":\"/k\","
		"\"initrd_path\":null,\"boot_args\":\"\"},\"cpu-config\":null,"
		"\"logger\":{\"log_path\":\"l\",\"level\":\"warning\",\"show_level\":true,"
		"\"show_log_origin\":false,\"module\":\"devices::virtio\"},"
		"\"machine-config\":{\"vcpu_count\":1,\"mem_size_mib\":128,\"smt\":false,"
		"\"track_dirty_pages\":false,\"huge_pages\":\"None\"},\"metrics\":null,"
		"\"mmds-config\":{\"version\":\"V2\",\"network_interfaces\":[\"n\"],"
		"\"ipv4_address\":\"169.254.169.254\",\"imds_compat\":false},"
		"\"network-interfaces\":[{\"iface_id\":\"n\","
		"\"host_dev_name\":\"tap0\",\"guest_mac\":\"06:00:00:00:00:01\",\"mtu\":null,"
		"\"rx_rate_limiter\":null,\"tx_rate_limiter\":null,\"passt_socket\":null}],"
		"\"vsock\":{\"guest_cid\":7,\"uds_path\":\"/v\"},"
		"\"console\":{\"uds_path\":null,\"pty_path\":\"/p\",\"history_bytes\":65536,"
		"\"rate_limiter\":null},"
		"\"entropy\":{\"rate_limiter\":{\"bandwidth\":null,\"ops\":{\"size\":5,"
		"\"refill_time\":6,\"one_time_burst\":0}}},\"pmem\":[{\"id\":\"p\","
		"\"path_on_host\":\"/p\",\"root_device\":false,\"read_only\":true,"
		"\"rate_limiter\":null}],\"memory-hotplug\":null,"
		"\"shared-directories\":[{\"tag\":\"t\",\"socket\":\"/f\"}]}");

	free(res.body);
	vm_destroy(vm);
}

static void machines_refusal_is_passed_on(void **state)
{
	struct vm *vm = fake_vm_new();
	char message[512];

	(void)state;
	fake_vm_fail(vm, "kernel_image_path");

	struct http_response res =
		ask(vm, VERB_PUT, "/boot-source", "{\"kernel_image_path\":\"k\"}");

	assert_int_equal(res.status, 400);
	get_message(&res, message, sizeof(message));
	assert_string_equal(message, "The fake machine refused (kernel_image_path: try another)");
	free(res.body);
	expect_status(vm, VERB_PUT, "/boot-source", "{\"kernel_image_path\":\"k\"}", 204);
	vm_destroy(vm);
}

static void deprecated_field_is_announced(void **state)
{
	static const struct {
		const char *path, *body;
		bool deprecated;
	} rows[] = {
		{ "/machine-config",
		  "{\"vcpu_count\":1,\"mem_size_mib\":1,\"cpu_template\":\"None\"}", true },
		{ "/machine-config", "{\"vcpu_count\":1,\"mem_size_mib\":1,\"cpu_template\":null}",
		  false },
		{ "/machine-config", "{\"vcpu_count\":1,\"mem_size_mib\":1}", false },
		{ "/vsock", "{\"guest_cid\":3,\"uds_path\":\"v\",\"vsock_id\":\"v\"}", true },
		{ "/vsock", "{\"guest_cid\":3,\"uds_path\":\"v\"}", false },
	};
	struct vm *vm = fake_vm_new();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_response res = ask(vm, VERB_PUT, rows[i].path, rows[i].body);

		assert_int_equal(res.deprecated, rows[i].deprecated);
		free(res.body);
	}
	vm_destroy(vm);
}

/* Texts at the edge of each string field's room. */
static void long_strings(void **state)
{
	static const struct {
		size_t len;
		int status;
	} rows[] = { { VM_MAX_CMDLINE - 1, 204 }, { VM_MAX_CMDLINE, 400 }, { 40000, 400 } };
	struct vm *vm = fake_vm_new();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *args = calloc(1, rows[i].len + 1), *body;

		assert_non_null(args);
		memset(args, 'a', rows[i].len);
		assert_true(asprintf(&body, "{\"kernel_image_path\":\"k\",\"boot_args\":\"%s\"}",
				     args) > 0);
		expect_status(vm, VERB_PUT, "/boot-source", body, rows[i].status);
		free(body);
		free(args);
	}
	vm_destroy(vm);
}

static void deep_nesting_is_refused(void **state)
{
	struct vm *vm = fake_vm_new();
	char body[20000];

	(void)state;
	memset(body, '[', sizeof(body) - 1);
	body[sizeof(body) - 1] = '\0';
	expect_status(vm, VERB_PUT, "/entropy", body, 400);
	vm_destroy(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_requests),
		cmocka_unit_test(bad_requests_change_nothing),
		cmocka_unit_test(values_arrive),
		cmocka_unit_test(metadata_comes_back),
		cmocka_unit_test(put_resets_and_patch_keeps),
		cmocka_unit_test(balloon_is_reported),
		cmocka_unit_test(memory_is_reported),
		cmocka_unit_test(full_config_is_reported),
		cmocka_unit_test(machines_refusal_is_passed_on),
		cmocka_unit_test(deprecated_field_is_announced),
		cmocka_unit_test(long_strings),
		cmocka_unit_test(deep_nesting_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
