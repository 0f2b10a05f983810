/* test_firewall.c - texts for nft: all in their order, each whole or not at all.
 *
 * A script stands for nft: it keeps what it is told, and refuses a text with the word "bad". When
 * it is kept, it ends at the word "worse", and says something else to "silly".
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "supervisor/network/firewall.h"
#include "tests/unit/scratch.h"

enum { THREADS = 4, EACH = 8, SAID_BYTES = 1 << 20 };

struct setting {
	void *dir;
	struct config config;
	struct firewall *firewall;
};

static int set_up(void **state)
{
	struct setting *s = calloc(1, sizeof(*s));
	struct error err;
	FILE *f;

	*state = s;
	if (scratch_make(&s->dir) < 0)
		return -1;
	snprintf(s->config.nft, sizeof(s->config.nft), "%s", scratch_path(s->dir, "nft"));
	f = fopen(s->config.nft, "we");
	fprintf(f,
		"#!/bin/sh\nsaid=%s\n"
		"if [ \"$1\" = -i ]; then\n"
		"	echo kept >>$said.ways\n"
		"	while read -r line; do case \"$line\" in\n"
		"	include*) text=$(cat /proc/self/fd/3); case \"$text\" in\n"
		"		*bad*) echo refused >&2 ;;\n"
		"		*worse*) exit 1 ;;\n"
		"		*silly*) read -r line; echo 'silly myself' ;;\n"
		"		*) printf '%%s\\n' \"$text\" >>$said ;;\n"
		"		esac ;;\n"
		"	describe*) echo 'meta expression, datatype mark' ;;\n"
		"	esac; done\n"
		"	exit 0\n"
		"fi\n"
		"[ \"$1\" = --check ] && exec test ! -e $said.untracked\n"
		"echo run >>$said.ways\n"
		"text=$(cat)\n"
		"case \"$text\" in *bad*) echo refused >&2; exit 1 ;; esac\n"
		"printf '%%s\\n' \"$text\" >>$said\n",
		scratch_path(s->dir, "said"));
	fclose(f);
	chmod(s->config.nft, 0755);
	return firewall_create(&s->config, "abc123", &s->firewall, &err);
}

static int tear_down(void **state)
{
	struct setting *s = *state;

	scratch_remove(&s->dir);
	free(s);
	return 0;
}

static int tell_of(struct setting *s, const char *text, int tables, struct error *err)
{
	struct firewall_text t;

	firewall_begin(&t);
	assert_non_null(t.out);
	fputs(text, t.out);
	t.tables = tables;
	return firewall_apply(s->firewall, &t, err);
}

static int tell(struct setting *s, const char *text, struct error *err)
{
	return tell_of(s, text, FIREWALL_MORE, err);
}

static void tell_later(struct setting *s, const char *text)
{
	struct firewall_text t;
	struct error err;

	firewall_begin(&t);
	fputs(text, t.out);
	assert_int_equal(firewall_apply_later(s->firewall, &t, &err), 0);
}

/* Static storage. */
static const char *read_all(struct setting *s, const char *name)
{
	static char text[SAID_BYTES];
	FILE *f = fopen(scratch_path(s->dir, name), "re");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

/* All that was said, once all is. */
static const char *said(struct setting *s)
{
	firewall_destroy(s->firewall);
	return read_all(s, "said");
}

static unsigned count(const char *text, const char *words)
{
	unsigned n = 0;

	for (; (text = strstr(text, words)) != NULL; text++)
		n++;
	return n;
}

#define TABLES	"add set bridge wispd_abc123 macs "
#define AWAY	"delete table bridge wispd_abc123\n"
#define TRACKED "answers ct state established,related accept\n"

/* What nobody waits for is done before what comes after it. */
static void test_order(void **state)
{
	struct setting *s = *state;
	const char *text, *at;
	struct error err;

	tell_later(s, "first\n");
	tell_later(s, "second\n");
	assert_int_equal(tell(s, "third\n", &err), 0);
	tell_later(s, "fourth\n");
	text = said(s);
	at = strstr(text, "first\n");
	assert_non_null(at);
	at = strstr(at, "second\n");
	assert_non_null(at);
	at = strstr(at, "third\n");
	assert_non_null(at);
	assert_non_null(strstr(at, "fourth\n"));
	assert_int_equal(count(text, TABLES), 1);
}

/* One that is refused is nobody else's matter; the tables are put in place again. */
static void test_refused(void **state)
{
	struct setting *s = *state;
	struct error err;
	const char *text;

	tell_later(s, "before\n");
	tell_later(s, "bad\n");
	assert_int_equal(tell(s, "after\n", &err), 0);
	assert_int_equal(tell(s, "bad\n", &err), -EIO);
	assert_non_null(strstr(err.text, "refused"));
	assert_int_equal(tell(s, "last\n", &err), 0);
	text = said(s);
	assert_int_equal(count(text, "before\n"), 1);
	assert_int_equal(count(text, "after\n"), 1);
	assert_int_equal(count(text, "last\n"), 1);
	assert_true(count(text, TABLES) > 1);
}

/* Behind what takes the tables away they are made anew, for what needs them. */
static void test_whole(void **state)
{
	struct setting *s = *state;
	struct error err;
	const char *text;

	assert_int_equal(tell(s, "first\n", &err), 0);
	assert_int_equal(tell_of(s, "away\n", FIREWALL_AWAY, &err), 0);
	assert_int_equal(tell(s, "second\n", &err), 0);
	assert_int_equal(tell(s, "third\n", &err), 0);
	text = said(s);
	assert_int_equal(count(text, TABLES), 2);
	assert_int_equal(count(text, AWAY), 1);
	text = strstr(text, AWAY);
	assert_non_null(text);
	assert_non_null(strstr(strstr(text, "away\n"), TABLES));
}

/* In one step. */
static void test_anew(void **state)
{
	struct setting *s = *state;
	struct error err;
	const char *text;

	assert_int_equal(tell(s, "first\n", &err), 0);
	assert_int_equal(tell_of(s, "second\n", FIREWALL_ANEW, &err), 0);
	assert_int_equal(tell(s, "third\n", &err), 0);
	text = said(s);
	assert_int_equal(count(text, TABLES), 2);
	assert_int_equal(count(text, TRACKED), 2);
	text = strstr(text, AWAY);
	assert_non_null(text);
	assert_non_null(strstr(strstr(text, TABLES), "second\nthird\n"));
}

/* What a kernel cannot do is left out, as it said once. */
static void test_untracked(void **state)
{
	struct setting *s = *state;
	struct error err;
	const char *text;
	FILE *f = fopen(scratch_path(s->dir, "said.untracked"), "we");

	assert_non_null(f);
	fclose(f);
	assert_int_equal(tell(s, "first\n", &err), 0);
	assert_int_equal(tell_of(s, "second\n", FIREWALL_ANEW, &err), 0);
	text = said(s);
	assert_int_equal(count(text, TABLES), 2);
	assert_int_equal(count(text, TRACKED), 0);
}

static void test_kept(void **state)
{
	struct setting *s = *state;
	struct error err;

	assert_int_equal(tell(s, "first\n", &err), 0);
	assert_int_equal(tell(s, "second\n", &err), 0);
	assert_int_equal(tell_of(s, "third\n", FIREWALL_ANEW, &err), 0);
	assert_non_null(strstr(said(s), "first\nsecond\nadd table"));
	assert_string_equal(read_all(s, "said.ways"), "kept\n");
}

/* Whatever becomes of the one that is kept, another does what it was told, and the next is told
 * again. */
static void test_lost(void **state)
{
	static const char *const words[] = { "worse\n", "silly\n" };
	struct setting *s = *state;
	struct error err;
	const char *text;

	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(tell(s, words[i], &err), 0);
		assert_int_equal(tell(s, "after\n", &err), 0);
	}
	text = said(s);
	assert_int_equal(count(text, "worse\n"), 1);
	assert_int_equal(count(text, "silly\n"), 1);
	assert_int_equal(count(text, "after\n"), 2);
	assert_string_equal(read_all(s, "said.ways"), "kept\nrun\nkept\nrun\nkept\n");
}

static void *tell_many(void *arg)
{
	struct error err;

	for (unsigned i = 0; i < EACH; i++)
		if (tell(arg, "one\n", &err) < 0)
			return arg;
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[THREADS];
	struct setting *s = *state;

	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, tell_many, s), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(count(said(s), "one\n"), THREADS * EACH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_anew, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_untracked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lost, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_threads, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
