/* testhost.h - the same benchmark inside the test host, under deterministic time. */
#ifndef BENCHES_TESTHOST_H
#define BENCHES_TESTHOST_H

#include "benches/options.h"
#include "benches/report.h"

/* Runs this program's benchmark in wisp-testhost and loads what it measured into
 * *ret (initialised). Its messages come out on stderr while it runs. 0; -ECANCELED
 * when it measured but some runs failed; or another negative errno and *err. */
int testhost_run(const char *name, const struct options *o, struct report *ret, struct error *err);

#endif
