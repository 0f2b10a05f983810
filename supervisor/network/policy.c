/* policy.c - rules of an allow list: out of a text, and into nft's language.
 *
 * Nothing of a caller's text gets into nft's: it is made anew from what was understood.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "supervisor/network/policy.h"

enum { WORDS_MAX = 3, PROTOCOL_NONE = -1, PORT_MAX = 65535 };

static const struct {
	const char *name;
	int protocol;
	bool ports;
} protocols[] = {
	{ "tcp", IPPROTO_TCP, true },
	{ "udp", IPPROTO_UDP, true },
	{ "icmp", IPPROTO_ICMP, false },
};

static int refuse(const char *text, struct error *err)
{
	return error_set(err, -EINVAL, "egress",
			 "any, none or a prefix; then tcp, udp or icmp; then a port, or FIRST-LAST",
			 "\"%.79s\" is no rule", text);
}

/* "80" or "80-90". */
static int parse_ports(const char *text, struct policy_rule *rule)
{
	unsigned long first, last;
	char *end;

	first = last = strtoul(text, &end, 10);
	if (*end == '-')
		last = strtoul(end + 1, &end, 10);
	if (strspn(text, "0123456789-") != strlen(text) || *end || first == 0 || first > last ||
	    last > PORT_MAX)
		return -EINVAL;
	rule->first = (uint16_t)first;
	rule->last = (uint16_t)last;
	return 0;
}

static int parse_protocol(char *const words[], unsigned count, struct policy_rule *rule)
{
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		if (strcmp(words[0], protocols[i].name) != 0)
			continue;
		rule->protocol = protocols[i].protocol;
		if (count == 1)
			return 0;
		return protocols[i].ports ? parse_ports(words[1], rule) : -EINVAL;
	}
	return -EINVAL;
}

static int parse_words(char *const words[], unsigned count, struct policy_rule *rule)
{
	if (count == 1 && strcmp(words[0], "none") == 0) {
		rule->protocol = PROTOCOL_NONE;
		return 0;
	}
	if (strcmp(words[0], "any") != 0 && prefix_parse(words[0], &rule->to) < 0)
		return -EINVAL;
	return count > 1 ? parse_protocol(words + 1, count - 1, rule) : 0;
}

int policy_rule_parse(const char *text, struct policy_rule *ret, struct error *err)
{
	char copy[POLICY_RULE_BYTES], *words[WORDS_MAX], *word, *rest = copy;
	struct policy_rule rule = { 0 };
	unsigned count = 0;

	if (strlen(text) >= sizeof(copy))
		return refuse(text, err);
	strcpy(copy, text);
	while ((word = strsep(&rest, " ")) != NULL) {
		if (count == WORDS_MAX || !*word)
			return refuse(text, err);
		words[count++] = word;
	}
	if (parse_words(words, count, &rule) < 0)
		return refuse(text, err);
	*ret = rule;
	return 0;
}

int policy_parse(const char *lines, struct policy *ret, struct error *err)
{
	struct policy p = { 0 };

	while (*lines) {
		char line[POLICY_RULE_BYTES];
		size_t len = strcspn(lines, "\n");
		int r;

		if (p.count == POLICY_RULES_MAX || len >= sizeof(line))
			return error_set(err, -EINVAL, "egress", NULL, "The list is too long");
		memcpy(line, lines, len);
		line[len] = '\0';
		r = policy_rule_parse(line, &p.rules[p.count++], err);
		if (r < 0)
			return r;
		lines += len + (lines[len] == '\n');
	}
	*ret = p;
	return 0;
}

void policy_join(const char rules[][POLICY_RULE_BYTES], unsigned count,
		 char lines[POLICY_TEXT_BYTES])
{
	size_t at = 0;

	lines[0] = '\0';
	for (unsigned i = 0; i < count && at < POLICY_TEXT_BYTES; i++)
		at += (size_t)snprintf(lines + at, POLICY_TEXT_BYTES - at, "%s%s", i ? "\n" : "",
				       rules[i]);
}

static void print_protocol(const struct policy_rule *rule, FILE *out)
{
	const char *name = rule->protocol == IPPROTO_TCP ? "tcp" : "udp";

	if (rule->protocol == 0)
		return;
	if (rule->protocol == IPPROTO_ICMP)
		fputs("meta l4proto { icmp, ipv6-icmp } ", out);
	else if (rule->first == 0)
		fprintf(out, "meta l4proto %s ", name);
	else if (rule->first == rule->last)
		fprintf(out, "%s dport %u ", name, rule->first);
	else
		fprintf(out, "%s dport %u-%u ", name, rule->first, rule->last);
}

void policy_print(const struct policy *p, const char *indent, FILE *out)
{
	for (unsigned i = 0; i < p->count; i++) {
		const struct policy_rule *rule = &p->rules[i];
		char to[PREFIX_TEXT];

		if (rule->protocol == PROTOCOL_NONE)
			continue;
		fputs(indent, out);
		if (rule->to.base.family)
			fprintf(out, "%s daddr %s ", rule->to.base.family == AF_INET ? "ip" : "ip6",
				prefix_print(&rule->to, to));
		print_protocol(rule, out);
		fputs("accept\n", out);
	}
	fprintf(out, "%s%s\n", indent, p->count ? "drop" : "accept");
}
