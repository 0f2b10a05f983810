/* command_runbooks.c - what to do when something is wrong, as programs: "wispctl runbook NAME".
 *
 * A runbook is a list of wispctl's own commands, in the order in which an operator would say
 * them; $1 and $2 are what he says behind the name. Each is printed before it is run, in a
 * process of its own, and --dry-run only prints. A step that fails ends it, but for one that
 * only looks: what it finds is there to be read. A runbook that was cut off is run again from
 * its beginning: each step bears that.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/cli/cli.h"

enum { STEPS_MAX = 10, WORDS_MAX = 8, PREFIX_WORDS = 6 };

struct step {
	const char *why;
	bool looks; /* its failure is a finding, and no reason to end */
	const char *words[WORDS_MAX];
};

struct runbook {
	const char *name, *operands, *what;
	unsigned noperands;
	struct step steps[STEPS_MAX]; /* ended by one without words */
};

#define DO(why, ...)                \
	{                           \
		why, false,         \
		{                   \
			__VA_ARGS__ \
		}                   \
	}
#define LOOK(why, ...)              \
	{                           \
		why, true,          \
		{                   \
			__VA_ARGS__ \
		}                   \
	}

/* clang-format off */
static const struct runbook runbooks[] = {
	{ "stuck-device", "ADDRESS INSTANCE", "a guest's device does not answer any more", 2, {
		LOOK("what it is, and who has it", "device", "list", "$1"),
		LOOK("what its VMM has said", "logs", "--vmm", "$2"),
		LOOK("what became of it, and of its guest", "events", "--tail", "40"),
		DO("end its guest; the device is reset and looked at", "stop", "--timeout", "0", "$2"),
		LOOK("whether it came back, or is in quarantine", "device", "list", "$1"),
		DO("start the guest again; refused while the device is in quarantine", "start", "$2"),
	} },
	{ "failed-reset", "ADDRESS", "a device is in quarantine", 1, {
		LOOK("why", "device", "list", "$1"),
		LOOK("every check of it", "device", "preflight", "$1"),
		DO("reset it, look at it, and free it if that is well", "device", "prove", "$1"),
		LOOK("what it is now; still in quarantine: power the host off and on, or replace it", "device", "list", "$1"),
	} },
	{ "firmware-change", "ADDRESS INSTANCE", "before and after a device's firmware is changed", 2, {
		DO("end the guest that has it", "stop", "$2"),
		DO("give the device back to the host's driver", "rm", "$2"),
		LOOK("its driver, which can change the firmware now", "device", "list", "$1"),
		LOOK("every check of it; change the firmware, and run this step again", "device", "preflight", "$1"),
	} },
	{ "drain-devices", "REASON", "empty the host; guests with devices are stopped, not moved", 1, {
		LOOK("what has devices", "device", "list"),
		DO("the books are whole", "ledger", "verify"),
		DO("let nothing start, and stop all that runs", "drain", "$1"),
		LOOK("what still runs", "ps"),
		LOOK("devices that were not proven since are in quarantine", "device", "list"),
	} },
	{ "host-maintenance", "REASON", "before the host is switched off", 1, {
		DO("the books are whole", "ledger", "verify"),
		DO("let nothing start, and stop all that runs", "drain", "$1"),
		LOOK("what still runs", "ps"),
		LOOK("what is wrong; afterwards: wispctl uncordon --restart", "doctor"),
	} },
	{ "image-update", "IMAGE INSTANCE", "an instance goes over to another image, or to what a name means now", 2, {
		LOOK("whether it is published, by its probe", "image", "ls"),
		LOOK("what the instance is made of", "inspect", "$2"),
		DO("end its guest", "stop", "$2"),
		DO("a fresh disk of the image; what was on the old one is lost, volumes stay", "rebuild", "$2", "$1"),
		DO("start it: with an agent it runs when that answers", "start", "$2"),
		LOOK("what it is made of now; to go back, run this with the image of before", "inspect", "$2"),
	} },
	{ "restore-ledger", "COPY CONFIG", "the database is lost or damaged; CONFIG: wispd's configuration", 2, {
		DO("the copy is whole; stop wispd before the next step, its VMMs run on", "ledger", "verify", "--file", "$1"),
		DO("put it in the database's place, which is kept; what was made later ends when wispd starts",
		   "ledger", "restore", "--config", "$2", "$1"),
	} },
	{ "restored-ledger", "", "wispd was started again on a restored ledger", 0, {
		DO("the books are whole, from the first event on", "ledger", "verify"),
		LOOK("up to where the copy went, and what was lost: ledger.restored", "events", "--tail", "40"),
		LOOK("what the books do not know any more, or wrongly think alive", "findings"),
		LOOK("closed periods come to what was told of them", "invoice", "verify"),
		LOOK("what is wrong", "doctor"),
	} },
	{ "guest-failure", "INSTANCE", "a guest failed: what is known about it, before it is started again", 1, {
		LOOK("how it ended", "inspect", "$1"),
		LOOK("the end of its console", "logs", "$1"),
		LOOK("the end of what its VMM has said", "logs", "--vmm", "$1"),
		LOOK("what happened", "events", "--tail", "40"),
		LOOK("what runs it, and why", "explain", "$1"),
	} },
};
/* clang-format on */

