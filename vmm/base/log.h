/* log.h - one line per event, in Firecracker's form, never blocking a guest.
 *
 *   2026-01-31T12:00:00.123456789 [my-vm:main] message
 *
 * The log is the one mutable global of the project: it is set up once, before
 * any thread starts, and every line is one write(2). What a guest can trigger
 * goes through log_guest(), which lets 10 lines through per call site and five
 * seconds and says how many it dropped.
 */
#ifndef VMM_BASE_LOG_H
#define VMM_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_OFF, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };

/* The second: a JSON object a line, {"time": ..., "id": ..., "thread": ..., "level": ...,
 * "file": ..., "line": ..., "message": ...}; what is not ASCII becomes "?". */
enum log_format { LOG_TEXT, LOG_JSON };

struct log_config {
	const char *id;	      /* the instance, in every line; copied */
	enum log_level level; /* lines above it are dropped */
	enum log_format format;
	bool show_level;  /* "[id:thread:LEVEL]" */
	bool show_origin; /* "[...:file:line]" */
	/* Lines of other source files than those whose path begins so are dropped:
	 * "devices/virtio", or "devices::virtio". Copied; NULL or "": none is. */
	const char *module;
	int fd; /* where lines go; not owned */
};

/* Before the first line the log goes to stderr at LOG_WARN. Main thread. */
void log_setup(const struct log_config *config);

/* The level named as Firecracker names it (any case), or -EINVAL. */
int log_level_parse(const char *name, enum log_level *ret);

/* Per call site; zero-initialised. Any thread. */
struct log_site {
	uint64_t window_us;
	uint32_t sent, dropped;
};

void log_write(enum log_level level, const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Lines that could not be written. Any thread. */
uint64_t log_missed(void);

bool log_site_allows(struct log_site *site, uint32_t *dropped);

#define log_error(...) log_write(LOG_ERROR, __FILE__, __LINE__, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __FILE__, __LINE__, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __FILE__, __LINE__, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __FILE__, __LINE__, __VA_ARGS__)

/* For anything that a guest can make happen as often as it likes. */
#define log_guest_at(level, ...)                                                \
	do {                                                                    \
		static struct log_site site_;                                   \
		uint32_t dropped_;                                              \
		if (log_site_allows(&site_, &dropped_)) {                       \
			if (dropped_)                                           \
				log_warn("%u similar lines dropped", dropped_); \
			log_write(level, __FILE__, __LINE__, __VA_ARGS__);      \
		}                                                               \
	} while (0)
#define log_guest(...) log_guest_at(LOG_WARN, __VA_ARGS__)

#endif
