/* fault.c - finding the device in a line of the kernel's log. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/device/fault.h"

enum { FACILITY_SHIFT = 3 };

/* Where an address stands: behind these words of a line that has those. */
static const struct {
	const char *has, *before;
	bool leaving;
} kinds[] = {
	/* "DMAR: [DMA Read NO_PASID] Request device [00:08.0] fault addr 0x7ff00000 ..." */
	{ "DMAR:", "Request device [", false },
	/* "AMD-Vi: Event logged [IO_PAGE_FAULT device=0000:01:00.0 domain=... address=..." */
	{ "IO_PAGE_FAULT", "device=", false },
	/* "vfio-pci 0000:01:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=... address=..." */
	{ "IO_PAGE_FAULT", "vfio-pci ", false },
	/* "vfio-pci 0000:01:00.0: Relaying device request to user (#0)", and every 100 s again */
	{ "Relaying device request to user", "vfio-pci ", true },
	{ "No device request channel registered", "vfio-pci ", true },
};

/* The message, if the record (Documentation/ABI/testing/dev-kmsg) is the kernel's own: a
 * program can write there, too, but not in its name. */
static const char *message_of(const char *record)
{
	const char *text = strchr(record, ';');
	char *end;
	unsigned long priority = strtoul(record, &end, 10);

	return text && end != record && *end == ',' && priority >> FACILITY_SHIFT == 0 ? text + 1
										       : NULL;
}

/* With a domain or, as Intel's driver has it, without. */
static bool read_address(const char *at, char ret[PCI_ADDRESS_BYTES])
{
	size_t len = strspn(at, "0123456789abcdef:.");
	struct pci_selector selector;
	char text[PCI_ADDRESS_BYTES];
	struct error err;

	if (!len || len >= sizeof(text))
		return false;
	memcpy(text, at, len);
	/* "vfio-pci 0000:01:00.0: ..." */
	text[text[len - 1] == ':' ? len - 1 : len] = '\0';
	if (pci_selector_parse(text, &selector, &err) < 0 || !selector.address[0])
		return false;
	memcpy(ret, selector.address, PCI_ADDRESS_BYTES);
	return true;
}

static void copy_line(const char *from, char to[FAULT_TEXT_BYTES])
{
	size_t n = 0;

	for (; n < FAULT_TEXT_BYTES - 1 && from[n] && from[n] != '\n'; n++)
		to[n] = isprint((unsigned char)from[n]) ? from[n] : '?';
	to[n] = '\0';
}

bool fault_parse(const char *record, struct fault *ret)
{
	const char *message = message_of(record);

	for (size_t i = 0; message && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const char *at =
			strstr(message, kinds[i].has) ? strstr(message, kinds[i].before) : NULL;

		if (!at || !read_address(at + strlen(kinds[i].before), ret->address))
			continue;
		ret->leaving = kinds[i].leaving;
		copy_line(message, ret->text);
		return true;
	}
	return false;
}
