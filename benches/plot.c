/* plot.c - the phases of a run as stacked bars, one a VMM, drawn by gnuplot.
 *
 * gnuplot reads a script from its stdin: the table of medians as a data block, then
 * one `plot` with a column a phase. Times are drawn in milliseconds.
 */
#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "benches/plot.h"
#include "vmm/base/fd.h"

enum { MAX_PHASES = 16, MAX_BARS = 8 };

struct bars {
	const char *vmms[MAX_BARS];
	size_t n;
	const struct plot_phase *phases[MAX_PHASES];
	size_t nphases;
};

static const struct {
	const char *ending, *terminal;
} formats[] = {
	{ ".svg", "svg size 900,360 dynamic enhanced font 'sans,13' background rgb 'white'" },
	{ ".png", "pngcairo size 1350,540 enhanced font 'sans,13'" },
};

static const char *const colours[] = { "#4e79a7", "#f28e2b", "#76b7b2",
				       "#59a14f", "#e15759", "#b07aa1" };

static const char *terminal_for(const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		size_t end = strlen(formats[i].ending);

		if (len > end && strcmp(path + len - end, formats[i].ending) == 0)
			return formats[i].terminal;
	}
	return NULL;
}

int plot_check(const char *path, struct error *err)
{
	if (!terminal_for(path) || strchr(path, '\''))
		return error_set(err, -EINVAL, "plot", "name it FILE.svg or FILE.png",
				 "cannot draw %s", path);
	return 0;
}

static bool has_bar(const struct bars *b, const char *vmm)
{
	for (size_t i = 0; i < b->n; i++)
		if (strcmp(b->vmms[i], vmm) == 0)
			return true;
	return false;
}

/* The VMMs and phases for which there are figures. */
static void bars_collect(const struct report *r, const struct plot_phase *phases, struct bars *b)
{
	for (; phases->metric && b->nphases < MAX_PHASES; phases++) {
		bool any = false;

		for (size_t i = 0; i < r->nrows; i++) {
			if (strcmp(r->rows[i].metric, phases->metric) != 0)
				continue;
			any = true;
			if (b->n < MAX_BARS && !has_bar(b, r->rows[i].vmm))
				b->vmms[b->n++] = r->rows[i].vmm;
		}
		if (any)
			b->phases[b->nphases++] = phases;
	}
}

static long long phase_us(const struct report *r, const char *vmm, const struct plot_phase *phase)
{
	const struct report_row *row = report_find(r, vmm, phase->metric);

	return row ? (long long)row->summary.median : 0;
}

static void write_data(const struct report *r, const struct bars *b, FILE *f)
{
	fputs("$data << END\nvmm", f);
	for (size_t i = 0; i < b->nphases; i++)
		fprintf(f, " \"%s\"", b->phases[i]->label);
	for (size_t v = 0; v < b->n; v++) {
		fprintf(f, "\n%s", b->vmms[v]);
		for (size_t i = 0; i < b->nphases; i++) {
			long long us = phase_us(r, b->vmms[v], b->phases[i]);

			fprintf(f, " %lld.%03lld", us / 1000, us % 1000);
		}
	}
	fputs("\nEND\n", f);
}

/* The whole of each bar, above it. */
static void write_totals(const struct report *r, const struct bars *b, FILE *f)
{
	for (size_t v = 0; v < b->n; v++) {
		long long us = 0;

		for (size_t i = 0; i < b->nphases; i++)
			us += phase_us(r, b->vmms[v], b->phases[i]);
		fprintf(f,
			"set label '%lld.%lld ms' at first %zu, first %lld.%03lld center "
			"offset 0,0.7\n",
			us / 1000, us % 1000 / 100, v, us / 1000, us % 1000);
	}
}

static void write_script(const struct report *r, const struct bars *b, const char *title,
			 const char *path, FILE *f)
{
	fprintf(f, "set terminal %s\nset output '%s'\n", terminal_for(path), path);
	write_data(r, b, f);
	write_totals(r, b, f);
	fprintf(f,
		"set title \"%s (medians; kernel %s, kvm %s%s)\" noenhanced\n"
		"set style data histograms\nset style histogram rowstacked\n"
		"set style fill solid 0.9 border rgb 'white'\nset boxwidth 0.55\n"
		"set ylabel 'milliseconds since exec'\nset yrange [0:*]\nset offsets 0,0,graph 0.06,0\nset grid ytics\n"
		"set key outside right top reverse Left invert\nset border 3\n"
		"set xtics nomirror\nset ytics nomirror\nplot ",
		title, r->host.kernel, r->host.kvm, r->host.testhost ? " in the test host" : "");
	for (size_t i = 0; i < b->nphases; i++)
		fprintf(f, "%s$data using %zu:xtic(1) title columnheader linecolor rgb '%s'",
			i ? ", " : "", i + 2, colours[i % (sizeof(colours) / sizeof(colours[0]))]);
	fputc('\n', f);
}

/* Runs gnuplot on the script: 0, its exit code, or a negative errno. */
static int run_gnuplot(int script)
{
	char *argv[] = { (char *)"gnuplot", NULL };
	posix_spawn_file_actions_t actions;
	int status, r;
	pid_t pid;

	r = posix_spawn_file_actions_init(&actions);
	if (r)
		return -r;
	r = posix_spawn_file_actions_adddup2(&actions, script, STDIN_FILENO);
	if (r == 0)
		r = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (r)
		return -r;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -ECANCELED;
}

/* A file in memory, for the script; NULL with errno. */
static FILE *script_create(void)
{
	int fd = memfd_create("plot", MFD_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	if (!f)
		fd_close(fd);
	return f;
}

int plot_phases(const struct report *r, const struct plot_phase *phases, const char *title,
		const char *path, struct error *err)
{
	struct bars bars = { 0 };
	FILE *script;
	int result;

	bars_collect(r, phases, &bars);
	if (bars.nphases == 0)
		return error_set(err, -ENODATA, "plot", NULL, "there is nothing to draw");
	script = script_create();
	if (!script)
		return error_errno(err, "plot", NULL, "cannot write a script for gnuplot");
	write_script(r, &bars, title, path, script);
	rewind(script); /* which writes what is buffered, too */
	result = ferror(script) ? -EIO : run_gnuplot(fileno(script));
	fclose(script);
	if (result < 0)
		return error_set(err, result, "plot", "install gnuplot-nox",
				 "cannot run gnuplot: %s", strerror(-result));
	if (result > 0)
		return error_set(err, -EIO, "plot", "its message is above", "gnuplot failed (%d)",
				 result);
	return 0;
}
