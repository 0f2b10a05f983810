/* serial.c - a 16550A serial port whose other end is the host.
 *
 * vCPU threads reach the registers through the bus; the main thread moves bytes in
 * and out. One mutex guards everything and is held for one register access or one
 * copy of bytes. What has to be told to somebody (an edge for the guest, output or
 * room for the host) is noted under the lock and signalled after it.
 *
 * Time does not exist here. A byte written has been sent, so the transmitter is
 * always empty; a byte received is there, so the trigger levels of the FIFO and
 * its timeout do not matter and one byte is reason enough for an interrupt.
 *
 * Interrupts. The chip's line is high while any enabled cause is pending, and the
 * data sheet leaves it to the driver to serve all of them before it returns. Ours
 * is a line that only knows edges, and a driver may serve one cause and return, or
 * never look at the IIR at all. So the rule is: whatever creates, retires or
 * enables a cause sends an edge if, after it, any enabled cause is pending. It
 * follows that
 *  - input which arrives while another cause waits sends its own edge,
 *  - serving one cause while a second one waits announces the second,
 *  - reading one byte of several announces the rest,
 *  - enabling a cause that is pending already announces it,
 *  - each byte written with the transmitter's interrupt on announces that the
 *    next one may come, whether the IIR was read in between or not.
 * A driver that does serve everything at once meets a few interrupts with nothing
 * to do, which it must expect on a PC.
 *
 * What a guest can do wrong: any access in any order. Every register is a byte;
 * wider reads give ones and wider writes are lost. A flood of output costs the
 * guest its own bytes, nobody else anything.
 */
#include <errno.h>
#include <linux/serial_reg.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "devices/serial.h"
#include "vmm/base/fd.h"

enum {
	/* How much a driver that measures the FIFO in loopback mode must find: 64
	 * would make it another chip, with flow control that is not here. */
	CHIP_FIFO_BYTES = 16,
	CHIP_HOLDING_BYTES = 1, /* with the FIFO off */

	IER_BITS = UART_IER_RDI | UART_IER_THRI | UART_IER_RLSI | UART_IER_MSI,
	MCR_BITS = UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT1 | UART_MCR_OUT2 | UART_MCR_LOOP,
	IIR_FIFO_ON = 0xc0,
	DIVISOR_9600 = 12,

	/* The host is always there and always ready. */
	HOST_LINES = UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD,
};

/* Whom to tell once the lock is released. */
enum { WAKE_GUEST = 1, WAKE_OUTPUT = 2, WAKE_INPUT = 4 };

struct serial {
	int irq_fd;		 /* not owned */
	int output_fd, input_fd; /* owned */

	/* All that follows is under the lock. */
	pthread_mutex_t lock;
	unsigned wake;

	uint8_t ier, lcr, mcr, scr, dll, dlm;
	uint8_t msr_deltas;
	bool fifo_on;
	bool thr_empty; /* as a cause: not yet seen in the IIR */
	bool overrun;

	uint8_t input[SERIAL_INPUT_BYTES];
	size_t input_first, input_count;
	bool input_refused; /* the host waits for room */

	size_t output_first, output_count;
	uint64_t output_dropped;
	uint8_t output[SERIAL_OUTPUT_BYTES]; /* last: see serial_create() */
};

/* Highest priority first (data sheet, table IV). */
static const struct {
	uint8_t cause, id;
} priorities[] = {
	{ UART_IER_RLSI, UART_IIR_RLSI },
	{ UART_IER_RDI, UART_IIR_RDI },
	{ UART_IER_THRI, UART_IIR_THRI },
	{ UART_IER_MSI, UART_IIR_MSI },
};

/* Where the modem outputs come back in loopback mode. */
static const struct {
	uint8_t output, input;
} loopback_lines[] = {
	{ UART_MCR_DTR, UART_MSR_DSR },
	{ UART_MCR_RTS, UART_MSR_CTS },
	{ UART_MCR_OUT1, UART_MSR_RI },
	{ UART_MCR_OUT2, UART_MSR_DCD },
};

