/* selector.c - names of classes, and what a user may say for a device. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/device/inventory.h"

/* The more special ones first: the first that fits is the name. */
static const struct {
	const char *name;
	uint32_t code, mask;
} classes[] = {
	{ "nvme", 0x010802, 0xffffff },	      { "storage", 0x010000, 0xff0000 },
	{ "network", 0x020000, 0xff0000 },    { "gpu", 0x030000, 0xff0000 },
	{ "multimedia", 0x040000, 0xff0000 }, { "bridge", 0x060000, 0xff0000 },
	{ "usb", 0x0c0300, 0xffff00 },	      { "accelerator", 0x120000, 0xff0000 },
};

enum { CLASSES = sizeof(classes) / sizeof(classes[0]) };

const char *pci_class_name(uint32_t class_code)
{
	for (size_t i = 0; i < CLASSES; i++)
		if ((class_code & classes[i].mask) == classes[i].code)
			return classes[i].name;
	return "other";
}

bool pci_is_bridge(const struct pci_function *f)
{
	return f->class_code >> 16 == 0x06;
}

static const char hex[] = "0123456789abcdefABCDEF";

static bool is_hex(const char *text, size_t len)
{
	return strspn(text, hex) == len;
}

/* The value of so many hexadecimal digits, which end with this character. */
static bool take_hex(const char **text, unsigned digits, char end, unsigned *ret)
{
	char number[8];

	if (strlen(*text) < digits + (end != '\0') || strspn(*text, hex) < digits ||
	    (*text)[digits] != end)
		return false;
	snprintf(number, sizeof(number), "%.*s", (int)digits, *text);
	*ret = (unsigned)strtoul(number, NULL, 16);
	*text += digits + (end != '\0');
	return true;
}

/* "0000:00:04.0" or "00:04.0". */
static bool parse_address(const char *text, struct pci_selector *s)
{
	unsigned domain = 0, bus, slot, function;

	(void)take_hex(&text, 4, ':', &domain);
	if (!take_hex(&text, 2, ':', &bus) || !take_hex(&text, 2, '.', &slot) ||
	    !take_hex(&text, 1, '\0', &function))
		return false;
	snprintf(s->address, sizeof(s->address), "%04x:%02x:%02x.%x", domain & 0xffff, bus & 0xff,
		 slot & 0xff, function & 0xf);
	return true;
}

static bool parse_ids(const char *text, struct pci_selector *s)
{
	if (strlen(text) != 9 || text[4] != ':' || !is_hex(text + 5, 4))
		return false;
	s->vendor = (uint32_t)strtoul(text, NULL, 16);
	s->device = (uint32_t)strtoul(text + 5, NULL, 16);
	s->ids_mask = 0xffff;
	return strspn(text, hex) == 4;
}

static bool parse_class(const char *text, struct pci_selector *s)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < CLASSES; i++) {
		if (strcmp(text, classes[i].name) != 0)
			continue;
		s->class_code = classes[i].code;
		s->class_mask = classes[i].mask;
		return true;
	}
	if ((len != 2 && len != 4 && len != 6) || !is_hex(text, len))
		return false;
	s->class_code = (uint32_t)strtoul(text, NULL, 16) << (4 * (6 - len));
	s->class_mask = 0xffffffU << (4 * (6 - len)) & 0xffffff;
	return true;
}

int pci_selector_parse(const char *text, struct pci_selector *ret, struct error *err)
{
	struct pci_selector s = { 0 };
	const char *rest = strncmp(text, "pci:", 4) == 0 ? text + 4 : text;

	if (!parse_address(rest, &s) && !parse_ids(rest, &s) && !parse_class(rest, &s))
		return error_set(err, -EINVAL, "device",
				 "pci:network, pci:8086:10d3 or pci:0000:00:04.0",
				 "%.64s names no PCI device", text);
	*ret = s;
	return 0;
}

bool pci_selector_matches(const struct pci_selector *s, const struct pci_function *f)
{
	if (s->address[0])
		return strcmp(s->address, f->address) == 0;
	if (s->ids_mask)
		return s->vendor == f->vendor && s->device == f->device;
	return (f->class_code & s->class_mask) == s->class_code;
}
