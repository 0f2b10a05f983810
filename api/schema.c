/* schema.c - the tables: every field of every body, its type, range and place.
 *
 * Those of the devices' bodies are in device_schema.c.
 */
#include "api/schema.h"
#include "api/schema_rows.h"
#include "vmm/base/log.h"

/* 52 bits of physical address, the most that x86-64 and arm64 have. */
#define MAX_MEM_SIZE_MIB (UINT64_C(1) << 32)

static const char *const huge_pages_names[] = {
	[HUGE_PAGES_NONE] = "None",
	[HUGE_PAGES_TRANSPARENT] = "Transparent",
	[HUGE_PAGES_2M] = "2M",
	NULL,
};
static const char *const cpu_template_names[] = {
	[CPU_TEMPLATE_NONE] = "None", [CPU_TEMPLATE_C3] = "C3",
	[CPU_TEMPLATE_T2] = "T2",     [CPU_TEMPLATE_T2S] = "T2S",
	[CPU_TEMPLATE_T2CL] = "T2CL", [CPU_TEMPLATE_T2A] = "T2A",
	[CPU_TEMPLATE_V1N1] = "V1N1", NULL,
};
static const char *const action_names[] = {
	[ACTION_INSTANCE_START] = "InstanceStart",
	[ACTION_FLUSH_METRICS] = "FlushMetrics",
	[ACTION_SEND_CTRL_ALT_DEL] = "SendCtrlAltDel",
	[ACTION_POWER_BUTTON] = "PowerButton",
	NULL,
};
static const char *const vm_target_names[] = {
	[VM_TARGET_PAUSED] = "Paused",
	[VM_TARGET_RESUMED] = "Resumed",
	NULL,
};

static const char *const log_format_names[] = {
	[LOG_TEXT] = "Text",
	[LOG_JSON] = "Json",
	NULL,
};

static const struct body_field logger_fields[] = {
	{ .name = "log_path",
	  .type = BODY_STRING,
	  PLACE(logger_config, log_path),
	  .nullable = true,
	  .min = 1 },
	{ .name = "level", .type = BODY_STRING, PLACE(logger_config, level), .nullable = true },
	{ .name = "show_level",
	  .type = BODY_BOOL,
	  PLACE(logger_config, show_level),
	  .nullable = true },
	{ .name = "show_log_origin",
	  .type = BODY_BOOL,
	  PLACE(logger_config, show_log_origin),
	  .nullable = true },
	{ .name = "module",
	  .type = BODY_STRING,
	  PLACE(logger_config, module),
	  .nullable = true,
	  .min = 1 },
	/* wisp's own. */
	{ .name = "format",
	  .type = BODY_ENUM,
	  PLACE(logger_config, format),
	  MARK(logger_config, has_format),
	  .nullable = true,
	  .hidden = true,
	  .names = log_format_names },
};
static const struct logger_config logger_default = { .level = LOGGER_LEVEL_DEFAULT };
const struct body_table body_logger = {
	TABLE(logger_config, logger_fields),
	.defaults = &logger_default,
};

static const struct body_field metrics_fields[] = {
	{ .name = "metrics_path",
	  .type = BODY_STRING,
	  PLACE(metrics_config, metrics_path),
	  .required = true,
	  .min = 1 },
	{ .name = "emit_id",
	  .type = BODY_BOOL,
	  PLACE(metrics_config, emit_id),
	  MARK(metrics_config, has_emit_id),
	  .hidden = true },
	{ .name = "properties",
	  .type = BODY_MAP,
	  PLACE(metrics_config, properties),
	  MARK(metrics_config, has_properties),
	  .nullable = true,
	  .hidden = true },
};
const struct body_table body_metrics = { TABLE(metrics_config, metrics_fields), .open = true };

static const char *const register_names[] = { "eax", "ebx", "ecx", "edx", NULL };

static const struct body_field register_fields[] = {
	{ .name = "register",
	  .type = BODY_ENUM,
	  PLACE(cpuid_register_config, reg),
	  .required = true,
	  .names = register_names },
	{ .name = "bitmap",
	  .type = BODY_STRING,
	  PLACE(cpuid_register_config, bitmap),
	  .required = true },
};
static const struct body_table body_register = { TABLE(cpuid_register_config, register_fields) };

