/* test_acpi.c - the ACPI tables: all reachable, all sums right, and the DSDT as
 * ACPICA's own compiler reads it.
 *
 * Fields are read by the offsets of the ACPI specification, not by the structs
 * that wrote them.
 */
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

#include "vmm/arch/x86_64/acpi.h"
#include "vmm/arch/x86_64/layout.h"

#define KIB 1024ull
#define MIB (1024 * KIB)

enum { HEADER_LEN = 36, DSDT_MAX = 8192 };

static struct gmem *new_ram(uint64_t size)
{
	struct gmem_config config = { .size_bytes = size };
	struct gmem *m = NULL;

	assert_int_equal(gmem_create(&config, &m, NULL), 0);
	return m;
}

/* Windows as the board gives them. */
static const struct virtio_window *windows(void)
{
	static struct virtio_window w[LAYOUT_MAX_VIRTIO];

	for (unsigned i = 0; i < LAYOUT_MAX_VIRTIO; i++)
		w[i] = (struct virtio_window){
			.base = LAYOUT_VIRTIO_MMIO + i * LAYOUT_VIRTIO_LEN,
			.len = LAYOUT_VIRTIO_LEN,
			.gsi = LAYOUT_GSI_VIRTIO + i,
		};
	return w;
}

static struct machine_tables machine(unsigned vcpus, unsigned nvirtio)
{
	return (struct machine_tables){
		.vcpus = vcpus,
		.virtio = windows(),
		.nvirtio = nvirtio,
	};
}

static uint64_t read_le(struct gmem *m, uint64_t at, size_t len)
{
	uint64_t v = 0;

	assert_int_equal(gmem_read(m, &v, gpa(at), len), 0);
	return v;
}

static void assert_text(struct gmem *m, uint64_t at, const char *text)
{
	const char *got = gmem_span(m, gpa(at), strlen(text));

	assert_non_null(got);
	assert_memory_equal(got, text, strlen(text));
}

static void assert_sum_zero(struct gmem *m, uint64_t at, size_t len)
{
	const uint8_t *p = gmem_span(m, gpa(at), len);
	uint8_t sum = 0;

	assert_non_null(p);
	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + p[i]);
	assert_int_equal(sum, 0);
}

/* A whole table at its address; returns its length. */
static uint32_t check_table(struct gmem *m, uint64_t at, const char *signature, unsigned revision)
{
	uint32_t len = (uint32_t)read_le(m, at + 4, 4);

	assert_true(at >= LAYOUT_ACPI && at % 16 == 0);
	assert_true(len >= HEADER_LEN && at + len <= LAYOUT_ACPI_END);
	assert_text(m, at, signature);
	assert_int_equal(read_le(m, at + 8, 1), revision);
	assert_text(m, at + 10, "WISP  ");
	assert_sum_zero(m, at, len);
	return len;
}

/* Where everything is, found as a guest finds it. */
struct tables {
	uint64_t fadt, madt, dsdt, mcfg;
	uint32_t madt_len, dsdt_len, xsdt_len;
};

static struct tables find_tables(struct gmem *m, gpa_t rsdp)
{
	struct tables t;
	uint64_t xsdt;

	assert_int_equal(rsdp.v, LAYOUT_ACPI);
	assert_text(m, rsdp.v, "RSD PTR ");
	assert_text(m, rsdp.v + 9, "WISP  ");
	assert_int_equal(read_le(m, rsdp.v + 15, 1), 2);
	assert_int_equal(read_le(m, rsdp.v + 20, 4), 36);
	assert_sum_zero(m, rsdp.v, 20);
	assert_sum_zero(m, rsdp.v, 36);

	xsdt = read_le(m, rsdp.v + 24, 8);
	t.xsdt_len = check_table(m, xsdt, "XSDT", 1);
	t.mcfg = t.xsdt_len > HEADER_LEN + 2 * 8 ? read_le(m, xsdt + HEADER_LEN + 16, 8) : 0;
	t.fadt = read_le(m, xsdt + HEADER_LEN, 8);
	t.madt = read_le(m, xsdt + HEADER_LEN + 8, 8);
	assert_int_equal(check_table(m, t.fadt, "FACP", 6), 276);
	t.madt_len = check_table(m, t.madt, "APIC", 5);
	t.dsdt = read_le(m, t.fadt + 140, 8);
	t.dsdt_len = check_table(m, t.dsdt, "DSDT", 2);
	return t;
}

