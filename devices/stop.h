/* stop.h - how a device tells the machine that the guest wants to end. */
#ifndef DEVICES_STOP_H
#define DEVICES_STOP_H

/* Why a guest wants to stop. */
enum stop_reason {
	STOP_RESET,	 /* reset register, i8042, triple fault */
	STOP_POWER_OFF,	 /* ACPI S5 */
	STOP_DEBUG_EXIT, /* the debug exit port: value is the exit status */
	STOP_FAULT,	 /* KVM cannot run the guest any further; logged where it was seen */
};

/* How a device reports it. fn runs on the vCPU's thread, must not block, and may
 * be called more than once; the first call counts. */
struct stop_sink {
	void (*fn)(void *ctx, enum stop_reason reason, int value);
	void *ctx;
};

static inline void stop_request(const struct stop_sink *s, enum stop_reason reason, int value)
{
	s->fn(s->ctx, reason, value);
}

#endif
