/* fingerprint.c - everything on which a CPU template's effect depends. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "vmm/cpu/fingerprint.h"
#include "vmm/cpu/template_json.h"

/* The first line of a file of the kernel's, null when there is none. */
static json_t *first_line(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[256] = "";

	if (!f)
		return json_null();
	if (fgets(line, sizeof(line), f))
		line[strcspn(line, "\n")] = '\0';
	fclose(f);
	return json_string(line);
}

/* What /proc/cpuinfo says of the first processor under this name, or null. */
static json_t *cpuinfo(const char *name)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	size_t len = strlen(name);
	char line[4096];
	json_t *value = NULL;

	while (f && !value && fgets(line, sizeof(line), f)) {
		char *colon = strchr(line, ':');

		if (!colon || strncmp(line, name, len) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		value = json_string(colon[1] == ' ' ? colon + 2 : colon + 1);
	}
	if (f)
		fclose(f);
	return value ? value : json_null();
}

json_t *fingerprint_take(const struct cpu_template *dump)
{
	struct utsname host;

	if (uname(&host) < 0)
		return NULL;
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "wisp_version", WISP_VERSION,
			 "kernel_version", host.release, "cpu_model", cpuinfo("model name"),
			 "microcode_version", cpuinfo("microcode"), "bios_version",
			 first_line("/sys/devices/virtual/dmi/id/bios_version"), "bios_revision",
			 first_line("/sys/devices/virtual/dmi/id/bios_release"), "guest_cpu_config",
			 template_json_write(dump));
}

static void say_difference(const char *name, const json_t *before, const json_t *now, FILE *out)
{
	/* What the guest sees is too long for a line: dump and strip show it. */
	if (json_is_object(now)) {
		fprintf(out, "%s: differs\n", name);
		return;
	}
	fprintf(out, "%s: ", name);
	json_dumpf(before, out, JSON_ENCODE_ANY);
	fputs(", now ", out);
	json_dumpf(now, out, JSON_ENCODE_ANY);
	fputc('\n', out);
}

static int compare_field(json_t *before, json_t *now, const char *name, FILE *out)
{
	const json_t *a = json_object_get(before, name), *b = json_object_get(now, name);

	if (a && b && json_equal(a, b))
		return 0;
	say_difference(name, a, b, out);
	return 1;
}

int fingerprint_compare(json_t *before, json_t *now, const char *const *fields, FILE *out,
			struct error *err)
{
	const char *name;
	json_t *value;
	int differ = 0;

	if (!fields) {
		json_object_foreach(now, name, value) differ +=
			compare_field(before, now, name, out);
		return differ;
	}
	for (; *fields; fields++) {
		if (!json_object_get(now, *fields))
			return error_set(err, -EINVAL, NULL, "name one of those in the file",
					 "a fingerprint has no field %s", *fields);
		differ += compare_field(before, now, *fields, out);
	}
	return differ;
}