static struct tables write_tables(struct gmem *m, unsigned vcpus, unsigned nvirtio)
{
	struct machine_tables machine_tables = machine(vcpus, nvirtio);
	gpa_t rsdp = { 0 };

	assert_int_equal(acpi_write(m, &machine_tables, &rsdp, NULL), 0);
	return find_tables(m, rsdp);
}

static void assert_port(struct gmem *m, uint64_t gas, uint16_t port)
{
	assert_int_equal(read_le(m, gas, 4), 0x01000801); /* system I/O, 8 bits, by byte */
	assert_int_equal(read_le(m, gas + 4, 8), port);
}

/* Configuration space of bus 0, and a table only where there is PCI. */
static void test_mcfg(void **state)
{
	struct machine_tables with_pci = { .vcpus = 1, .pci = true };
	struct gmem *m = new_ram(MIB);
	struct tables t = write_tables(m, 1, 0);
	gpa_t rsdp = { 0 };

	(void)state;
	assert_int_equal(t.xsdt_len, HEADER_LEN + 2 * 8);
	assert_int_equal(acpi_write(m, &with_pci, &rsdp, NULL), 0);
	t = find_tables(m, rsdp);
	assert_int_equal(t.xsdt_len, HEADER_LEN + 3 * 8);
	assert_int_equal(check_table(m, t.mcfg, "MCFG", 1), 60);
	assert_int_equal(read_le(m, t.mcfg + 44, 8), LAYOUT_PCI_ECAM);
	assert_int_equal(read_le(m, t.mcfg + 52, 8), 0); /* segment 0, bus 0 to 0 */
	gmem_destroy(m);
}

static void test_fadt(void **state)
{
	struct gmem *m = new_ram(MIB);
	uint64_t fadt = write_tables(m, 1, 0).fadt;
	uint32_t flags = (uint32_t)read_le(m, fadt + 112, 4);

	(void)state;
	assert_int_equal(flags & (1 << 20), 1 << 20); /* HW_REDUCED_ACPI */
	assert_int_equal(flags & (1 << 10), 1 << 10); /* RESET_REG_SUP */
	assert_int_equal(read_le(m, fadt + 109, 2), 0x26);
	assert_port(m, fadt + 116, 0x602);
	assert_int_equal(read_le(m, fadt + 128, 1), 1);
	assert_port(m, fadt + 244, 0x600);
	assert_port(m, fadt + 256, 0x601);
	assert_text(m, fadt + 268, "WISP    ");
	/* No fixed hardware: not a register between the DSDT's address and the flags. */
	for (uint64_t at = 44; at < 109; at++)
		assert_int_equal(read_le(m, fadt + at, 1), 0);
	gmem_destroy(m);
}

/* How many entries of each type; also that their lengths lead to the end exactly. */
static void count_madt(struct gmem *m, const struct tables *t, unsigned count[16])
{
	uint64_t at = t->madt + 44, end = t->madt + t->madt_len;

	memset(count, 0, 16 * sizeof(count[0]));
	while (at < end) {
		uint64_t type = read_le(m, at, 1), len = read_le(m, at + 1, 1);

		assert_true(type < 16 && len >= 2);
		count[type]++;
		at += len;
	}
	assert_int_equal(at, end);
}

