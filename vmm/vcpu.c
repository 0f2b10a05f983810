/* vcpu.c - the virtual processors.
 *
 * Each vCPU is a thread in a loop: look at the gate, KVM_RUN, answer the exit.
 * The gate is one word for all of them (run, pause, stop). To bring a vCPU to it
 * from inside the guest, the requester sets immediate_exit in the page shared
 * with KVM, which makes the next KVM_RUN return at once, and sends a signal,
 * which ends a KVM_RUN that is under way. Either alone would lose a race;
 * together they cannot. immediate_exit is only cleared under the gate's lock, by a
 * vCPU that found the gate open, and by whoever opens it.
 *
 * Before a thread comes to the gate for the first time it takes its seccomp filter and
 * waits until vcpus_release(), so that the first guest instruction comes after the last
 * filter of any thread. The main thread takes its own in between: taken before, the
 * vCPUs would inherit it, and every exit would run through both.
 *
 * What a hostile guest can do here: exit as often as it likes (each exit is one
 * table look-up and one bounded handler), and stop itself in odd ways (a fault
 * ends the machine with a log line, nothing else).
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "vmm/base/fd.h"
#include "vmm/base/log.h"
#include "vmm/vcpu.h"

enum { STACK_BYTES = 128 * 1024 };

enum gate { GATE_RUN, GATE_PAUSE, GATE_STOP };

struct vcpu {
	struct vcpus *set;
	unsigned index;
	int fd;
	struct kvm_run *run; /* shared with KVM, not with the guest */
	pthread_t thread;
	bool started;
	uint64_t exits[VCPU_EXIT_KINDS]; /* written by its thread, read by any */
};

struct vcpus {
	struct vcpus_config config;
	pthread_mutex_t lock; /* guards the gate, parked, started, immediate_exit, ... */
	pthread_cond_t changed;
	enum gate gate; /* written under the lock, read by vCPUs without */
	unsigned parked, started;
	bool released;	   /* ... and these: threads may come to the gate */
	unsigned confined; /* threads that tried to take their filter */
	int refusal;	   /* what the last one that could not was told; 0: none */
	struct vcpu vcpu[];
};

static const char *const exit_names[VCPU_EXIT_KINDS] = {
	[VCPU_EXIT_IO] = "io",
	[VCPU_EXIT_MMIO] = "mmio",
	[VCPU_EXIT_HLT] = "hlt",
	[VCPU_EXIT_IOAPIC_EOI] = "ioapic_eoi",
	[VCPU_EXIT_SYSTEM_EVENT] = "system_event",
	[VCPU_EXIT_SHUTDOWN] = "shutdown",
	[VCPU_EXIT_INTERRUPTED] = "interrupted",
	[VCPU_EXIT_OTHER] = "other",
};

static int kick_signal(void)
{
	return SIGRTMIN;
}

/* The signal only has to interrupt KVM_RUN. */
static void on_kick(int sig)
{
	(void)sig;
}

static void count_exit(struct vcpu *v, enum vcpu_exit kind)
{
	__atomic_store_n(&v->exits[kind], v->exits[kind] + 1, __ATOMIC_RELAXED);
}

static void stop_machine(struct vcpu *v, enum stop_reason reason)
{
	stop_request(&v->set->config.stop, reason, 0);
}

static void handle_io(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_IN)
			bus_read(v->set->config.pio, run->io.port, data, run->io.size);
		else
			bus_write(v->set->config.pio, run->io.port, data, run->io.size);
	}
}

