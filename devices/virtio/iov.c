/* iov.c - bounded access to scattered bytes. */
#include <errno.h>
#include <string.h>

#include "devices/virtio/iov.h"

enum direction { FROM_SPANS, TO_SPANS };

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static int iov_copy(const struct iov *v, size_t off, char *buf, size_t len, enum direction dir)
{
	if (off > v->len || len > v->len - off)
		return -EINVAL;
	for (unsigned i = 0; i < v->count && len > 0; i++) {
		const struct iovec *span = &v->vec[i];

		if (off >= span->iov_len) {
			off -= span->iov_len;
			continue;
		}

		size_t n = smaller(len, span->iov_len - off);
		char *at = (char *)span->iov_base + off;

		memcpy(dir == TO_SPANS ? at : buf, dir == TO_SPANS ? buf : at, n);
		buf += n;
		len -= n;
		off = 0;
	}
	return 0;
}

int iov_read(const struct iov *v, size_t off, void *dst, size_t len)
{
	return iov_copy(v, off, dst, len, FROM_SPANS);
}

int iov_write(const struct iov *v, size_t off, const void *src, size_t len)
{
	return iov_copy(v, off, (char *)src, len, TO_SPANS);
}

void iov_skip(struct iov *v, size_t len)
{
	len = smaller(len, v->len);
	v->len -= len;
	while (len > 0) {
		size_t n = smaller(len, v->vec->iov_len);

		v->vec->iov_base = (char *)v->vec->iov_base + n;
		v->vec->iov_len -= n;
		len -= n;
		if (v->vec->iov_len == 0) {
			v->vec++;
			v->count--;
		}
	}
}

void iov_truncate(struct iov *v, size_t len)
{
	while (v->len > len) {
		struct iovec *last = &v->vec[v->count - 1];
		size_t n = smaller(v->len - len, last->iov_len);

		last->iov_len -= n;
		v->len -= n;
		if (last->iov_len == 0)
			v->count--;
	}
}