static void test_madt(void **state)
{
	static const struct {
		unsigned vcpus, apics, x2apics;
	} cases[] = { { 1, 1, 0 }, { 32, 32, 0 }, { 255, 255, 0 }, { 256, 255, 1 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gmem *m = new_ram(MIB);
		struct tables t = write_tables(m, cases[i].vcpus, 0);
		unsigned count[16];

		count_madt(m, &t, count);
		assert_int_equal(read_le(m, t.madt + 36, 4), LAYOUT_LAPIC);
		assert_int_equal(read_le(m, t.madt + 40, 4), 0);
		assert_int_equal(count[0], cases[i].apics);
		assert_int_equal(count[9], cases[i].x2apics);
		assert_int_equal(count[1], 1);
		assert_int_equal(count[4], 1);
		assert_int_equal(count[10], cases[i].x2apics ? 1 : 0);
		gmem_destroy(m);
	}
}

static void test_madt_entries(void **state)
{
	struct gmem *m = new_ram(MIB);
	uint64_t at = write_tables(m, 256, 0).madt + 44;

	(void)state;
	/* Type, length, UID, APIC id, enabled. */
	assert_int_equal(read_le(m, at, 8), 0x0000000100000800);
	assert_int_equal(read_le(m, at + 254 * 8, 8), 0x00000001fefe0800);
	at += 255 * 8;
	assert_int_equal(read_le(m, at, 8), 0x000000ff00001009);
	assert_int_equal(read_le(m, at + 8, 8), 0x000000ff00000001);
	at += 16;
	assert_int_equal(read_le(m, at, 8), 0xfec0000000000c01);
	assert_int_equal(read_le(m, at + 8, 4), 0);
	at += 12;
	assert_int_equal(read_le(m, at, 6), 0x010000ff0604);
	assert_int_equal(read_le(m, at + 6, 8), 0xffffffff00000c0a);
	assert_int_equal(read_le(m, at + 14, 4), 1);
	gmem_destroy(m);
}

/* How often a run of bytes stands in the DSDT. */
static unsigned occurrences(struct gmem *m, const struct tables *t, const void *what, size_t len)
{
	const uint8_t *p = gmem_span(m, gpa(t->dsdt), t->dsdt_len);
	unsigned n = 0;

	for (size_t i = 0; i + len <= t->dsdt_len; i++)
		n += memcmp(p + i, what, len) == 0;
	return n;
}

static void test_virtio_resources(void **state)
{
	static const unsigned counts[] = { 0, 1, LAYOUT_MAX_VIRTIO };

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct gmem *m = new_ram(MIB);
		struct tables t = write_tables(m, 1, counts[i]);

		assert_int_equal(occurrences(m, &t, "LNRO0005", 9), counts[i]);
		for (unsigned n = 0; n < counts[i]; n++) {
			const uint8_t pages = (uint8_t)(n + 1), gsi = (uint8_t)(6 + n);
			const uint8_t crs[] = {
				/* Memory32Fixed, read and write, 0xc0001000 + n pages, a page */
				0x86,
				9,
				0,
				1,
				0,
				(uint8_t)(pages << 4),
				pages >> 4,
				0xc0,
				0,
				0x10,
				0,
				0,
				/* Interrupt, edge, active high, exclusive; end tag */
				0x89,
				6,
				0,
				3,
				1,
				gsi,
				0,
				0,
				0,
				0x79,
				0,
			};

			assert_int_equal(occurrences(m, &t, crs, sizeof(crs)), 1);
		}
		gmem_destroy(m);
	}
}

static void test_refusals(void **state)
{
	const struct virtio_window high = { .base = UINT32_MAX - 0xfff, .len = 0x1000 };
	const struct virtio_window higher = { .base = 1ull << 32, .len = 0x1000 };
	struct machine_tables above = { .vcpus = 1, .virtio = &higher, .nvirtio = 1 };
	struct machine_tables wraps = { .vcpus = 1, .virtio = &high, .nvirtio = 1 };
	struct machine_tables many = machine(1, LAYOUT_MAX_VIRTIO);
	struct machine_tables crowd = machine(20000, 0), fits = machine(32, LAYOUT_MAX_VIRTIO);
	struct gmem *m = new_ram(MIB), *small = new_ram(MIB - 4 * KIB);
	struct error err = { 0 };
	gpa_t rsdp = { 1 };

	(void)state;
	many.nvirtio++;
	assert_int_equal(acpi_write(m, &above, &rsdp, &err), -EINVAL);
	assert_int_equal(acpi_write(m, &wraps, &rsdp, &err), -EINVAL);
	assert_int_equal(acpi_write(m, &many, &rsdp, &err), -EINVAL);
	assert_int_equal(acpi_write(m, &crowd, &rsdp, &err), -ENOSPC);
	assert_string_equal(err.field, "vcpu_count");
	assert_int_equal(acpi_write(small, &fits, &rsdp, &err), -EFAULT);
	assert_string_equal(err.field, "mem_size_mib");
	assert_int_equal(rsdp.v, 1);
	gmem_destroy(small);
	gmem_destroy(m);
}

