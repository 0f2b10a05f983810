/* test_config_file.c - configuration files, good and bad, against a fake machine. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/config_file.h"
#include "tests/unit/fake_vm.h"

#define BOOT  "\"boot-source\":{\"kernel_image_path\":\"k\"}"
#define DRIVE "{\"drive_id\":\"d\",\"is_root_device\":true,\"path_on_host\":\"p\"}"

static char *write_temp(const char *text, size_t len)
{
	char *path = strdup("/tmp/test_config.XXXXXX");
	int fd;

	assert_non_null(path);
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	close(fd);
	return path;
}

static int apply_text(struct vm *vm, const char *text, size_t len, struct error *err)
{
	char *path = write_temp(text, len);
	int r;

	memset(err, 0, sizeof(*err));
	r = config_file_apply(vm, path, err);
	unlink(path);
	free(path);
	return r;
}

static void everything_arrives_in_order(void **state)
{
	static const char text[] =
		"{ \"boot-source\": {\"kernel_image_path\": \"/k\", \"initrd_path\": \"/i\",\n"
		"    \"boot_args\": \"console=ttyS0\"},\n"
		"  \"drives\": [" DRIVE ", {\"drive_id\": \"e\", \"is_root_device\": false,\n"
		"    \"path_on_host\": \"/e\", \"is_read_only\": true, \"io_engine\": \"Sync\"}],\n"
		"  \"machine-config\": {\"vcpu_count\": 2, \"mem_size_mib\": 1024},\n"
		"  \"network-interfaces\": [{\"iface_id\": \"n\", \"host_dev_name\": \"t\"}],\n"
		"  \"entropy\": {}, \"pmem\": [{\"id\": \"p\", \"path_on_host\": \"/p\"}],\n"
		"  \"vsock\": {\"guest_cid\": 3, \"uds_path\": \"/u\", \"vsock_id\": \"v\"},\n"
		"  \"console\": {\"uds_path\": \"/c\"},\n"
		"  \"balloon\": {\"amount_mib\": 3, \"deflate_on_oom\": true},\n"
		"  \"cpu-config\": null, \"logger\": null, \"metrics\": null,\n"
		"  \"shared-directories\": [{\"tag\": \"t\", \"socket\": \"/f\"}],\n"
		"  \"mmds-config\": {\"network_interfaces\": [\"n\"]}, \"memory-hotplug\": {\"total_size_mib\": 128} }\n";
	struct vm *vm = fake_vm_new();
	struct error err;

	(void)state;
	assert_int_equal(apply_text(vm, text, strlen(text), &err), 0);
	assert_string_equal(
		fake_vm_calls(vm),
		"put_machine put_boot_source put_drive put_drive put_net put_mmds put_pmem "
		"put_entropy put_balloon put_memory put_console put_vsock "
		"put_shared_directory ");
	assert_int_equal(vm_balloon(vm)->amount_mib, 3);
	assert_true(vm_balloon(vm)->deflate_on_oom);
	assert_string_equal(vm_mmds(vm)->network_interfaces[0], "n");
	assert_string_equal(vm_mmds(vm)->ipv4_address, "169.254.169.254");
	assert_string_equal(vm_pmem(vm, 0)->path_on_host, "/p");
	assert_string_equal(vm_console(vm)->uds_path, "/c");
	assert_int_equal(vm_console(vm)->history_bytes, 65536);
	assert_int_equal(vm_vsock(vm)->guest_cid, 3);
	assert_string_equal(vm_vsock(vm)->uds_path, "/u");
	assert_string_equal(vm_shared_directory(vm, 0)->socket, "/f");
	assert_int_equal(vm_machine(vm)->mem_size_mib, 1024);
	assert_string_equal(vm_boot_source(vm)->initrd_path, "/i");
	assert_string_equal(vm_boot_source(vm)->boot_args, "console=ttyS0");
	assert_string_equal(vm_drive(vm, 1)->path_on_host, "/e");
	assert_true(vm_drive(vm, 1)->is_read_only);
	vm_destroy(vm);
}

static void small_files(void **state)
{
	static const struct {
		const char *text, *calls;
	} rows[] = {
		{ "{}", "" },
		{ "{" BOOT ",\"drives\":[]}", "put_boot_source " },
		{ "{\"entropy\":null,\"balloon\":null,\"vsock\":null,\"console\":null,\"machine-config\":null,"
		  "\"boot-source\":null}",
		  "" },
		{ "{\"entropy\":{\"rate_limiter\":null}}", "put_entropy " },
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vm *vm = fake_vm_new();

		assert_int_equal(apply_text(vm, rows[i].text, strlen(rows[i].text), &err), 0);
		assert_string_equal(fake_vm_calls(vm), rows[i].calls);
		vm_destroy(vm);
	}
}

static void bad_files_name_the_fault(void **state)
{
	static const struct {
		const char *text;
		const char *field, *message;
	} rows[] = {
		{ "", "", "'[' or '{' expected near end of file at line 1 column 0" },
		{ "{\n  \"drives\": [}\n}", "", "unexpected token near '}' at line 2 column" },
		{ "{ /* no */ }", "", "string or '}' expected near '/' at line 1" },
		{ "[]", "", "invalid type: sequence, expected an object" },
		{ "{" BOOT "," BOOT "}", "",
		  "duplicate object key near '\"boot-source\"' at line 1" },
		{ "{\"bootsource\":{}}", "bootsource",
		  "unknown field `bootsource`, expected one of" },
		{ "{\"serial\":null}", "serial", "unknown field `serial`" },
		{ "{\"boot-source\":{}}", "boot-source.kernel_image_path",
		  "missing field `kernel_image_path`" },
		{ "{\"boot-source\":{\"kernel_image_path\":\"k\",\"x\":1}}", "boot-source.x",
		  "unknown field `x`" },
		{ "{\"drives\":{}}", "drives", "invalid type: map, expected a sequence" },
		{ "{\"drives\":[" DRIVE ",{\"drive_id\":\"e\"}]}", "drives[1].is_root_device",
		  "missing field `is_root_device`" },
		{ "{\"drives\":[{\"drive_id\":\"e-e\"}]}", "drives[0].drive_id",
		  "API Resource IDs" },
		{ "{\"machine-config\":{\"vcpu_count\":0,\"mem_size_mib\":1}}",
		  "machine-config.vcpu_count", "The number of vCPUs must be" },
		{ "{\"network-interfaces\":[{\"iface_id\":\"a\"},{\"mtu\":1500}]}",
		  "network-interfaces[1].iface_id", "missing field `iface_id`" },
		{ "{\"pmem\":[{\"id\":\"p\"}]}", "pmem[0].path_on_host",
		  "missing field `path_on_host`" },
		{ "{\"console\":{\"history_bytes\":0}}", "console.history_bytes",
		  "The value of history_bytes is out of range." },
		{ "{\"vsock\":{}}", "vsock.guest_cid", "missing field `guest_cid`" },
		{ "{\"cpu-config\":\"/nonexistent\"}", "cpu-config", "Cannot open" },
		{ "{\"cpu-config\":\"/dev/null\"}", "cpu-config", "" },
		{ "{\"metrics\":{}}", "metrics.metrics_path", "missing field `metrics_path`" },
		{ "{\"mmds-config\":{}}", "mmds-config.network_interfaces",
		  "missing field `network_interfaces`" },
		{ "{\"mmds-config\":{\"network_interfaces\":[\"n\"],\"version\":\"V3\"}}",
		  "mmds-config.version", "unknown variant `V3`" },
		{ "{\"logger\":{\"level\":\"Loud\"}}", "logger.level", "unknown variant `Loud`" },
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vm *vm = fake_vm_new();
		int r = apply_text(vm, rows[i].text, strlen(rows[i].text), &err);
		const char *message = strstr(err.text, ": ");

		if (r >= 0 || strncmp(err.text, "Configuration file /tmp/", 24) != 0 || !message ||
		    strncmp(message + 2, rows[i].message, strlen(rows[i].message)) != 0 ||
		    strcmp(err.field, rows[i].field) != 0)
			fail_msg("%s\n  got  %d [%s] %s", rows[i].text, r, err.field, err.text);
		assert_string_equal(fake_vm_calls(vm), "");
		vm_destroy(vm);
	}
}