/* --- life --- */

/* The output's pages are not touched before there is output: that would be a tenth of what
 * a start of the machine writes. */
int serial_create(int irq_fd, struct serial **ret)
{
	struct serial *s = malloc(sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	memset(s, 0, offsetof(struct serial, output));
	s->irq_fd = irq_fd;
	s->input_fd = -1;
	s->dll = DIVISOR_9600;
	s->lcr = UART_LCR_WLEN8;
	s->thr_empty = true;
	pthread_mutex_init(&s->lock, NULL);

	s->output_fd = fd_event();
	if (s->output_fd < 0) {
		r = s->output_fd;
		goto fail;
	}
	s->input_fd = fd_event();
	if (s->input_fd < 0) {
		r = s->input_fd;
		goto fail;
	}
	*ret = s;
	return 0;

fail:
	serial_destroy(s);
	return r;
}

void serial_destroy(struct serial *s)
{
	if (!s)
		return;
	fd_close(s->input_fd);
	fd_close(s->output_fd);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void serial_state(struct serial *s, struct state *state)
{
	uint8_t first = (uint8_t)s->input_first, count = (uint8_t)s->input_count;
	uint8_t *const registers[] = { &s->ier, &s->lcr, &s->mcr,	&s->scr,
				       &s->dll, &s->dlm, &s->msr_deltas };

	state_begin(state, STATE_SERIAL, 0);
	for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
		state_u8(state, registers[i]);
	state_bool(state, &s->fifo_on);
	state_bool(state, &s->thr_empty);
	state_bool(state, &s->overrun);
	state_bytes(state, s->input, sizeof(s->input));
	state_u8(state, &first);
	state_u8(state, &count);
	if (first >= SERIAL_INPUT_BYTES || count > SERIAL_INPUT_BYTES)
		state_fail(state, "more input than the queue has room for");
	state_end(state);
	s->input_first = first % SERIAL_INPUT_BYTES;
	s->input_count = count <= SERIAL_INPUT_BYTES ? count : 0;
	s->ier &= IER_BITS;
	s->mcr &= MCR_BITS;
}

int serial_output_fd(const struct serial *s)
{
	return s->output_fd;
}

int serial_input_fd(const struct serial *s)
{
	return s->input_fd;
}

static void unlock_and_wake(struct serial *s)
{
	unsigned wake = s->wake;

	s->wake = 0;
	pthread_mutex_unlock(&s->lock);
	if (wake & WAKE_GUEST)
		fd_event_signal(s->irq_fd);
	if (wake & WAKE_OUTPUT)
		fd_event_signal(s->output_fd);
	if (wake & WAKE_INPUT)
		fd_event_signal(s->input_fd);
}

/* --- causes of interrupts --- */

/* The enabled ones that are pending, each as its bit in the IER. */
static unsigned pending_causes(const struct serial *s)
{
	unsigned causes = 0;

	if (s->overrun)
		causes |= UART_IER_RLSI;
	if (s->input_count > 0)
		causes |= UART_IER_RDI;
	if (s->thr_empty)
		causes |= UART_IER_THRI;
	if (s->msr_deltas)
		causes |= UART_IER_MSI;
	return causes & s->ier;
}

/* To be called by whatever creates, retires or enables a cause, after it did. */
static void causes_changed(struct serial *s)
{
	if (pending_causes(s))
		s->wake |= WAKE_GUEST;
}

/* --- input --- */

static bool in_loopback(const struct serial *s)
{
	return s->mcr & UART_MCR_LOOP;
}

static void push_input(struct serial *s, uint8_t byte)
{
	s->input[(s->input_first + s->input_count) % SERIAL_INPUT_BYTES] = byte;
	s->input_count++;
}

/* The host refills an empty queue in one go instead of byte by byte. */
static void offer_room(struct serial *s)
{
	if (!s->input_refused || s->input_count > 0 || in_loopback(s))
		return;
	s->input_refused = false;
	s->wake |= WAKE_INPUT;
}

static void clear_input(struct serial *s)
{
	s->input_count = 0;
	offer_room(s);
	causes_changed(s);
}

size_t serial_put_input(struct serial *s, const void *buf, size_t len)
{
	const uint8_t *bytes = buf;
	size_t taken = 0;

	pthread_mutex_lock(&s->lock);
	while (taken < len && s->input_count < SERIAL_INPUT_BYTES && !in_loopback(s))
		push_input(s, bytes[taken++]);
	if (taken < len)
		s->input_refused = true;
	if (taken > 0)
		causes_changed(s);
	unlock_and_wake(s);
	return taken;
}

/* --- output --- */

static void push_output(struct serial *s, uint8_t byte)
{
	if (s->output_count == SERIAL_OUTPUT_BYTES) {
		s->output_dropped++;
		return;
	}
	if (s->output_count == 0)
		s->wake |= WAKE_OUTPUT;
	s->output[(s->output_first + s->output_count) % SERIAL_OUTPUT_BYTES] = byte;
	s->output_count++;
}

/* What is sent in loopback mode is received at once, as deep as the chip's own
 * FIFO goes. */
static void loop_back(struct serial *s, uint8_t byte)
{
	size_t room = s->fifo_on ? CHIP_FIFO_BYTES : CHIP_HOLDING_BYTES;

	if (s->input_count < room)
		push_input(s, byte);
	else
		s->overrun = true;
}

size_t serial_take_output(struct serial *s, void *buf, size_t len)
{
	uint8_t *bytes = buf;

	pthread_mutex_lock(&s->lock);

	size_t taken = len < s->output_count ? len : s->output_count;
	size_t to_end = SERIAL_OUTPUT_BYTES - s->output_first;
	size_t part = taken < to_end ? taken : to_end;

	memcpy(bytes, s->output + s->output_first, part);
	memcpy(bytes + part, s->output, taken - part);
	s->output_first = (s->output_first + taken) % SERIAL_OUTPUT_BYTES;
	s->output_count -= taken;
	unlock_and_wake(s);
	return taken;
}

uint64_t serial_dropped(struct serial *s)
{
	pthread_mutex_lock(&s->lock);
	uint64_t dropped = s->output_dropped;
	pthread_mutex_unlock(&s->lock);
	return dropped;
}

/* --- registers: vCPU threads, under the lock --- */

static bool divisor_selected(const struct serial *s)
{
	return s->lcr & UART_LCR_DLAB;
}

static uint8_t read_rbr(struct serial *s)
{
	uint8_t byte;

	if (s->input_count == 0)
		return 0;
	byte = s->input[s->input_first];
	s->input_first = (s->input_first + 1) % SERIAL_INPUT_BYTES;
	s->input_count--;
	offer_room(s);
	causes_changed(s);
	return byte;
}

/* Reading the IIR retires the transmitter's cause, if that is what it shows. */
static uint8_t read_iir(struct serial *s)
{
	unsigned pending = pending_causes(s);
	uint8_t fifo = s->fifo_on ? IIR_FIFO_ON : 0;

	for (size_t i = 0; i < sizeof(priorities) / sizeof(priorities[0]); i++) {
		if (!(pending & priorities[i].cause))
			continue;
		if (priorities[i].cause == UART_IER_THRI) {
			s->thr_empty = false;
			causes_changed(s);
		}
		return priorities[i].id | fifo;
	}
	return UART_IIR_NO_INT | fifo;
}

static uint8_t read_lsr(struct serial *s)
{
	uint8_t lsr = UART_LSR_TEMT | UART_LSR_THRE;

	if (s->input_count > 0)
		lsr |= UART_LSR_DR;
	if (s->overrun) {
		lsr |= UART_LSR_OE;
		s->overrun = false;
		causes_changed(s);
	}
	return lsr;
}

static uint8_t modem_lines(uint8_t mcr)
{
	uint8_t lines = 0;

	if (!(mcr & UART_MCR_LOOP))
		return HOST_LINES;
	for (size_t i = 0; i < sizeof(loopback_lines) / sizeof(loopback_lines[0]); i++)
		if (mcr & loopback_lines[i].output)
			lines |= loopback_lines[i].input;
	return lines;
}

static uint8_t read_msr(struct serial *s)
{
	uint8_t msr = modem_lines(s->mcr) | s->msr_deltas;

	if (s->msr_deltas) {
		s->msr_deltas = 0;
		causes_changed(s);
	}
	return msr;
}

static uint8_t reg_read(struct serial *s, uint64_t off)
{
	switch (off) {
	case UART_RX:
		return divisor_selected(s) ? s->dll : read_rbr(s);
	case UART_IER:
		return divisor_selected(s) ? s->dlm : s->ier;
	case UART_IIR:
		return read_iir(s);
	case UART_LCR:
		return s->lcr;
	case UART_MCR:
		return s->mcr;
	case UART_LSR:
		return read_lsr(s);
	case UART_MSR:
		return read_msr(s);
	default:
		return s->scr;
	}
}

static void write_thr(struct serial *s, uint8_t byte)
{
	if (in_loopback(s))
		loop_back(s, byte);
	else
		push_output(s, byte);
	s->thr_empty = true;
	causes_changed(s);
}

/* Enabling the transmitter's interrupt makes an empty transmitter a cause again,
 * even if that was seen before: drivers start to send this way. */
static void write_ier(struct serial *s, uint8_t value)
{
	uint8_t ier = value & IER_BITS;
	uint8_t changed = ier ^ s->ier;

	if (!changed)
		return;
	s->ier = ier;
	if (changed & ier & UART_IER_THRI)
		s->thr_empty = true;
	causes_changed(s);
}

/* Turning the FIFO on or off empties it, too. */
static void write_fcr(struct serial *s, uint8_t value)
{
	bool on = value & UART_FCR_ENABLE_FIFO;
	bool clear = on && (value & UART_FCR_CLEAR_RCVR);

	if (on != s->fifo_on || clear)
		clear_input(s);
	s->fifo_on = on;
}

/* An input line that changed is a cause; the ring indicator only when it falls. */
static void write_mcr(struct serial *s, uint8_t value)
{
	uint8_t before = modem_lines(s->mcr);
	uint8_t after = modem_lines(value);
	uint8_t changed = before ^ after;

	if (after & UART_MSR_RI)
		changed &= (uint8_t)~UART_MSR_RI;
	s->mcr = value & MCR_BITS;
	offer_room(s);
	if (changed) {
		s->msr_deltas |= (uint8_t)(changed >> 4);
		causes_changed(s);
	}
}

static void reg_write(struct serial *s, uint64_t off, uint8_t value)
{
	switch (off) {
	case UART_TX:
		if (divisor_selected(s))
			s->dll = value;
		else
			write_thr(s, value);
		break;
	case UART_IER:
		if (divisor_selected(s))
			s->dlm = value;
		else
			write_ier(s, value);
		break;
	case UART_FCR:
		write_fcr(s, value);
		break;
	case UART_LCR:
		s->lcr = value;
		break;
	case UART_MCR:
		write_mcr(s, value);
		break;
	case UART_SCR:
		s->scr = value;
		break;
	default: /* LSR and MSR are read-only */
		break;
	}
}

static void serial_read(void *device, uint64_t off, void *data, size_t len)
{
	struct serial *s = device;

	memset(data, 0xff, len);
	if (len != 1)
		return;
	pthread_mutex_lock(&s->lock);
	*(uint8_t *)data = reg_read(s, off);
	unlock_and_wake(s);
}

static void serial_write(void *device, uint64_t off, const void *data, size_t len)
{
	struct serial *s = device;

	if (len != 1)
		return;
	pthread_mutex_lock(&s->lock);
	reg_write(s, off, *(const uint8_t *)data);
	unlock_and_wake(s);
}

const struct bus_ops serial_bus_ops = {
	.name = "serial",
	.read = serial_read,
	.write = serial_write,
};
