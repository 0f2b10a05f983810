/* command_networks.c - wispctl's commands about networks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/cli/cli.h"

enum {
	MAKE_PREFIX4,
	MAKE_PREFIX6,
	MAKE_MODE,
	MAKE_NAT,
	MAKE_EGRESS,
	MAKE_ADDRESSING,
	MAKE_DNS,
	MAKE_RESOLVERS,
	MAKE_BRIDGE,
	MAKE_VLAN,
	MAKE_DATAPATH,
};

static const struct cli_option make_options[] = {
	[MAKE_PREFIX4] = { "prefix4", "PREFIX", "its addresses, as 10.1.0.0/24; it is needed" },
	[MAKE_PREFIX6] = { "prefix6", "PREFIX", "of IPv6, too, as fd00:1::/64" },
	[MAKE_MODE] = { "mode", "MODE",
			"bridge (one wire, the default), routed (a line each), passt or ovs" },
	[MAKE_NAT] = { "nat", NULL, "guests reach the world by the host's address" },
	[MAKE_EGRESS] = { "egress", "RULE,...", "what guests may send to, else everything" },
	[MAKE_ADDRESSING] = { "addressing", "HOW",
			      "told (by wispd, the default), or dhcp: guests ask" },
	[MAKE_DNS] = { "dns", NULL, "guests can ask for INSTANCE.NETWORK.internal" },
	[MAKE_RESOLVERS] = { "resolvers", "ADDRESS,...", "who knows other names" },
	[MAKE_BRIDGE] = { "bridge", "NAME", "of mode ovs: another's bridge, else its own is made" },
	[MAKE_VLAN] = { "vlan", "NUMBER", "on such a bridge: guests are in that one" },
	[MAKE_DATAPATH] = { "datapath", "PATH", "of mode ovs: system (the default) or netdev" },
	{ 0 },
};

static int create(struct cli *cli, const struct cli_arguments *a)
{
	json_t *body = json_pack("{s:s, s:b, s:b}", "name", a->operand[0], "nat",
				 a->option[MAKE_NAT] != NULL, "dns", a->option[MAKE_DNS] != NULL);

	cli_add_text(body, "prefix4", a->option[MAKE_PREFIX4]);
	cli_add_text(body, "prefix6", a->option[MAKE_PREFIX6]);
	cli_add_text(body, "mode", a->option[MAKE_MODE]);
	cli_add_text(body, "bridge", a->option[MAKE_BRIDGE]);
	cli_add_text(body, "datapath", a->option[MAKE_DATAPATH]);
	cli_add_list(body, "egress", a->option[MAKE_EGRESS]);
	cli_add_text(body, "addressing", a->option[MAKE_ADDRESSING]);
	cli_add_list(body, "resolvers", a->option[MAKE_RESOLVERS]);
	if (a->option[MAKE_VLAN])
		json_object_set_new(body, "vlan",
				    json_integer(strtoll(a->option[MAKE_VLAN], NULL, 10)));

	int status = cli_call(cli, "POST", "/networks", body, NULL);

	if (status == 0)
		puts(a->operand[0]);
	return status;
}

static int ls(struct cli *cli, const struct cli_arguments *a)
{
	static const char *const members[] = { "name", "tenant",     "mode", "prefix4", "prefix6",
					       "nat",  "addressing", "dns",  "link",	NULL };

	(void)a;
	return cli_list(cli, "/networks", "networks", members);
}

static int inspect(struct cli *cli, const struct cli_arguments *a)
{
	char path[CLI_PATH_BYTES];

	snprintf(path, sizeof(path), "/networks/%s", a->operand[0]);
	return cli_inspect(cli, path);
}

static int remove_one(struct cli *cli, const char *name)
{
	char path[CLI_PATH_BYTES];
	json_t *reply = NULL;
	int status;

	snprintf(path, sizeof(path), "/networks/%s", name);
	status = cli_call(cli, "DELETE", path, NULL, &reply);
	if (status == 0)
		status = cli_wait(cli, reply);
	if (status == 0)
		puts(name);
	json_decref(reply);
	return status;
}

static int rm(struct cli *cli, const struct cli_arguments *a)
{
	int first = 0;

	for (unsigned i = 0; i < a->operands; i++) {
		int status = remove_one(cli, a->operand[i]);

		first = first ? first : status;
	}
	return first;
}

static const struct cli_command commands[] = {
	{ "net create", "NAME", "make a network", make_options, -1, 1, 1, create },
	{ "net ls", "", "list networks", NULL, -1, 0, 0, ls },
	{ "net inspect", "NETWORK", "print all about a network, and who is in it", NULL, -1, 1, 1,
	  inspect },
	{ "net rm", "NETWORK...", "remove networks", NULL, -1, 1, CLI_OPERANDS_MAX, rm },
	{ 0 },
};

const struct cli_area cli_networks = { "Networks", commands };
