/* progress.h - how far a piece of long work is: told by a worker, read by the loop. */
#ifndef SUPERVISOR_PROGRESS_H
#define SUPERVISOR_PROGRESS_H

struct progress {
	const char *_Atomic stage; /* static text; NULL: not begun */
	_Atomic unsigned percent;
};

/* Any thread. */
static inline void progress_tell(struct progress *p, const char *stage, unsigned percent)
{
	p->stage = stage;
	p->percent = percent;
}

#endif
