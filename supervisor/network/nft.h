/* nft.h - the program nft, kept: begun once and told one transaction after the other.
 *
 * To execute it, and to have it learn what is there, takes milliseconds; to tell it, less than one.
 * (Its library's licence does not go with ours.) Not for two threads at once.
 */
#ifndef SUPERVISOR_NETWORK_NFT_H
#define SUPERVISOR_NETWORK_NFT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "vmm/base/error.h"

struct nft {
	const char *path; /* the caller's */
	pid_t pid;	  /* 0: none is kept */
	int to, from;	  /* what it reads, and where it writes */
	int file;	  /* in memory: the text */
	unsigned told;
};

/* Runs nothing yet. */
void nft_init(struct nft *n, const char *path);
/* Ends what is kept. */
void nft_end(struct nft *n);
/* Makes all of a text's commands one transaction: 0; or -EIO and *err with nft's last line, or
 * -ETIMEDOUT, and none of them. */
int nft_run(struct nft *n, const char *text, size_t len, struct error *err);
/* Whether it would, for all that nft and the kernel can tell; it is not done. */
bool nft_would(const struct nft *n, const char *text, size_t len);

#endif