/* --- as ACPICA reads it --- */

/* Runs a shell command in dir; its output in text. True when it ended with 0. */
static bool run(const char *dir, const char *command, char *text, size_t len)
{
	char line[512];
	size_t n;
	FILE *f;

	snprintf(line, sizeof(line), "cd %s && { %s; } 2>&1", dir, command);
	f = popen(line, "r");
	assert_non_null(f);
	n = fread(text, 1, len - 1, f);
	text[n] = '\0';
	return pclose(f) == 0;
}

static void write_dsdt(const char *dir, unsigned nvirtio, bool pci)
{
	struct gmem *m = new_ram(MIB);
	struct machine_tables machine_tables = machine(2, nvirtio);
	struct tables t;
	gpa_t rsdp = { 0 };
	char path[256];
	FILE *f;

	machine_tables.pci = pci;
	assert_int_equal(acpi_write(m, &machine_tables, &rsdp, NULL), 0);
	t = find_tables(m, rsdp);
	snprintf(path, sizeof(path), "%s/dsdt.aml", dir);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(gmem_span(m, gpa(t.dsdt), t.dsdt_len), t.dsdt_len, 1, f), 1);
	assert_int_equal(fclose(f), 0);
	gmem_destroy(m);
}

/* What the disassembly must say, in its own words, whatever the spaces. */
static const char *const said[] = {
	"Name(\\_S5,Package(0x04){0x05,0x05,Zero,Zero})",
	"Scope(\\_SB)",
	"Device(COM1){Name(_HID,EisaId(\"PNP0501\")",
	"IO(Decode16,0x03F8,0x03F8,0x01,0x08,)IRQNoFlags(){4}",
	"Device(KBD){Name(_HID,EisaId(\"PNP0303\")",
	"IO(Decode16,0x0060,0x0060,0x01,0x01,)IO(Decode16,0x0064,0x0064,0x01,0x01,)IRQNoFlags(){1}",
	"Device(PWRB){Name(_HID,EisaId(\"PNP0C0C\")",
	"Device(GED){Name(_HID,\"ACPI0013\")",
	"OperationRegion(EREG,SystemIO,0x0603,One)Field(EREG,ByteAcc,NoLock,Preserve){ESEL,8}",
	"Method(_EVT,1,Serialized)",
	"Local0=ESEL",
	"Device(VGEN){Name(_HID,\"WISP0001\")Name(_CID,\"VM_Gen_Counter\")",
	"Name(ADDR,Package(0x02){0x0009D000,Zero})",
	"Device(VCLK){Name(_HID,\"AMZNC10C\")Name(_CID,\"VMCLOCK\")",
	"Memory32Fixed(ReadWrite,0x0009E000,0x00001000,)",
	"If((Local0&One)){Notify(PWRB,0x80)}",
	"If((Local0&0x02)){Notify(VGEN,0x80)}",
	"If((Local0&0x04)){Notify(VCLK,0x80)}",
	"Device(V000){Name(_HID,\"LNRO0005\")Name(_UID,Zero)",
	("Memory32Fixed(ReadWrite,0xC0001000,0x00001000,)"
	 "Interrupt(ResourceConsumer,Edge,ActiveHigh,Exclusive,,,){0x00000006,}"),
	"Device(V011){Name(_HID,\"LNRO0005\")Name(_UID,0x11)",
};

