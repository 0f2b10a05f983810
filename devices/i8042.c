/* i8042.c - the PC's keyboard controller, with a keyboard that only knows one trick.
 *
 * vCPU threads reach the registers through the bus and the main thread presses
 * keys; one mutex, held for one access, guards the state.
 *
 * All that the guest can read, answers of the controller and bytes of the keyboard
 * alike, stands in one queue. The chip holds a single byte and takes the next when
 * that was read, so an edge is sent for each byte that comes to the front, and
 * when the guest enables the interrupt with a byte waiting.
 *
 * A guest can fill the queue by giving commands and never reading; what does not
 * fit is lost, as on the wire.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "devices/i8042.h"
#include "vmm/base/fd.h"

enum { REG_DATA = 0, REG_PORT_B = 1, REG_COMMAND = 4 };

enum { QUEUE_BYTES = 16 };

/* Status register. The input buffer is never full: writes take effect at once. */
enum {
	STATUS_OUTPUT_FULL = 0x01,
	STATUS_SYSTEM = 0x04,	  /* passed its self-test */
	STATUS_COMMAND = 0x08,	  /* the last write was a command */
	STATUS_NOT_LOCKED = 0x10, /* the key lock of the case is open */
};

/* Controller configuration byte. */
enum {
	CONFIG_KEYBOARD_IRQ = 0x01,
	CONFIG_SYSTEM = 0x04,
	CONFIG_KEYBOARD_OFF = 0x10,
	CONFIG_MOUSE_OFF = 0x20,
	CONFIG_TRANSLATE = 0x40, /* scan code set 2 to set 1 */
};

/* Commands to the controller. */
enum {
	CMD_READ_CONFIG = 0x20,
	CMD_WRITE_CONFIG = 0x60,
	CMD_MOUSE_TEST = 0xa9,
	CMD_SELF_TEST = 0xaa,
	CMD_KEYBOARD_TEST = 0xab,
	CMD_KEYBOARD_OFF = 0xad,
	CMD_KEYBOARD_ON = 0xae,
	CMD_READ_OUTPUT_PORT = 0xd0,
	CMD_WRITE_OUTPUT_PORT = 0xd1,
	CMD_ECHO_AS_KEYBOARD = 0xd2,
	CMD_ECHO_AS_MOUSE = 0xd3,
	CMD_WRITE_MOUSE = 0xd4,
	CMD_RESET = 0xfe,

	CONTROLLER_PASSED = 0x55,
	INTERFACE_PASSED = 0x00,
	INTERFACE_STUCK = 0x01,	 /* "clock line stuck low": no mouse port */
	OUTPUT_PORT_IDLE = 0x03, /* not in reset, A20 enabled */
};

/* Commands to the keyboard, and its answers. */
enum {
	KEYBOARD_SET_LEDS = 0xed,
	KEYBOARD_ECHO = 0xee,
	KEYBOARD_SCAN_SET = 0xf0,
	KEYBOARD_IDENTIFY = 0xf2,
	KEYBOARD_SET_RATE = 0xf3,
	KEYBOARD_RESET = 0xff,

	KEYBOARD_ACK = 0xfa,
	KEYBOARD_PASSED = 0xaa,
	KEYBOARD_ID_FIRST = 0xab,
	KEYBOARD_ID_SECOND = 0x83,
	KEYBOARD_ID_SECOND_TRANSLATED = 0x41,
};

/* Port B: what was written, timer 2's output high, and the refresh bit, which
 * changes at each read: loops that wait for either bit end. */
enum { PORT_B_WRITABLE = 0x0f, PORT_B_REFRESH = 0x10, PORT_B_TIMER_OUT = 0x20 };

struct i8042 {
	int irq_fd; /* not owned */
	struct stop_sink stop;

	/* Under the lock. */
	pthread_mutex_t lock;
	uint8_t config, port_b;
	bool last_was_command;
	uint8_t command_waits; /* controller command whose argument is next, or 0 */
	bool keyboard_waits;   /* for the argument of its command */
	bool edge;	       /* to be sent after the lock is released */
	uint8_t queue[QUEUE_BYTES];
	unsigned first, count;
};