static void machines_refusal_names_the_section(void **state)
{
	static const char text[] = "{\"drives\":[" DRIVE "]}";
	struct vm *vm = fake_vm_new();
	struct error err;

	(void)state;
	fake_vm_fail(vm, "path_on_host");
	assert_int_equal(apply_text(vm, text, strlen(text), &err), -EIO);
	assert_string_equal(err.field, "drives[0].path_on_host");
	assert_string_equal(err.hint, "try another");
	assert_non_null(strstr(err.text, ": The fake machine refused"));
	vm_destroy(vm);
}

static void unreadable_files(void **state)
{
	static const struct {
		const char *path;
		int code;
	} rows[] = {
		{ "/nonexistent/wisp.json", -ENOENT },
		{ "/", -EISDIR },
		{ "", -ENOENT },
	};
	struct vm *vm = fake_vm_new();
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(config_file_apply(vm, rows[i].path, &err), rows[i].code);
		assert_string_equal(err.field, "config-file");
		assert_string_not_equal(err.hint, "");
		assert_non_null(strstr(err.text, "Cannot "));
	}
	assert_int_equal(config_file_apply(vm, "/", NULL), -EISDIR);
	vm_destroy(vm);
}

/* The largest file that is read, and one byte more. */
static void size_limit(void **state)
{
	static const struct {
		size_t len;
		int code;
	} rows[] = { { CONFIG_FILE_BYTES - 1, 0 }, { CONFIG_FILE_BYTES + 1, -EFBIG } };
	char *text = malloc(CONFIG_FILE_BYTES + 1);
	struct error err;

	(void)state;
	assert_non_null(text);
	memset(text, ' ', CONFIG_FILE_BYTES + 1);
	text[0] = '{';
	text[1] = '}';
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vm *vm = fake_vm_new();

		assert_int_equal(apply_text(vm, text, rows[i].len, &err), rows[i].code);
		vm_destroy(vm);
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_arrives_in_order),
		cmocka_unit_test(small_files),
		cmocka_unit_test(bad_files_name_the_fault),
		cmocka_unit_test(machines_refusal_names_the_section),
		cmocka_unit_test(unreadable_files),
		cmocka_unit_test(size_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