static void handle_mmio(struct vcpu *v)
{
	struct kvm_run *run = v->run;

	if (run->mmio.is_write)
		bus_write(v->set->config.mmio, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
	else
		bus_read(v->set->config.mmio, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
}

/* HLT normally stays in the kernel; one that reaches us halts for ever. */
static void handle_hlt(struct vcpu *v)
{
	stop_machine(v, STOP_POWER_OFF);
}

/* The IOAPIC holds no interrupt back, so the end of one is no news to it. */
static void handle_eoi(struct vcpu *v)
{
	(void)v;
}

static void handle_system_event(struct vcpu *v)
{
	bool off = v->run->system_event.type == KVM_SYSTEM_EVENT_SHUTDOWN;

	stop_machine(v, off ? STOP_POWER_OFF : STOP_RESET);
}

/* A triple fault: on a PC this is a reset, and kernels use it as one. */
static void handle_shutdown(struct vcpu *v)
{
	stop_machine(v, STOP_RESET);
}

static void handle_fault(struct vcpu *v)
{
	const struct kvm_run *run = v->run;

	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		log_error("vcpu %u: KVM internal error %u, first words %#" PRIx64 " %#" PRIx64,
			  v->index, run->internal.suberror, (uint64_t)run->internal.data[0],
			  (uint64_t)run->internal.data[1]);
	else if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
		log_error("vcpu %u: the processor refused to enter the guest, reason %#" PRIx64,
			  v->index, (uint64_t)run->fail_entry.hardware_entry_failure_reason);
	else
		log_error("vcpu %u: unexpected exit %u from KVM", v->index, run->exit_reason);
	stop_machine(v, STOP_FAULT);
}

struct exit_handler {
	enum vcpu_exit kind;
	void (*run)(struct vcpu *v);
};

static const struct exit_handler exit_handlers[] = {
	[KVM_EXIT_IO] = { VCPU_EXIT_IO, handle_io },
	[KVM_EXIT_MMIO] = { VCPU_EXIT_MMIO, handle_mmio },
	[KVM_EXIT_HLT] = { VCPU_EXIT_HLT, handle_hlt },
	[KVM_EXIT_IOAPIC_EOI] = { VCPU_EXIT_IOAPIC_EOI, handle_eoi },
	[KVM_EXIT_SYSTEM_EVENT] = { VCPU_EXIT_SYSTEM_EVENT, handle_system_event },
	[KVM_EXIT_SHUTDOWN] = { VCPU_EXIT_SHUTDOWN, handle_shutdown },
};

static const struct exit_handler fault_handler = { VCPU_EXIT_OTHER, handle_fault };

static const struct exit_handler *find_handler(uint32_t reason)
{
	if (reason < sizeof(exit_handlers) / sizeof(exit_handlers[0]) && exit_handlers[reason].run)
		return &exit_handlers[reason];
	return &fault_handler;
}

static void handle_exit(struct vcpu *v)
{
	const struct exit_handler *h = find_handler(v->run->exit_reason);

	if (v->index == 0)
		timeline_mark(v->set->config.timeline, TIMELINE_KERNEL);
	count_exit(v, h->kind);
	h->run(v);
}

/* KVM looks at it whenever the vCPU enters the guest; the vCPU and the main thread write
 * it, and each is right at its time: set_gate() and pass_gate() see to the last word. */
static void leave_at_once(struct vcpu *v, bool yes)
{
	__atomic_store_n(&v->run->immediate_exit, yes, __ATOMIC_RELAXED);
}

/* An access that left the guest is over for KVM only when the vCPU comes back, which
 * may bring the next part of the same one. After this the registers are whole, and can
 * be saved. No guest instruction is executed. */
static void finish_access(struct vcpu *v)
{
	leave_at_once(v, true);
	while (ioctl(v->fd, KVM_RUN, 0) == 0)
		handle_exit(v);
}

/* Waits at the gate. False: the machine ends. */
static bool pass_gate(struct vcpu *v)
{
	struct vcpus *set = v->set;
	bool go;

	if (__atomic_load_n(&set->gate, __ATOMIC_ACQUIRE) == GATE_RUN)
		return true;
	finish_access(v);
	pthread_mutex_lock(&set->lock);
	set->parked++;
	pthread_cond_broadcast(&set->changed);
	while (set->gate == GATE_PAUSE)
		pthread_cond_wait(&set->changed, &set->lock);
	set->parked--;
	go = set->gate == GATE_RUN;
	if (go)
		leave_at_once(v, false);
	pthread_mutex_unlock(&set->lock);
	return go;
}

static void run_once(struct vcpu *v)
{
	if (ioctl(v->fd, KVM_RUN, 0) == 0) {
		handle_exit(v);
		return;
	}
	if (errno == EINTR || errno == EAGAIN) {
		count_exit(v, VCPU_EXIT_INTERRUPTED);
		return;
	}
	log_error("vcpu %u: KVM_RUN failed: %s", v->index, strerror(errno));
	stop_machine(v, STOP_FAULT);
}

static void confine(struct vcpu *v)
{
	struct vcpus *set = v->set;
	int r = thread_filter_install(set->config.filters, THREAD_VCPU);

	pthread_mutex_lock(&set->lock);
	set->confined++;
	if (r < 0)
		set->refusal = r;
	pthread_cond_broadcast(&set->changed);
	while (!set->released)
		pthread_cond_wait(&set->changed, &set->lock);
	pthread_mutex_unlock(&set->lock);
}

static void *vcpu_main(void *arg)
{
	struct vcpu *v = arg;
	char name[16];
	sigset_t kick;

	snprintf(name, sizeof(name), "vcpu%u", v->index);
	pthread_setname_np(pthread_self(), name);
	sigemptyset(&kick);
	sigaddset(&kick, kick_signal());
	pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
	confine(v);
	for (bool go = pass_gate(v), first = true; go; go = pass_gate(v), first = false) {
		if (first && v->index == 0)
			timeline_mark(v->set->config.timeline, TIMELINE_FIRST_INSTRUCTION);
		run_once(v);
	}
	return NULL;
}

static int vcpu_init(struct vcpus *set, unsigned index, struct error *err)
{
	struct vcpu *v = &set->vcpu[index];
	void *run;

	v->set = set;
	v->index = index;
	v->fd = kvm_create_vcpu(set->config.kvm, index, err);
	if (v->fd < 0)
		return v->fd;
	run = mmap(NULL, set->config.kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (run == MAP_FAILED)
		return error_errno(err, "vcpu_count", NULL, "cannot map vCPU %u", index);
	v->run = run;
	return 0;
}

static int install_kick_handler(struct error *err)
{
	struct sigaction action = { .sa_handler = on_kick };

	if (sigaction(kick_signal(), &action, NULL) < 0)
		return error_errno(err, NULL, NULL, "cannot install the vCPU signal");
	return 0;
}

int vcpus_create(const struct vcpus_config *config, struct vcpus **ret, struct error *err)
{
	struct vcpus *v = calloc(1, sizeof(*v) + config->count * sizeof(v->vcpu[0]));
	int r;

	if (!v)
		return error_set(err, -ENOMEM, NULL, NULL, "out of memory");
	v->config = *config;
	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->changed, NULL);
	for (unsigned i = 0; i < config->count; i++)
		v->vcpu[i].fd = -1;
	r = install_kick_handler(err);
	for (unsigned i = 0; i < config->count && r == 0; i++)
		r = vcpu_init(v, i, err);
	if (r < 0) {
		vcpus_destroy(v);
		return r;
	}
	*ret = v;
	return 0;
}

int vcpus_fd(const struct vcpus *v, unsigned i)
{
	return v->vcpu[i].fd;
}

int vcpus_start(struct vcpus *v, struct error *err)
{
	pthread_attr_t attr;
	int r = 0;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	/* The first vCPU may ask for a pause before the last one is started. */
	pthread_mutex_lock(&v->lock);
	for (unsigned i = 0; i < v->config.count && r == 0; i++) {
		r = pthread_create(&v->vcpu[i].thread, &attr, vcpu_main, &v->vcpu[i]);
		v->vcpu[i].started = r == 0;
		v->started += r == 0;
	}
	pthread_mutex_unlock(&v->lock);
	pthread_attr_destroy(&attr);
	if (r == 0)
		return 0;
	return error_set(err, -r, "vcpu_count", "is the limit of processes too low?",
			 "cannot start a vCPU thread: %s", strerror(r));
}

int vcpus_await(struct vcpus *v, struct error *err)
{
	int r;

	pthread_mutex_lock(&v->lock);
	while (v->confined < v->started)
		pthread_cond_wait(&v->changed, &v->lock);
	r = v->refusal;
	pthread_mutex_unlock(&v->lock);
	return r < 0 ? error_set(err, r, "seccomp-filter", "does the kernel have seccomp?",
				 "cannot confine a vCPU thread: %s", strerror(-r))
		     : 0;
}

int vcpus_release(struct vcpus *v, struct error *err)
{
	int r = vcpus_await(v, err);

	pthread_mutex_lock(&v->lock);
	v->released = r == 0;
	pthread_cond_broadcast(&v->changed);
	pthread_mutex_unlock(&v->lock);
	return r;
}

static void set_gate(struct vcpus *v, enum gate gate)
{
	pthread_mutex_lock(&v->lock);
	/* Once the machine ends, nothing opens the gate again. */
	if (v->gate != GATE_STOP)
		__atomic_store_n(&v->gate, gate, __ATOMIC_RELEASE);
	if (gate == GATE_STOP)
		v->released = true;
	/* A vCPU that has not been to a gate that was closed for a moment must not go on
	 * leaving the guest at once. */
	for (unsigned i = 0; i < v->config.count; i++) {
		struct vcpu *cpu = &v->vcpu[i];

		if (cpu->run)
			leave_at_once(cpu, v->gate != GATE_RUN);
		if (cpu->started && gate != GATE_RUN)
			pthread_kill(cpu->thread, kick_signal());
	}
	pthread_cond_broadcast(&v->changed);
	pthread_mutex_unlock(&v->lock);
}

void vcpus_request_pause(struct vcpus *v)
{
	set_gate(v, GATE_PAUSE);
}

void vcpus_pause(struct vcpus *v)
{
	set_gate(v, GATE_PAUSE);
	pthread_mutex_lock(&v->lock);
	/* What was not released has not been in the guest, and comes to a closed gate. */
	while (v->released && v->parked < v->started)
		pthread_cond_wait(&v->changed, &v->lock);
	pthread_mutex_unlock(&v->lock);
}

void vcpus_resume(struct vcpus *v)
{
	set_gate(v, GATE_RUN);
}

void vcpus_destroy(struct vcpus *v)
{
	if (!v)
		return;
	set_gate(v, GATE_STOP);
	for (unsigned i = 0; i < v->config.count; i++) {
		struct vcpu *cpu = &v->vcpu[i];

		if (cpu->started)
			pthread_join(cpu->thread, NULL);
		if (cpu->run)
			munmap(cpu->run, v->config.kvm->run_size);
		fd_close(cpu->fd);
	}
	pthread_cond_destroy(&v->changed);
	pthread_mutex_destroy(&v->lock);
	free(v);
}

void vcpus_exits(const struct vcpus *v, uint64_t counts[VCPU_EXIT_KINDS])
{
	for (unsigned kind = 0; kind < VCPU_EXIT_KINDS; kind++) {
		counts[kind] = 0;
		for (unsigned i = 0; i < v->config.count; i++)
			counts[kind] += __atomic_load_n(&v->vcpu[i].exits[kind], __ATOMIC_RELAXED);
	}
}

const char *vcpu_exit_name(enum vcpu_exit kind)
{
	return exit_names[kind];
}
