/* endmark.c - finding the mark that ends a stream. */
#include <string.h>

#include "tests/testhost/endmark.h"

void endmark_init(struct endmark *m, const char *token)
{
	*m = (struct endmark){ 0 };
	memcpy(m->mark + 1, token, ENDMARK_TOKEN_LEN);
	m->mark[ENDMARK_HELD_MAX - 1] = ' ';
}

/* Behind the token: decimal digits, then a newline. */
static void read_status(struct endmark *m, char c)
{
	if (c >= '0' && c <= '9' && m->status <= 255)
		m->status = m->status * 10 + (c - '0');
	else
		m->complete = true;
}

size_t endmark_feed(struct endmark *m, const char *in, size_t len, char *out)
{
	size_t used = 0;

	for (size_t i = 0; i < len && !m->complete; i++) {
		if (m->matched == sizeof(m->mark)) {
			read_status(m, in[i]);
			continue;
		}
		if (in[i] != m->mark[m->matched])
			used += endmark_rest(m, out + used);
		/* The mark's first byte occurs in it only once: a match that
		 * broke can begin anew only at this very byte. */
		if (in[i] == m->mark[m->matched])
			m->matched++;
		else
			out[used++] = in[i];
	}
	return used;
}

size_t endmark_rest(struct endmark *m, char *out)
{
	size_t n = m->matched;

	memcpy(out, m->mark, n);
	m->matched = 0;
	return n;
}