static const struct runbook *find(const char *name)
{
	for (size_t i = 0; i < sizeof(runbooks) / sizeof(runbooks[0]); i++)
		if (strcmp(runbooks[i].name, name) == 0)
			return &runbooks[i];
	return NULL;
}

static int list(void)
{
	for (size_t i = 0; i < sizeof(runbooks) / sizeof(runbooks[0]); i++)
		printf("%-18s%-18s%s\n", runbooks[i].name, runbooks[i].operands, runbooks[i].what);
	return 0;
}

/* An argument vector, up to NULL; *own: where the words of the step begin. */
static void fill(const struct cli *cli, const struct step *s, const struct cli_arguments *a,
		 const char *argv[PREFIX_WORDS + WORDS_MAX + 1], unsigned *own)
{
	unsigned n = 0;

	argv[n++] = "wispctl";
	argv[n++] = "--socket";
	argv[n++] = cli->socket;
	if (cli->tenant) {
		argv[n++] = "--tenant";
		argv[n++] = cli->tenant;
	}
	*own = n;
	for (unsigned i = 0; i < WORDS_MAX && s->words[i]; i++) {
		const char *word = s->words[i];

		argv[n++] = word[0] == '$' ? a->operand[word[1] - '0'] : word;
	}
	argv[n] = NULL;
}

static int run_words(const char *const argv[])
{
	pid_t pid;
	int status,
		r = posix_spawn(&pid, "/proc/self/exe", NULL, NULL, (char *const *)argv, environ);

	if (r != 0) {
		fprintf(stderr, "wispctl: cannot run a step: %s\n", strerror(r));
		return EXIT_UNREACHABLE;
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_REFUSED;
}

static int run_step(const struct cli *cli, const struct step *s, const struct cli_arguments *a,
		    bool dry)
{
	const char *argv[PREFIX_WORDS + WORDS_MAX + 1];
	unsigned own;
	int status;

	fill(cli, s, a, argv, &own);
	printf("# %s\nwispctl", s->why);
	for (unsigned i = own; argv[i]; i++)
		printf(strpbrk(argv[i], " \"'$") ? " '%s'" : " %s", argv[i]);
	putchar('\n');
	fflush(stdout);
	status = dry ? 0 : run_words(argv);
	return s->looks ? 0 : status;
}

enum { DRY_RUN };

static const struct cli_option options[] = {
	[DRY_RUN] = { "dry-run", NULL, "print what would be done" },
	{ 0 },
};

static int runbook(struct cli *cli, const struct cli_arguments *a)
{
	const struct runbook *r = a->operands ? find(a->operand[0]) : NULL;
	int status = 0;

	if (!a->operands)
		return list();
	if (!r || a->operands != r->noperands + 1) {
		fprintf(stderr, r ? "wispctl: %s wants %s\n" : "wispctl: no runbook %s%s\n",
			a->operand[0], r ? r->operands : "; wispctl runbook lists them");
		return EXIT_USAGE;
	}
	for (unsigned i = 0; i < STEPS_MAX && r->steps[i].why && status == 0; i++)
		status = run_step(cli, &r->steps[i], a, a->option[DRY_RUN] != NULL);
	return status;
}

static const struct cli_command commands[] = {
	{ "runbook", "[NAME [OPERAND...]]", "do what is to be done when something is wrong",
	  options, -1, 0, 3, runbook },
	{ 0 },
};

const struct cli_area cli_runbooks = { "Runbooks", commands };
