/* test_feature_names.c - what a processor's features are called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmm/arch/x86_64/feature_names.h"

static void names(void **state)
{
	static const struct {
		const char *word;
		uint32_t bits;
		const char *text;
	} rows[] = {
		{ "7.ebx", 1u << 5, "avx2" },
		{ "7.ebx", 1u << 16 | 1u << 31, "avx512f, avx512vl" },
		{ "1.ecx", 1u << 25 | 1u << 28, "aes, avx" },
		{ "7.ebx", 1u << 13 | 1u << 20, "bit 13, smap" },
		{ "80000001.edx", 1u << 26, "pdpe1gb" },
		{ "d.eax", 1u << 2, "bit 2" },
		{ "7.ebx", 0, "" },
	};
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		feature_names_print(rows[i].word, rows[i].bits, text, sizeof(text));
		assert_string_equal(text, rows[i].text);
	}
}

/* Whole names, as many as there is room for. */
static void little_room(void **state)
{
	char text[10];

	(void)state;
	feature_names_print("7.ebx", UINT32_MAX, text, sizeof(text));
	assert_string_equal(text, "fsgsbase");
	feature_names_print("7.ebx", UINT32_MAX, text, 1);
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(little_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
