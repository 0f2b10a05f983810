/* firewall.c - one thread, one queue of texts, and nft, which is told all that is in it.
 *
 * The mutex guards the queue and the flag. The thread takes the whole queue, and while it has
 * it nobody else looks at those orders; then it says under the mutex which are done. If nft
 * refuses them together, each is tried alone, with the tables in front, so that what is wrong with
 * one is nobody else's matter.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/network/firewall.h"
#include "supervisor/network/nft.h"
#include "supervisor/network/rules.h"
#include "vmm/base/log.h"

struct order {
	struct order *next;
	struct firewall_text text;
	bool awaited; /* somebody waits for it, and frees it */
	bool done;    /* under lock */
	int result;
	struct error err;
};

struct firewall {
	char tag[NETWORK_TAG_BYTES];
	struct nft nft;				   /* the thread's */
	enum { UNKNOWN, THERE, MISSING } tracking; /* the thread's */
	struct class_reader reader;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake, finished;
	struct order *first, **last; /* under lock */
	bool ending;		     /* under lock */
	bool there;		     /* the thread's: the tables are as they should be */
};

/* --- texts --- */

void firewall_begin(struct firewall_text *t)
{
	*t = (struct firewall_text){ 0 };
	t->out = open_memstream(&t->text, &t->len);
}

void firewall_drop(struct firewall_text *t)
{
	if (t->out)
		fclose(t->out);
	free(t->text);
	*t = (struct firewall_text){ 0 };
}

/* --- running --- */

/* Once, and no earlier than it matters: nft has the kernel load what it needs. */
static bool tracked(struct firewall *f)
{
	struct firewall_text t;

	if (f->tracking != UNKNOWN)
		return f->tracking == THERE;
	firewall_begin(&t);
	if (t.out)
		rules_print_tracked(f->tag, t.out);
	f->tracking =
		t.out && fflush(t.out) == 0 && nft_would(&f->nft, t.text, t.len) ? THERE : MISSING;
	firewall_drop(&t);
	if (f->tracking == MISSING)
		log_warn(
			"No connections are tracked on bridges: a guest with an allow list cannot "
			"answer neighbours to whom it may not speak (modprobe nf_conntrack_bridge)");
	return f->tracking == THERE;
}

static void print(struct firewall *f, const struct order *order, FILE *out)
{
	if (order->text.tables != FIREWALL_MORE)
		rules_remove_all(f->tag, out);
	if (order->text.tables == FIREWALL_ANEW ||
	    (order->text.tables == FIREWALL_MORE && !f->there))
		rules_print_base(f->tag, tracked(f), out);
	fwrite(order->text.text, 1, order->text.len, out);
	f->there = order->text.tables != FIREWALL_AWAY;
}

static int run(struct firewall *f, struct firewall_text *t, struct error *err)
{
	int r = t->out && fflush(t->out) == 0 ? 0 : -ENOMEM;

	if (r == 0)
		r = nft_run(&f->nft, t->text, t->len, err);
	else
		error_set(err, r, NULL, NULL, "out of memory");
	if (r < 0)
		f->there = false;
	return r;
}

/* Those from one on, up to another (NULL: all). */
static int run_orders(struct firewall *f, const struct order *from, const struct order *end,
		      struct error *err)
{
	const bool with_tables = !f->there;
	struct firewall_text all;
	int r;

	firewall_begin(&all);
	for (const struct order *o = from; all.out && o != end; o = o->next)
		print(f, o, all.out);
	r = run(f, &all, err);
	firewall_drop(&all);
	/* There may have been no nft, either, that could have said what the kernel does. */
	if (r < 0 && with_tables)
		f->tracking = UNKNOWN;
	return r;
}

static void run_each(struct firewall *f, struct order *orders)
{
	for (struct order *o = orders; o; o = o->next)
		o->result = run_orders(f, o, o->next, &o->err);
}

/* --- the thread --- */

static void finish(struct firewall *f, struct order *orders)
{
	struct order *next;

	for (struct order *o = orders; o; o = next) {
		next = o->next;
		if (o->awaited) {
			o->done = true;
			continue;
		}
		if (o->result < 0)
			log_error("Rules of networks could not be taken away: %s", o->err.text);
		firewall_drop(&o->text);
		free(o);
	}
	pthread_cond_broadcast(&f->finished);
}

