/* stats.c - samples and what is said about them, in integers. */
#include <errno.h>
#include <stdlib.h>

#include "benches/stats.h"

enum { FIRST_ROOM = 32 };

int samples_add(struct samples *s, int64_t value)
{
	if (s->n == s->room) {
		size_t room = s->room ? s->room * 2 : FIRST_ROOM;
		int64_t *v = reallocarray(s->v, room, sizeof(*v));

		if (!v)
			return -ENOMEM;
		s->v = v;
		s->room = room;
	}
	s->v[s->n++] = value;
	return 0;
}

void samples_free(struct samples *s)
{
	free(s->v);
	*s = (struct samples){ 0 };
}

static int ascending(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

int64_t stats_percentile(const int64_t *sorted, size_t n, unsigned percent)
{
	size_t rank = (n * percent + 99) / 100;

	return sorted[rank > 0 ? rank - 1 : 0];
}

void samples_summarise(struct samples *s, struct summary *ret)
{
	*ret = (struct summary){ .n = s->n };
	if (s->n == 0)
		return;
	qsort(s->v, s->n, sizeof(*s->v), ascending);
	ret->min = s->v[0];
	ret->median = stats_percentile(s->v, s->n, 50);
	ret->p90 = stats_percentile(s->v, s->n, 90);
	ret->p99 = stats_percentile(s->v, s->n, 99);
}

int64_t stats_ratio_milli(int64_t a, int64_t b)
{
	int64_t scaled;

	if (a < 0 || b <= 0 || __builtin_mul_overflow(a, 1000, &scaled) ||
	    __builtin_add_overflow(scaled, b / 2, &scaled))
		return -1;
	return scaled / b;
}