/* Control, Alt and Delete down, then up in the other order. */
static const uint8_t ctrl_alt_del_set1[] = {
	0x1d, 0x38, 0xe0, 0x53, 0xe0, 0xd3, 0xb8, 0x9d,
};
static const uint8_t ctrl_alt_del_set2[] = {
	0x14, 0x11, 0xe0, 0x71, 0xe0, 0xf0, 0x71, 0xf0, 0x11, 0xf0, 0x14,
};

int i8042_create(int irq_fd, const struct stop_sink *stop, struct i8042 **ret)
{
	struct i8042 *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	k->irq_fd = irq_fd;
	k->stop = *stop;
	k->config = CONFIG_KEYBOARD_IRQ | CONFIG_SYSTEM | CONFIG_MOUSE_OFF | CONFIG_TRANSLATE;
	pthread_mutex_init(&k->lock, NULL);
	*ret = k;
	return 0;
}

void i8042_destroy(struct i8042 *k)
{
	if (!k)
		return;
	pthread_mutex_destroy(&k->lock);
	free(k);
}

void i8042_state(struct i8042 *k, struct state *s)
{
	uint8_t first = (uint8_t)k->first, count = (uint8_t)k->count;

	state_begin(s, STATE_I8042, 0);
	state_u8(s, &k->config);
	state_u8(s, &k->port_b);
	state_bool(s, &k->last_was_command);
	state_u8(s, &k->command_waits);
	state_bool(s, &k->keyboard_waits);
	state_bytes(s, k->queue, sizeof(k->queue));
	state_u8(s, &first);
	state_u8(s, &count);
	if (first >= QUEUE_BYTES || count > QUEUE_BYTES)
		state_fail(s, "more bytes than the queue has");
	state_end(s);
	k->first = first % QUEUE_BYTES;
	k->count = count <= QUEUE_BYTES ? count : 0;
}

static void unlock_and_signal(struct i8042 *k)
{
	bool edge = k->edge;

	k->edge = false;
	pthread_mutex_unlock(&k->lock);
	if (edge)
		fd_event_signal(k->irq_fd);
}

/* --- the queue --- */

/* A byte has come to the front, or its interrupt has been enabled. */
static void announce_front(struct i8042 *k)
{
	if (k->count > 0 && (k->config & CONFIG_KEYBOARD_IRQ))
		k->edge = true;
}

static void push(struct i8042 *k, uint8_t byte)
{
	if (k->count == QUEUE_BYTES)
		return;
	k->queue[(k->first + k->count) % QUEUE_BYTES] = byte;
	k->count++;
	if (k->count == 1)
		announce_front(k);
}

static uint8_t pop(struct i8042 *k)
{
	uint8_t byte = k->queue[k->first];

	if (k->count == 0)
		return 0;
	k->first = (k->first + 1) % QUEUE_BYTES;
	k->count--;
	announce_front(k);
	return byte;
}

int i8042_ctrl_alt_del(struct i8042 *k)
{
	const uint8_t *codes = ctrl_alt_del_set2;
	size_t len = sizeof(ctrl_alt_del_set2);
	int r = 0;

	pthread_mutex_lock(&k->lock);
	if (k->config & CONFIG_TRANSLATE) {
		codes = ctrl_alt_del_set1;
		len = sizeof(ctrl_alt_del_set1);
	}
	if (QUEUE_BYTES - k->count < len)
		r = -EAGAIN;
	for (size_t i = 0; i < len && r == 0; i++)
		push(k, codes[i]);
	unlock_and_signal(k);
	return r;
}

/* --- registers: vCPU threads, under the lock --- */

static uint8_t read_status(const struct i8042 *k)
{
	uint8_t status = STATUS_SYSTEM | STATUS_NOT_LOCKED;

	if (k->count > 0)
		status |= STATUS_OUTPUT_FULL;
	if (k->last_was_command)
		status |= STATUS_COMMAND;
	return status;
}

static uint8_t read_port_b(struct i8042 *k)
{
	k->port_b ^= PORT_B_REFRESH;
	return k->port_b | PORT_B_TIMER_OUT;
}

static uint8_t reg_read(struct i8042 *k, uint64_t off)
{
	switch (off) {
	case REG_DATA:
		return pop(k);
	case REG_PORT_B:
		return read_port_b(k);
	case REG_COMMAND:
		return read_status(k);
	default:
		return 0xff;
	}
}

