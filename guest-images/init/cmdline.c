/* cmdline.c - a table of parameters, and a scanner that cuts the line in place. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "guest-images/agent/protocol.h"
#include "guest-images/init/cmdline.h"

enum {
	PORT_MAX = 0xfffc, /* the highest port with room for 32 bits */
	VSOCK_PORT_MAX = 0xfffffffe,
};

enum kind { KIND_TEXT, KIND_SET, KIND_CLEAR, KIND_PORT, KIND_VSOCK_PORT };

struct param {
	const char *name;
	enum kind kind;
	size_t offset; /* in struct cmdline */
};

static const struct param params[] = {
	{ "wisp.marker", KIND_TEXT, offsetof(struct cmdline, marker) },
	{ "wisp.boot_timer", KIND_SET, offsetof(struct cmdline, boot_timer) },
	{ "wisp.agent", KIND_VSOCK_PORT, offsetof(struct cmdline, agent_port) },
	{ "wisp.ports", KIND_PORT, offsetof(struct cmdline, agent_ports) },
	{ "wisp.stay", KIND_SET, offsetof(struct cmdline, stay) },
	{ "wisp.grow", KIND_SET, offsetof(struct cmdline, grow) },
	{ "wisp.exit_port", KIND_PORT, offsetof(struct cmdline, exit_port) },
	{ "root", KIND_TEXT, offsetof(struct cmdline, root) },
	{ "rootfstype", KIND_TEXT, offsetof(struct cmdline, rootfstype) },
	{ "rootflags", KIND_TEXT, offsetof(struct cmdline, rootflags) },
	{ "rootwait", KIND_SET, offsetof(struct cmdline, rootwait) },
	{ "rw", KIND_SET, offsetof(struct cmdline, root_writable) },
	{ "ro", KIND_CLEAR, offsetof(struct cmdline, root_writable) },
	{ "init", KIND_TEXT, offsetof(struct cmdline, init) },
};

static const char help[] =
	"Kernel parameters that wisp-init reads:\n"
	"  wisp.marker=TEXT     print TEXT as soon as the command line is read\n"
	"  wisp.boot_timer      write 123 to the VMM's boot timer page\n"
	"  wisp.agent[=PORT]    run the agent on this port of the vsock (1024)\n"
	"  wisp.ports=COUNT     it has as many virtio ports instead (wisp.agent.0 and on)\n"
	"  wisp.stay            with root=: stay the first process, and run COMMAND there\n"
	"  wisp.grow            with root=, rw: make its file system as large as its disk\n"
	"  wisp.exit_port=PORT  write the exit status, 32 bits, to this x86 I/O port\n"
	"  root=/dev/NAME       mount this device and start the init program on it\n"
	"  rootfstype=TYPE      its file system (ext4)\n"
	"  rootflags=OPTIONS    mount options for it\n"
	"  rootwait             wait for the device without a limit (10 seconds)\n"
	"  ro, rw               mount it read-only (the default) or writable\n"
	"  init=PATH            the init program there (/sbin/init)\n"
	"  -- COMMAND           all that follows is run by /bin/sh -c; without /bin/sh it\n"
	"                       is split at blanks. No command: a shell on the console,\n"
	"                       or, with wisp.agent, none: the agent's callers have the say.\n";

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/* Cuts the next parameter off *at: quotes removed, NUL-terminated, *at behind it.
 * NULL at the end of the line. */
static char *param_next(char **at)
{
	char *from = *at;
	bool quoted = false;

	while (is_blank(*from))
		from++;
	if (!*from)
		return NULL;

	char *start = from, *to = from;
	for (; *from && (quoted || !is_blank(*from)); from++) {
		if (*from == '"')
			quoted = !quoted;
		else
			*to++ = *from;
	}
	*at = *from ? from + 1 : from;
	*to = '\0';
	return start;
}

static const struct param *param_find(const char *name)
{
	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
		if (strcmp(params[i].name, name) == 0)
			return &params[i];
	}
	return NULL;
}

static bool port_parse(const char *text, unsigned long most, unsigned *ret)
{
	char *end;

	errno = 0;
	unsigned long port = strtoul(text, &end, 0);
	if (errno || end == text || *end || port == 0 || port > most)
		return false;
	*ret = (unsigned)port;
	return true;
}

/* False when the value makes no sense for the parameter. */
static bool param_store(const struct param *param, const char *value, struct cmdline *ret)
{
	void *field = (char *)ret + param->offset;

	switch (param->kind) {
	case KIND_TEXT:
		if (!value || !*value)
			return false;
		*(const char **)field = value;
		return true;
	case KIND_SET:
		*(bool *)field = true;
		return true;
	case KIND_CLEAR:
		*(bool *)field = false;
		return true;
	case KIND_PORT:
		return value && port_parse(value, PORT_MAX, field);
	case KIND_VSOCK_PORT:
		if (value)
			return port_parse(value, VSOCK_PORT_MAX, field);
		*(unsigned *)field = AGENT_PORT;
		return true;
	}
	return false;
}

/* The command: without the blanks around it, or NULL when nothing is left. */
static const char *command_trim(char *text)
{
	while (is_blank(*text))
		text++;
	size_t len = strlen(text);
	while (len > 0 && is_blank(text[len - 1]))
		len--;
	text[len] = '\0';
	return len ? text : NULL;
}

void cmdline_parse(char *line, struct cmdline *ret)
{
	char *at = line, *name;

	*ret = (struct cmdline){ 0 };
	while ((name = param_next(&at))) {
		if (strcmp(name, "--") == 0) {
			ret->command = command_trim(at);
			return;
		}
		char *value = strchr(name, '=');
		if (value)
			*value++ = '\0';
		const struct param *param = param_find(name);
		if (param && !param_store(param, value, ret) && !ret->bad_name)
			ret->bad_name = param->name;
	}
}

size_t cmdline_split(char *command, char **words, size_t max)
{
	size_t count = 0;

	while (count + 1 < max) {
		while (is_blank(*command))
			*command++ = '\0';
		if (!*command)
			break;
		words[count++] = command;
		while (*command && !is_blank(*command))
			command++;
	}
	/* The last word kept may have others behind it. */
	if (*command)
		*command = '\0';
	words[count] = NULL;
	return count;
}

const char *cmdline_help(void)
{
	return help;
}
