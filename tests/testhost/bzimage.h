/* bzimage.h - taking the compressed kernel out of a bzImage.
 *
 * Layout: Documentation/x86/boot.rst (setup_sects, payload_offset, payload_length).
 */
#ifndef TESTS_TESTHOST_BZIMAGE_H
#define TESTS_TESTHOST_BZIMAGE_H

/* Copies the xz stream inside the bzImage at `from` into a new file `to`. 0; -ENOEXEC:
 * no bzImage, one older than boot protocol 2.08, or not compressed with xz; or another
 * negative errno. Bytes may follow the stream in it. */
int bzimage_extract(const char *from, const char *to);

#endif
