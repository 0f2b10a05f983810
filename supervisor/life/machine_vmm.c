/* machine_vmm.c - the process that stands for a VMM, and the agent in its guest. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "supervisor/books/ledger.h"
#include "supervisor/books/store.h"
#include "supervisor/life/adopted.h"
#include "supervisor/life/guest.h"
#include "supervisor/life/lifecycle.h"
#include "supervisor/life/machine.h"
#include "supervisor/life/runtime.h"
#include "supervisor/wispd.h"
#include "vmm/base/fd.h"
#include "vmm/base/log.h"

/* How long a VMM may take to write its last line. */
static const int64_t OBEY_NS = 500000000;
static const char actor[] = "wispd";

/* --- the VMM --- */

void machine_give_up(struct machine *m, const char *why)
{
	m->over = true;
	m->exit_kind = NULL;
	snprintf(m->why, sizeof(m->why), "%.*s", CAUSE_BYTES - 1, why);
}

void machine_end_vmm(struct machine *m)
{
	int signal = m->told_to_end ? SIGKILL : SIGTERM;

	if (!m->alive)
		return;
	if (syscall(SYS_pidfd_send_signal, m->process.pidfd, signal, NULL, 0) < 0)
		log_warn("%s: cannot end its VMM: %s", m->id, strerror(errno));
	m->told_to_end = true;
	machine_wake_at(m, ledger_boot_ns() + OBEY_NS);
}

static int on_ended(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct machine *m = arg;

	(void)source;
	(void)fd;
	(void)events;
	m->ended = sd_event_source_disable_unref(m->ended);
	m->exit_kind = process_reap(&m->process, &m->exit_code);
	m->alive = false;
	m->over = true;
	machine_forget_monitor(m);
	machine_look(m);
	return 0;
}

int machine_watch(struct machine *m, const struct process *p)
{
	int r = sd_event_add_io(m->l->d->loop, &m->ended, p->pidfd, EPOLLIN, on_ended, m);

	if (r < 0)
		return r;
	m->process = *p;
	m->alive = true;
	m->over = m->sampled = m->told_to_end = m->broken = false;
	m->why[0] = '\0';
	return 0;
}

/* One of its engine's is there already. */
static int make_process(struct machine *m, const struct instance *i, struct process *ret,
			struct error *err)
{
	if (adopted(i))
		return adopted_take(&m->l->d->truth, i, ret, err);

	struct launch *launch = calloc(1, sizeof(*launch));
	int r = -ENOMEM;

	if (launch)
		r = lifecycle_load(m->l->d, i, launch, err);
	if (r == 0)
		r = runtime_spawn(launch, ret, err);
	free(launch);
	return r;
}

static int write_process(struct machine *m, struct instance *i, const struct process *p,
			 struct error *err)
{
	struct truth *t = &m->l->d->truth;
	int r = store_begin(t->store, err);

	if (r == 0)
		r = instance_spawned(t, i, p->pid, p->start, actor, err);
	if (r == 0)
		r = wispd_commit(m->l->d, err);
	if (r < 0)
		store_rollback(t->store);
	return r;
}

void machine_spawn(struct machine *m, struct instance *i)
{
	struct process p = { .pidfd = -1, .gate = -1 };
	struct error err = { .text = "out of memory" };

	if (make_process(m, i, &p, &err) < 0) {
		machine_give_up(m, err.text);
		machine_look(m);
		return;
	}
	if (write_process(m, i, &p, &err) < 0 || machine_watch(m, &p) < 0) {
		process_cancel(&p);
		machine_try_again(m, &err);
		return;
	}
	process_go(&m->process);
	m->task = TASK_NONE;
	machine_begin(m, i, TASK_BOOT);
}

/* --- the agent --- */

static void on_agent(void *ctx)
{
	machine_look(ctx);
}

void machine_listen(struct machine *m, const struct instance *i)
{
	struct launch *l = m->guest || !m->alive ? NULL : calloc(1, sizeof(*l));
	struct error err = { 0 };
	int r = l ? lifecycle_load(m->l->d, i, l, &err) : 0;

	if (r == 0 && l && l->agent)
		r = guest_create(m->l->d, l, on_agent, m, &m->guest, &err);
	if (r < 0)
		log_warn("%s: %s", m->id, err.text);
	free(l);
}

bool machine_awaits_agent(struct machine *m, const struct instance *i)
{
	const int64_t limit_ms = (int64_t)m->l->d->config.agent_timeout_ms;
	int64_t now = ledger_boot_ns();

	machine_listen(m, i);
	if (!m->guest || guest_is_ready(m->guest))
		return false;
	if (!m->agent_by_ns)
		m->agent_by_ns = now + limit_ms * 1000000;
	machine_wake_at(m, m->agent_by_ns);
	if (now < m->agent_by_ns)
		return true;
	snprintf(m->why, sizeof(m->why), "the guest's agent did not answer within %lld ms",
		 (long long)limit_ms);
	m->wake_boot_ns = 0;
	machine_end_vmm(m);
	return true;
}

void machine_forget_guest(struct machine *m)
{
	guest_destroy(m->guest);
	m->guest = NULL;
	m->agent_by_ns = 0;
}
