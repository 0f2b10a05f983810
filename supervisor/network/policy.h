/* policy.h - what a guest may send to: an allow list of prefixes, protocols and ports.
 *
 * A rule is a text:
 *
 *	10.0.0.0/8			everything there
 *	any udp 53			that port, anywhere
 *	fd00::/8 tcp 8000-8080		those ports, there
 *	any icmp			echoes and errors, of both families
 *	any				everything;  none: nothing
 *
 * A list of rules allows what one of them allows, and nothing else. No list at all: no
 * limit. In the books a list is its rules, one a line. Any thread.
 */
#ifndef SUPERVISOR_NETWORK_POLICY_H
#define SUPERVISOR_NETWORK_POLICY_H

#include <stdint.h>
#include <stdio.h>

#include "supervisor/network/prefix.h"
#include "vmm/base/error.h"

enum { POLICY_RULES_MAX = 32, POLICY_RULE_BYTES = 80, POLICY_TEXT_BYTES = 2600 };

struct policy_rule {
	struct prefix to;     /* family 0: anywhere */
	int protocol;	      /* IPPROTO_TCP, _UDP, _ICMP (both families), 0: any; below 0: none */
	uint16_t first, last; /* ports; 0: any */
};

struct policy {
	unsigned count; /* 0: no limit */
	struct policy_rule rules[POLICY_RULES_MAX];
};

/* -EINVAL and *err, of the field "egress". */
int policy_rule_parse(const char *text, struct policy_rule *ret, struct error *err);

/* A list as the books have it. -EINVAL, too, when it is longer than it may be. */
int policy_parse(const char *lines, struct policy *ret, struct error *err);

/* The list of these rules, which have been found right. */
void policy_join(const char rules[][POLICY_RULE_BYTES], unsigned count,
		 char lines[POLICY_TEXT_BYTES]);

/* The rules of nft for it: each allows something, the last drops the rest. indent: before
 * each line. */
void policy_print(const struct policy *p, const char *indent, FILE *out);

#endif
