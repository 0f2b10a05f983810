/* workers.h - threads for what would make the loop wait: files, programs, VMMs.
 *
 * A piece of work is a struct that its owner embeds in one of his own. run() is called on
 * some worker thread and may touch nothing but that struct; done() is called on the loop's
 * thread afterwards. Between the two the owner leaves the struct alone.
 */
#ifndef SUPERVISOR_WORKERS_H
#define SUPERVISOR_WORKERS_H

struct sd_event;
struct work;
struct workers;

struct work {
	void (*run)(struct work *w);
	void (*done)(struct work *w);
	struct work *next; /* of the workers' own */
};

/* 0 or a negative errno. Loop thread, as all here. */
int workers_create(struct sd_event *loop, unsigned threads, struct workers **ret);

/* Waits for the work at hand; what was not begun is done() without run(). Accepts NULL. */
void workers_destroy(struct workers *w);

void workers_add(struct workers *w, struct work *work);

#endif