static const char *const said_of_pci[] = {
	"Device(MBRD){Name(_HID,EisaId(\"PNP0C02\")",
	"Memory32Fixed(ReadWrite,0xEEC00000,0x00100000,)",
	"Device(PCI0){Name(_HID,EisaId(\"PNP0A08\")",
	("WordBusNumber(ResourceProducer,MinFixed,MaxFixed,PosDecode,0x0000,0x0000,0x0000,0x0000,"
	 "0x0001,,,)"),
	("DWordMemory(ResourceProducer,PosDecode,MinFixed,MaxFixed,NonCacheable,ReadWrite,"
	 "0x00000000,0xD0000000,0xD0FFFFFF,0x00000000,0x01000000,,,,AddressRangeMemory,TypeStatic)"),
	"OperationRegion(HPRG,SystemIO,0x0610,0x0C)",
	"Field(HPRG,DWordAcc,NoLock,Preserve){FILL,32,WANT,32,EJCT,32}",
	("Device(S01){Name(_ADR,0x00010000)Name(_SUN,One)Method(_EJ0,1,Serialized)"
	 "{EJCT=0x02}}"),
	("Device(S1F){Name(_ADR,0x001F0000)Name(_SUN,0x1F)Method(_EJ0,1,Serialized)"
	 "{EJCT=0x80000000}}"),
	"Device(HPED){Name(_HID,\"ACPI0013\")Name(_UID,One)",
	"Method(_EVT,1,Serialized){Local0=FILLIf((Local0&0x02)){Notify(S01,One)}",
	"Local0=WANTIf((Local0&0x02)){Notify(S01,0x03)}",
};

/* Drops white space and both kinds of comments. */
static void squeeze(char *text)
{
	const char *from = text;
	char *to = text;

	while (*from) {
		const char *comment_end = NULL;

		if (strncmp(from, "//", 2) == 0)
			comment_end = from + strcspn(from, "\n");
		else if (strncmp(from, "/*", 2) == 0)
			comment_end = strstr(from + 2, "*/") + 2;
		if (comment_end)
			from = comment_end;
		else if (strchr(" \t\r\n", *from))
			from++;
		else
			*to++ = *from++;
	}
	*to = '\0';
}

static void check_said(const char *dir, const char *const *want, size_t count)
{
	static char text[1 << 20];

	assert_true(run(dir, "cat dsdt.dsl", text, sizeof(text)));
	squeeze(text);
	for (size_t i = 0; i < count; i++) {
		if (!strstr(text, want[i]))
			fail_msg("the DSDT does not say: %s", want[i]);
	}
}

static void test_iasl(void **state)
{
	static const struct {
		unsigned nvirtio;
		bool pci;
		const char *const *said;
		size_t count;
	} cases[] = {
		{ 0, false, NULL, 0 },
		{ LAYOUT_MAX_VIRTIO, false, said, sizeof(said) / sizeof(said[0]) },
		{ 0, true, said_of_pci, sizeof(said_of_pci) / sizeof(said_of_pci[0]) },
	};
	char dir[] = "/tmp/wisp-acpi-XXXXXX", text[DSDT_MAX];

	(void)state;
	if (!run("/", "command -v iasl", text, sizeof(text))) {
		print_message("no iasl here: install acpica-tools\n");
		skip();
	}
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		write_dsdt(dir, cases[i].nvirtio, cases[i].pci);
		if (!run(dir, "iasl -d dsdt.aml && iasl -p again -we dsdt.dsl && test -s again.aml",
			 text, sizeof(text)) ||
		    !strstr(text, "0 Errors, 0 Warnings"))
			fail_msg("iasl did not like the DSDT: %s", text);
		check_said(dir, cases[i].said, cases[i].count);
	}
	snprintf(text, sizeof(text), "rm -rf %s", dir);
	assert_int_equal(system(text), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fadt),	     cmocka_unit_test(test_madt),
		cmocka_unit_test(test_madt_entries), cmocka_unit_test(test_virtio_resources),
		cmocka_unit_test(test_mcfg),	     cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_iasl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
