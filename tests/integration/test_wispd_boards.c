/* test_wispd_boards.c - guests that are no microVM's kind of machine, and have no device of the
 * host's: firmware, disks of other kinds, many processors. Real guests, in the test host.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/integration/fixture.h"
#include "tests/integration/job_guests.h"
#include "tests/integration/wispd_host.h"

enum { SKIPPED = 77, SECTOR_BYTES = 512 };

#define LOADER "/usr/lib/systemd/boot/efi/systemd-bootx64.efi"

static struct wispd_host *h;

#define expect(wanted, ...) wispd_host_expect(h, wanted, (const char *const[]){ __VA_ARGS__, NULL })

static void expect_in(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("no \"%s\" in:\n%s", words, text);
}

static int set_up(void **state)
{
	(void)state;
	h = wispd_host_make(", \"vcpus\": 64, \"stop_timeout_ms\": 100");
	if (!wispd_host_start(h, 0))
		return -1;
	return wispd_host_call(h, "PUT", "/shapes/many", "{\"vcpus\": 33, \"mem_mib\": 512}",
			       NULL) == 200
		       ? 0
		       : -1;
}

static int tear_down(void **state)
{
	(void)state;
	wispd_host_end(h);
	return 0;
}

/* --- UEFI --- */

/* A disk with a partition for firmware, in it a boot loader and what that is to start. */
static const char *make_disk(void)
{
	static const char recipe[] =
		"set -e; disk=%1$s/esp.img; part=$disk@@1M\n"
		"truncate -s 64M $disk\n"
		"printf 'label: gpt\\nstart=2048, type=uefi\\n' | sfdisk -q $disk\n"
		"mformat -i $part -T 126976 -F -c 1 ::\n"
		"mmd -i $part ::/EFI ::/EFI/BOOT ::/loader ::/loader/entries\n"
		"mcopy -i $part " LOADER " ::/EFI/BOOT/BOOTX64.EFI\n"
		"mcopy -i $part %2$s ::/linux\n"
		"printf 'linux /linux\\noptions console=ttyS0 panic=0\\n' |"
		" mcopy -i $part - ::/loader/entries/guest.conf\n";
	char command[2048];

	snprintf(command, sizeof(command), recipe, fixture_dir(),
		 fixture_need_image("vmlinuz-stock"));
	if (system(command) != 0)
		fail_msg("%s", command);
	return fixture_path("esp.img");
}

/* A whole disk: firmware finds a loader on it, which starts Linux. */
static void test_uefi(void **state)
{
	const char *said;

	(void)state;
	expect(0, "image", "add", "--rootfs", make_disk(), "esp");
	said = expect(1, "create", "--runtime", "wisp", "--shape", "small", "esp");
	expect_in(said, "a microVM has no firmware");
	expect(0, "run", "-d", "--name", "whole", "--shape", "small", "--disk-bus", "nvme", "esp");
	/* What firmware says, and then the kernel. */
	job_await_words(h, "whole", "NVMe Ctrl");
	job_await_words(h, "whole", "efi: EFI v");
	said = expect(0, "explain", "whole");
	expect_in(said, "chosen: qemu");
	expect_in(said, "a microVM has no firmware");
	expect(0, "rm", "whole");
}

/* --- BIOS --- */

/* Says what stands behind it on the serial line, and stops. */
static const uint8_t boot_sector[] = {
	0x31, 0xc0,	  /* xor ax, ax */
	0x8e, 0xd8,	  /* mov ds, ax */
	0xbe, 0x16, 0x7c, /* mov si, text */
	0xfc,		  /* cld */
	0xac,		  /* next: lodsb */
	0x84, 0xc0,	  /* test al, al */
	0x74, 0x06,	  /* jz end */
	0xba, 0xf8, 0x03, /* mov dx, 3f8h */
	0xee,		  /* out dx, al */
	0xeb, 0xf5,	  /* jmp next */
	0xf4,		  /* end: hlt */
	0xeb, 0xfd,	  /* jmp end */
};

static void test_bios(void **state)
{
	uint8_t sector[SECTOR_BYTES * 2048] = { 0 };
	int fd;

	(void)state;
	memcpy(sector, boot_sector, sizeof(boot_sector));
	memcpy(sector + sizeof(boot_sector), "BOOTED BY BIOS\n", 15);
	sector[SECTOR_BYTES - 2] = 0x55;
	sector[SECTOR_BYTES - 1] = 0xaa;
	fd = open(fixture_path("old.img"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, sector, sizeof(sector)), sizeof(sector));
	close(fd);
	expect(0, "image", "add", "--rootfs", fixture_path("old.img"), "old");
	expect(0, "run", "-d", "--name", "old", "--shape", "tiny", "--firmware", "bios",
	       "--disk-bus", "sata", "old");
	job_await_words(h, "old", "BOOTED BY BIOS");
	/* Its own image is one that it can go over to, too. */
	expect_in(expect(0, "runbook", "image-update", "old", "old"), "rebuild");
	job_await_state(h, "old", "running");
	expect(0, "rm", "old");
}

/* --- processors, and refusals --- */

static void test_processors(void **state)
{
	(void)state;
	job_image_add(h, "plain", false, "#!/bin/sh\necho READY\n");
	expect_in(expect(1, "create", "--runtime", "wisp", "--shape", "many", "plain"),
		  "at most 32 processors");
	expect_in(expect(1, "create", "--runtime", "wisp", "--disk-bus", "sata", "plain"),
		  "no disks but virtio's");
	expect_in(expect(1, "pool", "create", "--shape", "many", "p", "plain"), "at most 32");
	expect(0, "create", "--name", "small", "plain");
	expect_in(expect(1, "resize", "small", "many"), "at most 32 processors");
	expect_in(expect(1, "rebuild", "small", "esp"), "no firmware");
	expect(0, "rm", "small");
	expect(0, "create", "--name", "large", "--shape", "many", "plain");
	expect_in(expect(0, "explain", "large"), "at most 32 processors");
	expect(0, "rm", "large");
	/* Firmware begins with all of them; Linux would take minutes to, on emulated ones. */
	expect(0, "run", "-d", "--name", "wide", "--shape", "many", "--firmware", "bios", "old");
	job_await_words(h, "wide", "BOOTED BY BIOS");
	assert_int_equal(
		system("grep -c '^CPU .*/KVM$' /proc/$(pidof qemu-system-x86_64)/task/*/comm |"
		       " grep -c ':1$' | grep -qx 33"),
		0);
	expect(0, "rm", "wide");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uefi),
		cmocka_unit_test(test_bios),
		cmocka_unit_test(test_processors),
	};

	if (!fixture_has_kvm() || geteuid() != 0 || access(LOADER, R_OK) < 0) {
		fprintf(stderr, "test_wispd_boards needs /dev/kvm, root, and a boot loader\n");
		return SKIPPED;
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
