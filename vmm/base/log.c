/* log.c - one line per event, one write(2) per line. */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/clock.h"
#include "vmm/base/log.h"

enum {
	SITE_BURST = 10,
	SITE_WINDOW_US = 5 * 1000 * 1000,
	LINE_MAX_BYTES = 1024,
	TIME_BYTES = 48,
};

static struct {
	char id[65];
	enum log_level level;
	enum log_format format;
	bool show_level, show_origin;
	char module[128];
	int fd;
	uint64_t missed;
} log_state = { .id = "wisp", .level = LOG_WARN, .fd = STDERR_FILENO };

static const char *const level_names[] = {
	[LOG_OFF] = "OFF",   [LOG_ERROR] = "ERROR", [LOG_WARN] = "WARN",
	[LOG_INFO] = "INFO", [LOG_DEBUG] = "DEBUG", [LOG_TRACE] = "TRACE",
};

/* Two colons, as between the parts of a name in Firecracker, are read as a slash. */
static void set_module(const char *name)
{
	size_t used = 0;

	for (; *name && used < sizeof(log_state.module) - 1; name++) {
		bool colons = name[0] == ':' && name[1] == ':';

		log_state.module[used++] = colons ? '/' : *name;
		name += colons;
	}
	log_state.module[used] = '\0';
}

void log_setup(const struct log_config *config)
{
	snprintf(log_state.id, sizeof(log_state.id), "%s", config->id);
	log_state.level = config->level;
	log_state.format = config->format;
	log_state.show_level = config->show_level;
	log_state.show_origin = config->show_origin;
	set_module(config->module ? config->module : "");
	log_state.fd = config->fd;
}

int log_level_parse(const char *name, enum log_level *ret)
{
	if (strcasecmp(name, "Warning") == 0)
		name = "WARN";
	for (unsigned i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (strcasecmp(name, level_names[i]) == 0) {
			*ret = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

static void put_time(char buf[TIME_BYTES])
{
	struct clock_date date;
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	clock_date(ts.tv_sec, &date);
	snprintf(buf, TIME_BYTES, "%04u-%02u-%02uT%02u:%02u:%02u.%09ld", date.year, date.month,
		 date.day, date.hour, date.minute, date.second, ts.tv_nsec);
}

/* Both cut what is too long for len, and end with a new line. */
static size_t put_text(char *line, size_t len, enum log_level level, const char *file, int lineno,
		       const char *thread, const char *message)
{
	char when[TIME_BYTES], extra[128] = "";
	size_t used = 0;

	put_time(when);
	if (log_state.show_level)
		used = (size_t)snprintf(extra, sizeof(extra), ":%s", level_names[level]);
	if (log_state.show_origin)
		snprintf(extra + used, sizeof(extra) - used, ":%s:%d", file, lineno);
	snprintf(line, len - 1, "%s [%s:%s%s] %s", when, log_state.id, thread, extra, message);
	used = strlen(line);
	line[used] = '\n';
	return used + 1;
}

/* Into the text of a JSON string, as much of it as fits. */
static void escape(const char *from, char *to, size_t size)
{
	size_t used = 0;

	for (; *from && used < size - 2; from++) {
		if (*from == '"' || *from == '\\')
			to[used++] = '\\';
		to[used++] =
			(char)(*from < ' ' || *from > '~' ? (*from == '\n' ? ' ' : '?') : *from);
	}
	to[used] = '\0';
}

static size_t put_json(char *line, size_t len, enum log_level level, const char *file, int lineno,
		       const char *thread, const char *message)
{
	char when[TIME_BYTES], text[LINE_MAX_BYTES / 2];

	put_time(when);
	escape(message, text, sizeof(text));
	return (size_t)snprintf(line, len,
				"{\"time\":\"%s\",\"id\":\"%s\",\"thread\":\"%s\","
				"\"level\":\"%s\",\"file\":\"%.128s\",\"line\":%d,"
				"\"message\":\"%s\"}\n",
				when, log_state.id, thread, level_names[level], file, lineno, text);
}

void log_write(enum log_level level, const char *file, int lineno, const char *fmt, ...)
{
	char message[LINE_MAX_BYTES], line[LINE_MAX_BYTES], thread[16] = "?";
	int saved = errno;
	size_t len;
	va_list ap;

	if (level > log_state.level || level == LOG_OFF)
		return;
	if (strncmp(file, log_state.module, strlen(log_state.module)) != 0)
		return;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	pthread_getname_np(pthread_self(), thread, sizeof(thread));
	len = (log_state.format == LOG_JSON ? put_json : put_text)(line, sizeof(line), level, file,
								   lineno, thread, message);

	/* A log that cannot be written must not stop the machine. */
	if (write(log_state.fd, line, len) < 0)
		__atomic_fetch_add(&log_state.missed, 1, __ATOMIC_RELAXED);
	errno = saved;
}

uint64_t log_missed(void)
{
	return __atomic_load_n(&log_state.missed, __ATOMIC_RELAXED);
}

bool log_site_allows(struct log_site *site, uint32_t *dropped)
{
	uint64_t now = clock_now_us();
	uint64_t start = __atomic_load_n(&site->window_us, __ATOMIC_RELAXED);

	*dropped = 0;
	if (start == 0 || now - start > SITE_WINDOW_US) {
		__atomic_store_n(&site->window_us, now, __ATOMIC_RELAXED);
		__atomic_store_n(&site->sent, 0, __ATOMIC_RELAXED);
		*dropped = __atomic_exchange_n(&site->dropped, 0, __ATOMIC_RELAXED);
	}
	if (__atomic_fetch_add(&site->sent, 1, __ATOMIC_RELAXED) < SITE_BURST)
		return true;
	__atomic_fetch_add(&site->dropped, 1, __ATOMIC_RELAXED);
	return false;
}
