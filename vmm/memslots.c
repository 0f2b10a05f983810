/* memslots.c - RAM's memslots, set while the main thread goes on. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/memslots.h"

/* For less, a thread costs as much as it saves. */
#define LARGE_BYTES (UINT64_C(1) << 29)

enum { STACK_BYTES = 64 * 1024 };

struct memslots {
	const struct kvm *kvm;
	const struct gmem *mem;
	pthread_t thread;
	bool started;
	int result;
	struct error error;
};

static void *set(void *arg)
{
	struct memslots *m = arg;

	pthread_setname_np(pthread_self(), "memslots");
	m->result = kvm_set_memory(m->kvm, m->mem, &m->error);
	return NULL;
}

static int start_thread(struct memslots *m, struct error *err)
{
	pthread_attr_t attr;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	r = pthread_create(&m->thread, &attr, set, m);
	pthread_attr_destroy(&attr);
	m->started = r == 0;
	return r == 0 ? 0
		      : error_set(err, -r, NULL, "is the limit of processes too low?",
				  "cannot start a thread: %s", strerror(r));
}

int memslots_begin(const struct kvm *kvm, const struct gmem *mem, struct memslots **ret,
		   struct error *err)
{
	struct memslots *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	m->kvm = kvm;
	m->mem = mem;
	if (gmem_size(mem) < LARGE_BYTES)
		r = kvm_set_memory(kvm, mem, err);
	else
		r = start_thread(m, err);
	if (r < 0) {
		memslots_destroy(m);
		return r;
	}
	*ret = m;
	return 0;
}

int memslots_await(struct memslots *m, struct error *err)
{
	if (m->started)
		pthread_join(m->thread, NULL);
	m->started = false;
	if (m->result < 0 && err)
		*err = m->error;
	return m->result;
}

void memslots_destroy(struct memslots *m)
{
	if (!m)
		return;
	memslots_await(m, NULL);
	free(m);
}