static const struct body_field cpuid_modifier_fields[] = {
	{ .name = "leaf",
	  .type = BODY_STRING,
	  PLACE(cpuid_modifier_config, leaf),
	  .required = true },
	{ .name = "subleaf",
	  .type = BODY_STRING,
	  PLACE(cpuid_modifier_config, subleaf),
	  .required = true },
	{ .name = "flags",
	  .type = BODY_U64,
	  PLACE(cpuid_modifier_config, flags),
	  .required = true,
	  .max = UINT32_MAX },
	{ .name = "modifiers",
	  .type = BODY_ARRAY,
	  PLACE(cpuid_modifier_config, registers),
	  MARK(cpuid_modifier_config, nregisters),
	  .required = true,
	  .max = CPU_TEMPLATE_REGISTERS,
	  .table = &body_register },
};
static const struct body_table body_cpuid_modifier = {
	TABLE(cpuid_modifier_config, cpuid_modifier_fields),
};

static const struct body_field msr_modifier_fields[] = {
	{ .name = "addr", .type = BODY_STRING, PLACE(msr_modifier_config, addr), .required = true },
	{ .name = "bitmap",
	  .type = BODY_STRING,
	  PLACE(msr_modifier_config, bitmap),
	  .required = true },
};
static const struct body_table body_msr_modifier = {
	TABLE(msr_modifier_config, msr_modifier_fields),
};

static const struct body_field cpu_fields[] = {
	{ .name = "kvm_capabilities",
	  .type = BODY_STRINGS,
	  PLACE(cpu_config, capabilities),
	  MARK(cpu_config, ncapabilities),
	  .max = CPU_TEMPLATE_CAPABILITIES },
	{ .name = "cpuid_modifiers",
	  .type = BODY_ARRAY,
	  PLACE(cpu_config, cpuid),
	  MARK(cpu_config, ncpuid),
	  .max = CPU_TEMPLATE_LEAVES,
	  .table = &body_cpuid_modifier },
	{ .name = "msr_modifiers",
	  .type = BODY_ARRAY,
	  PLACE(cpu_config, msrs),
	  MARK(cpu_config, nmsrs),
	  .max = CPU_TEMPLATE_MSRS,
	  .table = &body_msr_modifier },
};
const struct body_table body_cpu = { TABLE(cpu_config, cpu_fields) };

static const struct body_field boot_source_fields[] = {
	{ .name = "kernel_image_path",
	  .type = BODY_STRING,
	  PLACE(boot_source_config, kernel_image_path),
	  .required = true,
	  .min = 1 },
	{ .name = "initrd_path",
	  .type = BODY_STRING,
	  PLACE(boot_source_config, initrd_path),
	  .nullable = true,
	  .min = 1 },
	{ .name = "boot_args",
	  .type = BODY_STRING,
	  PLACE(boot_source_config, boot_args),
	  MARK(boot_source_config, has_boot_args),
	  .nullable = true },
};
const struct body_table body_boot_source = { TABLE(boot_source_config, boot_source_fields) };

static const struct body_field machine_fields[] = {
	{ .name = "vcpu_count",
	  .type = BODY_U64,
	  PLACE(machine_config, vcpu_count),
	  .required = true,
	  .min = 1,
	  .max = VM_MAX_VCPUS,
	  .fault = "The number of vCPUs must be greater than 0, less than 32 and must be 1 or an "
		   "even number if SMT is enabled." },
	{ .name = "mem_size_mib",
	  .type = BODY_U64,
	  PLACE(machine_config, mem_size_mib),
	  .required = true,
	  .min = 1,
	  .max = MAX_MEM_SIZE_MIB,
	  .fault = "The memory size (MiB) is either 0, or not a multiple of the configured page "
		   "size." },
	{ .name = "smt", .type = BODY_BOOL, PLACE(machine_config, smt) },
	{ .name = "track_dirty_pages",
	  .type = BODY_BOOL,
	  PLACE(machine_config, track_dirty_pages) },
	{ .name = "huge_pages",
	  .type = BODY_ENUM,
	  PLACE(machine_config, huge_pages),
	  .names = huge_pages_names },
	{ .name = "cpu_template",
	  .type = BODY_ENUM,
	  PLACE(machine_config, cpu_template),
	  MARK(machine_config, has_cpu_template),
	  .nullable = true,
	  .hidden = true,
	  .names = cpu_template_names },
};
static const struct machine_config machine_default = MACHINE_CONFIG_DEFAULT;
const struct body_table body_machine = {
	TABLE(machine_config, machine_fields),
	.defaults = &machine_default,
};

