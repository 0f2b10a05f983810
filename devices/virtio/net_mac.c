/* net_mac.c - MAC addresses, as text and as bytes. System calls: getrandom. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "devices/virtio/net_mac.h"

enum { MULTICAST = 1, LOCAL = 2, DIGITS = 2 };

bool net_mac_parse(const char *text, uint8_t mac[ETH_ALEN])
{
	uint8_t parsed[ETH_ALEN];

	if (strlen(text) != NET_MAC_TEXT)
		return false;
	for (size_t i = 0; i < ETH_ALEN; i++) {
		const char *pair = text + i * (DIGITS + 1);

		if (!isxdigit((unsigned char)pair[0]) || !isxdigit((unsigned char)pair[1]) ||
		    (i + 1 < ETH_ALEN && pair[DIGITS] != ':'))
			return false;
		parsed[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
	memcpy(mac, parsed, ETH_ALEN);
	return true;
}

bool net_mac_is_usable(const uint8_t mac[ETH_ALEN])
{
	static const uint8_t none[ETH_ALEN];

	return !(mac[0] & MULTICAST) && memcmp(mac, none, ETH_ALEN) != 0;
}

int net_mac_random(uint8_t mac[ETH_ALEN])
{
	if (getrandom(mac, ETH_ALEN, 0) != ETH_ALEN)
		return -EIO;
	mac[0] = (uint8_t)((mac[0] & ~MULTICAST) | LOCAL);
	return 0;
}
