/* thread_filter_tables.h - what vmm/seccomp/compile.c writes, for thread_filter.c. */
#ifndef VMM_BASE_THREAD_FILTER_TABLES_H
#define VMM_BASE_THREAD_FILTER_TABLES_H

#include "vmm/base/thread_filter.h"

extern const struct thread_filters thread_filter_programs;
/* The list of each role, a rule a line. */
extern const char *const thread_filter_rules[THREAD_ROLES];
/* The name of each system call by its number; NULL where there is none. */
extern const char *const thread_filter_calls[];
extern const unsigned thread_filter_calls_count;

#endif