static const struct body_field action_fields[] = {
	{ .name = "action_type",
	  .type = BODY_ENUM,
	  PLACE(action_config, action_type),
	  .required = true,
	  .names = action_names },
};
const struct body_table body_action = { TABLE(action_config, action_fields) };

static const struct body_field vm_state_fields[] = {
	{ .name = "state",
	  .type = BODY_ENUM,
	  PLACE(vm_state_config, state),
	  .required = true,
	  .names = vm_target_names },
};
const struct body_table body_vm_state = { TABLE(vm_state_config, vm_state_fields) };

static const struct body_field description_fields[] = {
	{ .name = "balloon",
	  .type = BODY_OBJECT,
	  PLACE(machine_description, balloon),
	  MARK(machine_description, has_balloon),
	  .nullable = true,
	  .table = &body_balloon },
	{ .name = "drives",
	  .type = BODY_ARRAY,
	  PLACE(machine_description, drives),
	  MARK(machine_description, ndrives),
	  .max = VM_MAX_DRIVES,
	  .table = &body_drive },
	{ .name = "boot-source",
	  .type = BODY_OBJECT,
	  PLACE(machine_description, boot_source),
	  MARK(machine_description, has_boot_source),
	  .nullable = true,
	  .table = &body_boot_source },
	/* A file of its own, and no part of what GET tells. */
	{ .name = "cpu-config",
	  .type = BODY_STRING,
	  PLACE(machine_description, cpu_config_path),
	  .nullable = true,
	  .min = 1 },
	{ .name = "logger",
	  .type = BODY_OBJECT,
	  PLACE(machine_description, logger),
	  MARK(machine_description, has_logger),
	  .nullable = true,
	  .table = &body_logger },
	{ .name = "machine-config",
	  .type = BODY_OBJECT,
	  PLACE(machine_description, machine),
	  MARK(machine_description, has_machine),
	  .nullable = true,
	  .table = &body_machine },
	{ .name = "metrics",
	  .type = BODY_OBJECT,
	  PLACE(machine_description, metrics),
	  MARK(machine_description, has_metrics),
	  .nullable = true,
	  .table = &body_metrics },
	{ .name = "mmds-config",
	  .type = BODY_OBJECT,
	  PLACE(machine_description, mmds),
	  MARK(machine_description, has_mmds),
	  .nullable = true,
	  .table = &body_mmds },
	{ .name = "network-interfaces",
	  .type = BODY_ARRAY,
	  PLACE(machine_description, nets),
	  MARK(machine_description, nnets),
	  .max = VM_MAX_NETS,
	  .table = &body_net },
	{ .name = "vsock",
	  .type = BODY_OBJECT,
	  PLACE(machine_description, vsock),
	  MARK(machine_description, has_vsock),
	  .nullable = true,
	  .table = &body_vsock },
	/* wisp's own. */
	{ .name = "console",
	  .type = BODY_OBJECT,
	  PLACE(machine_description, console),
	  MARK(machine_description, has_console),
	  .nullable = true,
	  .table = &body_console },
	{ .name = "entropy",
	  .type = BODY_OBJECT,
	  PLACE(machine_description, entropy),
	  MARK(machine_description, has_entropy),
	  .nullable = true,
	  .table = &body_entropy },
	{ .name = "pmem",
	  .type = BODY_ARRAY,
	  PLACE(machine_description, pmem),
	  MARK(machine_description, npmem),
	  .max = VM_MAX_PMEM,
	  .table = &body_pmem },
	{ .name = "memory-hotplug",
	  .type = BODY_OBJECT,
	  PLACE(machine_description, memory),
	  MARK(machine_description, has_memory),
	  .nullable = true,
	  .table = &body_memory },
	{ .name = "shared-directories",
	  .type = BODY_ARRAY,
	  PLACE(machine_description, shared_directories),
	  MARK(machine_description, nshared_directories),
	  .max = VM_MAX_SHARED_DIRECTORIES,
	  .table = &body_shared_directory },
};
const struct body_table body_description = {
	TABLE(machine_description, description_fields),
};