static void write_config(struct i8042 *k, uint8_t value)
{
	bool irq_was_on = k->config & CONFIG_KEYBOARD_IRQ;

	k->config = value;
	if (!irq_was_on)
		announce_front(k);
}

static void run_command(struct i8042 *k, uint8_t command)
{
	k->command_waits = 0;
	switch (command) {
	case CMD_READ_CONFIG:
		push(k, k->config);
		break;
	case CMD_MOUSE_TEST:
		push(k, INTERFACE_STUCK);
		break;
	case CMD_SELF_TEST:
		push(k, CONTROLLER_PASSED);
		break;
	case CMD_KEYBOARD_TEST:
		push(k, INTERFACE_PASSED);
		break;
	case CMD_KEYBOARD_OFF:
		k->config |= CONFIG_KEYBOARD_OFF;
		break;
	case CMD_KEYBOARD_ON:
		k->config &= (uint8_t)~CONFIG_KEYBOARD_OFF;
		break;
	case CMD_READ_OUTPUT_PORT:
		push(k, OUTPUT_PORT_IDLE);
		break;
	case CMD_WRITE_CONFIG:
	case CMD_WRITE_OUTPUT_PORT:
	case CMD_ECHO_AS_KEYBOARD:
	case CMD_ECHO_AS_MOUSE:
	case CMD_WRITE_MOUSE:
		k->command_waits = command;
		break;
	default:
		break;
	}
}

/* The argument of a controller command. What is echoed as if from the mouse comes
 * back without the mouse's mark, which tells a driver that there is none. */
static void finish_command(struct i8042 *k, uint8_t value)
{
	uint8_t command = k->command_waits;

	k->command_waits = 0;
	if (command == CMD_WRITE_CONFIG)
		write_config(k, value);
	else if (command == CMD_ECHO_AS_KEYBOARD || command == CMD_ECHO_AS_MOUSE)
		push(k, value);
}

/* A command to the keyboard, or the argument of the one before, which nothing
 * here depends on. */
static void write_keyboard(struct i8042 *k, uint8_t value)
{
	bool is_argument = k->keyboard_waits;

	k->keyboard_waits = false;
	push(k, value == KEYBOARD_ECHO && !is_argument ? KEYBOARD_ECHO : KEYBOARD_ACK);
	if (is_argument)
		return;
	switch (value) {
	case KEYBOARD_SET_LEDS:
	case KEYBOARD_SCAN_SET:
	case KEYBOARD_SET_RATE:
		k->keyboard_waits = true;
		break;
	case KEYBOARD_IDENTIFY:
		push(k, KEYBOARD_ID_FIRST);
		push(k, k->config & CONFIG_TRANSLATE ? KEYBOARD_ID_SECOND_TRANSLATED
						     : KEYBOARD_ID_SECOND);
		break;
	case KEYBOARD_RESET:
		push(k, KEYBOARD_PASSED);
		break;
	default:
		break;
	}
}

static void reg_write(struct i8042 *k, uint64_t off, uint8_t value)
{
	switch (off) {
	case REG_DATA:
		k->last_was_command = false;
		if (k->command_waits)
			finish_command(k, value);
		else
			write_keyboard(k, value);
		break;
	case REG_PORT_B:
		k->port_b = (k->port_b & PORT_B_REFRESH) | (value & PORT_B_WRITABLE);
		break;
	case REG_COMMAND:
		k->last_was_command = true;
		run_command(k, value);
		break;
	default:
		break;
	}
}

static void i8042_read(void *device, uint64_t off, void *data, size_t len)
{
	struct i8042 *k = device;

	memset(data, 0xff, len);
	if (len != 1)
		return;
	pthread_mutex_lock(&k->lock);
	*(uint8_t *)data = reg_read(k, off);
	unlock_and_signal(k);
}

static void i8042_write(void *device, uint64_t off, const void *data, size_t len)
{
	struct i8042 *k = device;
	uint8_t value = *(const uint8_t *)data;

	if (len != 1)
		return;
	pthread_mutex_lock(&k->lock);
	reg_write(k, off, value);
	unlock_and_signal(k);
	if (off == REG_COMMAND && value == CMD_RESET)
		stop_request(&k->stop, STOP_RESET, 0);
}

const struct bus_ops i8042_bus_ops = {
	.name = "i8042",
	.read = i8042_read,
	.write = i8042_write,
};
