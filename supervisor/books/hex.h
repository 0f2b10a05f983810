/* hex.h - bytes as lower-case hexadecimal text, and back. Any thread. */
#ifndef SUPERVISOR_HEX_H
#define SUPERVISOR_HEX_H

#include <stddef.h>
#include <stdint.h>

/* 2 * len digits and a NUL into text. */
void hex_encode(const uint8_t *bytes, size_t len, char *text);

/* Exactly 2 * len digits, of either case: 0, or -EINVAL and bytes undefined. */
int hex_decode(const char *text, uint8_t *bytes, size_t len);

#endif
