/* dnsmasq.h - a dnsmasq for a bridge: addresses and names for its guests (names.h).
 *
 * A program of Debian's, one for each network that is served. It is begun with the network's
 * first guest and stays as long as the bridge does; wisp-keeper (keeper/keep.h) starts it
 * again, and outlives wispd. state_dir/networks/N has its lock and its log, and the folder that
 * it sees: its configuration, and two files for each lease whose link may be there, named by the
 * place in the network. It hears of a change in there by itself.
 *
 * Its user is the network's alone. It may use any port, and change the host's links: dnsmasq
 * does not begin without that, which no allow list makes less. So it is trusted more than passt.
 *
 * Any thread, but where noted. Nothing to do for a network that is not served. 0 or a negative
 * errno and *err.
 */
#ifndef SUPERVISOR_NETWORK_DNSMASQ_H
#define SUPERVISOR_NETWORK_DNSMASQ_H

#include "supervisor/network/lease.h"

struct config;
struct wispd;

/* Before the guest starts, once its link is there. name: its instance's; "": none yet. */
int dnsmasq_attach(const struct config *c, const char *tag, const struct lease *l, const char *name,
		   struct error *err);
/* Before its link goes. */
int dnsmasq_detach(const struct config *c, const struct lease *l, struct error *err);
/* One that is attached is called so now; else nothing. */
int dnsmasq_rename(const struct config *c, const struct lease *l, const char *name,
		   struct error *err);

/* Before the network's bridge goes: the program and its folder. */
int dnsmasq_remove(const struct config *c, const struct network *n, struct error *err);

/* Loop thread, at the start of wispd: files as the books are, each program running whose bridge
 * is there, and those ended whose network is not; how many those were. */
int dnsmasq_restore(struct wispd *d, struct error *err);

#endif
