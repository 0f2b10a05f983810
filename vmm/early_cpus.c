/* early_cpus.c - what processors KVM can show a guest here, read ahead.
 *
 * The lock is held by whoever asks KVM. So the main thread waits for an answer that is on its
 * way, and does not wait for a thread that the host has not let run yet.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmm/base/fd.h"
#include "vmm/early_cpus.h"

enum {
	STACK_BYTES = 128 * 1024,
	DESCRIPTOR_TABLE = 1024, /* descriptors that fit without growing the table */
};

struct early_cpus {
	const char *device;
	pthread_t thread;
	bool started; /* it was, and has not been waited for */
	pthread_mutex_t lock;
	bool late;		/* with the lock: the main thread was first */
	struct arch_cpus *cpus; /* with the lock; NULL: not read */
};

/* With a descriptor of its own. What fails here fails for the main thread, too, and is told
 * by that. */
static void read_ahead(struct early_cpus *e)
{
	struct kvm kvm;

	if (kvm_open(&kvm, e->device, NULL) < 0)
		return;
	(void)arch_cpus_create(&kvm, &e->cpus, NULL);
	kvm_close(&kvm);
}

static void *run(void *arg)
{
	struct early_cpus *e = arg;

	pthread_setname_np(pthread_self(), "early_cpus");
	pthread_mutex_lock(&e->lock);
	if (!e->late)
		read_ahead(e);
	pthread_mutex_unlock(&e->lock);
	return NULL;
}

/* Best effort: a limit below it only means that the table may grow later. */
static void grow_descriptor_table(void)
{
	fd_close(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, DESCRIPTOR_TABLE - 1));
}

int early_cpus_begin(const char *device, struct early_cpus **ret)
{
	struct early_cpus *e = calloc(1, sizeof(*e));
	pthread_attr_t attr;

	if (!e)
		return -ENOMEM;
	e->device = device;
	pthread_mutex_init(&e->lock, NULL);
	grow_descriptor_table();
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	e->started = pthread_create(&e->thread, &attr, run, e) == 0;
	pthread_attr_destroy(&attr);
	*ret = e;
	return 0;
}

static void await_thread(struct early_cpus *e)
{
	if (e->started)
		pthread_join(e->thread, NULL);
	e->started = false;
}

int early_cpus_take(struct early_cpus *e, const struct kvm *kvm, struct arch_cpus **ret,
		    struct error *err)
{
	int r = 0;

	pthread_mutex_lock(&e->lock);
	e->late = true;
	if (!e->cpus)
		r = arch_cpus_create(kvm, &e->cpus, err);
	if (r == 0) {
		*ret = e->cpus;
		e->cpus = NULL;
	}
	pthread_mutex_unlock(&e->lock);
	await_thread(e);
	return r;
}

void early_cpus_destroy(struct early_cpus *e)
{
	if (!e)
		return;
	await_thread(e);
	arch_cpus_destroy(e->cpus);
	pthread_mutex_destroy(&e->lock);
	free(e);
}
