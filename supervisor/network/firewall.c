/* firewall.c - a text in memory, and nft to read it. */
#include <errno.h>
#include <stdlib.h>

#include "supervisor/life/process.h"
#include "supervisor/network/firewall.h"

enum { NFT_TIMEOUT_MS = 60000 };

void firewall_begin(struct firewall_text *t)
{
	*t = (struct firewall_text){ 0 };
	t->out = open_memstream(&t->text, &t->len);
}

void firewall_drop(struct firewall_text *t)
{
	if (t->out)
		fclose(t->out);
	free(t->text);
	*t = (struct firewall_text){ 0 };
}

int firewall_apply(const struct config *c, struct firewall_text *t, struct error *err)
{
	const char *const argv[] = { c->nft, "-f", "/dev/stdin", NULL };
	int r = t->out && fflush(t->out) == 0 ? 0 : -ENOMEM;

	if (r == 0)
		r = process_run_with(argv, t->text, t->len, NFT_TIMEOUT_MS, err);
	else
		error_set(err, r, NULL, NULL, "out of memory");
	firewall_drop(t);
	return r;
}
