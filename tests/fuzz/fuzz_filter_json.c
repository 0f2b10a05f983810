/* fuzz_filter_json.c - any text as filters in JSON (wisp-seccomp).
 *
 * What is refused names the member at fault. What is compiled is a program that the kernel
 * would take: it looks at nothing but the call, jumps forward and not beyond its end, and
 * ends on every way.
 */
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "vmm/seccomp/filter_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libseccomp 2.5.4 loses some nodes of its tree where rules of one call overlap. Its
 * allocator has this name, and nothing of ours. */
const char *__lsan_default_suppressions(void)
{
	return "leak:zmalloc";
}

static bool fits(const struct sock_filter *f, size_t left)
{
	switch (BPF_CLASS(f->code)) {
	case BPF_LD:
		return BPF_MODE(f->code) != BPF_ABS ||
		       (f->k % 4 == 0 && f->k < sizeof(struct seccomp_data));
	case BPF_JMP:
		return BPF_OP(f->code) == BPF_JA ? f->k < left : f->jt < left && f->jf < left;
	case BPF_RET:
		return true;
	default:
		return left > 0;
	}
}

static void check_program(const struct program *p)
{
	if (p->count == 0 || p->count > BPF_MAXINSNS ||
	    BPF_CLASS(p->code[p->count - 1].code) != BPF_RET)
		abort();
	for (size_t i = 0; i < p->count; i++)
		if (!fits(&p->code[i], p->count - 1 - i))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct program programs[FILTER_THREADS];
	json_t *root = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	struct error err = { 0 };
	int r;

	if (!root)
		return 0;
	r = filter_json_compile(root, programs, &err);
	if (r < 0 && (err.code != r || !err.text[0]))
		abort();
	for (int i = 0; r == 0 && i < FILTER_THREADS; i++)
		check_program(&programs[i]);
	json_decref(root);
	return 0;
}
