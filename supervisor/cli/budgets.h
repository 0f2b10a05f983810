/* budgets.h - commands of the billing area (command_billing.c) that are in files of their own. */
#ifndef SUPERVISOR_CLI_BUDGETS_H
#define SUPERVISOR_CLI_BUDGETS_H

#include "supervisor/cli/cli.h"

extern const struct cli_option budget_options[], support_options[];

/* command_budgets.c */
int budget_set(struct cli *cli, const struct cli_arguments *a);
int budget_show(struct cli *cli, const struct cli_arguments *a);
int budget_remove(struct cli *cli, const struct cli_arguments *a);
int tenant_reserve(struct cli *cli, const struct cli_arguments *a);

/* command_support.c */
int support_bundle(struct cli *cli, const struct cli_arguments *a);

#endif
