/* ring.h - what an attacker would ask of the io_uring that a drive has. */
#ifndef TESTS_ESCAPE_RING_H
#define TESTS_ESCAPE_RING_H

/* Before the filters, as the VMM: a drive's ring. 0 or a negative errno. */
int ring_make(void);

/* 0: the ring did it; otherwise a negative errno. */
int ring_opens(void);
int ring_reads(void);

#endif