static struct order *take_all(struct firewall *f)
{
	struct order *orders = f->first;

	f->first = NULL;
	f->last = &f->first;
	return orders;
}

static void *work(void *arg)
{
	struct firewall *f = arg;
	struct error err;

	pthread_mutex_lock(&f->lock);
	while (f->first || !f->ending) {
		struct order *orders = take_all(f);

		if (!orders) {
			pthread_cond_wait(&f->wake, &f->lock);
			continue;
		}
		pthread_mutex_unlock(&f->lock);
		if (run_orders(f, orders, NULL, &err) < 0)
			run_each(f, orders);
		pthread_mutex_lock(&f->lock);
		finish(f, orders);
	}
	pthread_mutex_unlock(&f->lock);
	nft_end(&f->nft);
	return NULL;
}

static int start(struct firewall *f)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&f->thread, NULL, work, f);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

int firewall_create(const struct config *c, const char tag[NETWORK_TAG_BYTES],
		    struct firewall **ret, struct error *err)
{
	struct firewall *f = calloc(1, sizeof(*f));
	int r = -ENOMEM;

	if (f) {
		nft_init(&f->nft, c->nft);
		memcpy(f->tag, tag, sizeof(f->tag));
		f->last = &f->first;
		pthread_mutex_init(&f->lock, NULL);
		pthread_cond_init(&f->wake, NULL);
		pthread_cond_init(&f->finished, NULL);
		class_reader_init(&f->reader);
		r = start(f);
	}
	if (r < 0) {
		if (f)
			class_reader_clear(&f->reader);
		free(f);
		return error_set(err, r, NULL, NULL, "Cannot start a thread: %s", strerror(-r));
	}
	*ret = f;
	return 0;
}

void firewall_destroy(struct firewall *f)
{
	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	f->ending = true;
	pthread_cond_signal(&f->wake);
	pthread_mutex_unlock(&f->lock);
	pthread_join(f->thread, NULL);
	class_reader_clear(&f->reader);
	pthread_cond_destroy(&f->finished);
	pthread_cond_destroy(&f->wake);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* --- orders --- */

/* NULL: memory was short, and the text is dropped. Its stream knows where the text was begun, and
 * ends before that moves. */
static struct order *make_order(struct firewall_text *t, bool awaited, struct error *err)
{
	bool whole = t->out && fclose(t->out) == 0;
	struct order *order = whole ? calloc(1, sizeof(*order)) : NULL;

	t->out = NULL;
	if (!order) {
		firewall_drop(t);
		error_set(err, -ENOMEM, NULL, NULL, "out of memory");
		return NULL;
	}
	order->text = *t;
	order->awaited = awaited;
	*t = (struct firewall_text){ 0 };
	return order;
}

/* With the lock. */
static void add(struct firewall *f, struct order *order)
{
	*f->last = order;
	f->last = &order->next;
	pthread_cond_signal(&f->wake);
}

int firewall_apply(struct firewall *f, struct firewall_text *t, struct error *err)
{
	struct order *order = make_order(t, true, err);
	int r;

	if (!order)
		return -ENOMEM;
	pthread_mutex_lock(&f->lock);
	add(f, order);
	while (!order->done)
		pthread_cond_wait(&f->finished, &f->lock);
	pthread_mutex_unlock(&f->lock);
	r = order->result;
	if (r < 0)
		*err = order->err;
	firewall_drop(&order->text);
	free(order);
	return r;
}

int firewall_apply_later(struct firewall *f, struct firewall_text *t, struct error *err)
{
	struct order *order = make_order(t, false, err);

	if (!order)
		return -ENOMEM;
	pthread_mutex_lock(&f->lock);
	add(f, order);
	pthread_mutex_unlock(&f->lock);
	return 0;
}

int firewall_count(struct firewall *f, const struct lease *l, struct class_counters *ret,
		   struct error *err)
{
	return classes_read(&f->reader, f->tag, l, ret, err);
}
