/* tc.c - qdiscs and filters by libnl. Ours have a priority of their own. */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <netlink/errno.h>
#include <netlink/route/act/mirred.h>
#include <netlink/route/classifier.h>
#include <netlink/route/cls/matchall.h>
#include <netlink/route/qdisc.h>
#include <netlink/route/tc.h>
#include <stdbool.h>
#include <string.h>

#include "supervisor/network/rtnetlink.h"
#include "supervisor/network/tc.h"

enum { PRIORITY = 0x7770 };

static const uint32_t INGRESS = TC_HANDLE(0xffff, 0);

static int fail(int code, struct error *err, const char *what, const char *name)
{
	return rtnetlink_fail(code, "netns", what, name, err);
}

/* --- qdiscs --- */

static struct rtnl_qdisc *make_ingress(int index)
{
	struct rtnl_qdisc *q = rtnl_qdisc_alloc();

	if (!q)
		return NULL;
	rtnl_tc_set_ifindex(TC_CAST(q), index);
	rtnl_tc_set_parent(TC_CAST(q), TC_H_INGRESS);
	rtnl_tc_set_handle(TC_CAST(q), INGRESS);
	if (rtnl_tc_set_kind(TC_CAST(q), "ingress") == 0)
		return q;
	rtnl_qdisc_put(q);
	return NULL;
}

static int add_ingress(struct nl_sock *s, int index)
{
	struct rtnl_qdisc *q = make_ingress(index);
	int r = q ? rtnl_qdisc_add(s, q, NLM_F_CREATE | NLM_F_EXCL) : -NLE_NOMEM;

	rtnl_qdisc_put(q);
	return r;
}

/* Its filters go with it. */
static int remove_ingress(struct nl_sock *s, int index)
{
	struct rtnl_qdisc *q = make_ingress(index);
	int r = q ? rtnl_qdisc_delete(s, q) : -NLE_NOMEM;

	rtnl_qdisc_put(q);
	return r;
}

/* --- filters --- */

struct search {
	int to;
	unsigned foreign;
};

/* Ours leads to this link, or to one that is gone. */
static void judge(struct nl_object *object, void *arg)
{
	struct rtnl_cls *cls = (struct rtnl_cls *)object;
	bool ours = rtnl_cls_get_prio(cls) == PRIORITY;
	struct rtnl_act *act = ours ? rtnl_mall_get_first_action(cls) : NULL;
	unsigned to = act ? rtnl_mirred_get_ifindex(act) : 0;
	struct search *search = arg;
	char name[IFNAMSIZ];

	if (!ours || (to && to != (unsigned)search->to && if_indextoname(to, name)))
		search->foreign++;
	if (act)
		rtnl_act_put(act);
}

static unsigned foreign_filters(struct nl_sock *s, int index, int to)
{
	struct search search = { .to = to };
	struct nl_cache *filters = NULL;

	if (rtnl_cls_alloc_cache(s, index, INGRESS, &filters) == 0)
		nl_cache_foreach(filters, judge, &search);
	nl_cache_free(filters);
	return search.foreign;
}

/* Whether the link's ingress is there, and by whom: one of another kind is not ours. */
enum owner { OWNER_NOBODY, OWNER_US, OWNER_OTHER };

static int find_owner(struct nl_sock *s, int index, int to, enum owner *ret)
{
	struct nl_cache *all = NULL;
	struct rtnl_qdisc *q;
	int r = rtnl_qdisc_alloc_cache(s, &all);

	if (r < 0)
		return r;
	q = rtnl_qdisc_get(all, index, INGRESS);
	if (!q)
		*ret = OWNER_NOBODY;
	else if (strcmp(rtnl_tc_get_kind(TC_CAST(q)), "ingress") != 0 ||
		 foreign_filters(s, index, to))
		*ret = OWNER_OTHER;
	else
		*ret = OWNER_US;
	rtnl_qdisc_put(q);
	nl_cache_free(all);
	return 0;
}

static int fill_redirect(struct rtnl_cls *cls, struct rtnl_act *act, int from, int to)
{
	int r = rtnl_tc_set_kind(TC_CAST(act), "mirred");

	rtnl_tc_set_ifindex(TC_CAST(cls), from);
	rtnl_tc_set_parent(TC_CAST(cls), INGRESS);
	if (r == 0)
		r = rtnl_tc_set_kind(TC_CAST(cls), "matchall");
	rtnl_cls_set_prio(cls, PRIORITY);
	rtnl_cls_set_protocol(cls, ETH_P_ALL);
	if (r == 0)
		r = rtnl_mirred_set_action(act, TCA_EGRESS_REDIR);
	if (r == 0)
		r = rtnl_mirred_set_policy(act, TC_ACT_STOLEN);
	if (r == 0)
		r = rtnl_mirred_set_ifindex(act, (uint32_t)to);
	return r < 0 ? r : rtnl_mall_append_action(cls, act);
}

static int add_redirect(struct nl_sock *s, int from, int to)
{
	struct rtnl_cls *cls = rtnl_cls_alloc();
	struct rtnl_act *act = rtnl_act_alloc();
	int r = cls && act ? fill_redirect(cls, act, from, to) : -NLE_NOMEM;

	if (r == 0)
		r = rtnl_cls_add(s, cls, NLM_F_CREATE | NLM_F_EXCL);
	rtnl_act_put(act);
	rtnl_cls_put(cls);
	return r;
}

/* --- both --- */

static int begin_anew(struct nl_sock *s, int from, int to)
{
	enum owner owner = OWNER_NOBODY;
	int r = find_owner(s, from, to, &owner);

	if (r == 0 && owner == OWNER_OTHER)
		return -NLE_EXIST;
	if (r == 0 && owner == OWNER_US)
		r = remove_ingress(s, from);
	if (r == 0)
		r = add_ingress(s, from);
	return r < 0 ? r : add_redirect(s, from, to);
}

int tc_redirect(const char *from, const char *to, struct error *err)
{
	int from_index = (int)if_nametoindex(from), to_index = (int)if_nametoindex(to), r;
	struct nl_sock *s;

	if (!from_index || !to_index)
		return error_set(err, -ENODEV, "netns", NULL, "There is no link %s",
				 from_index ? to : from);
	s = rtnetlink_open("netns", err);
	if (!s)
		return err->code;
	r = begin_anew(s, from_index, to_index);
	nl_socket_free(s);
	if (r == -NLE_EXIST)
		return error_set(err, -EBUSY, "netns", "tc filter show dev LINK ingress",
				 "What comes by %s goes elsewhere already", from);
	return r < 0 ? fail(r, err, "redirect what comes by", from) : 0;
}

int tc_restore(const char *from, const char *to, struct error *err)
{
	int index = (int)if_nametoindex(from), r;
	enum owner owner = OWNER_NOBODY;
	struct nl_sock *s = index ? rtnetlink_open("netns", err) : NULL;

	if (!index)
		return 0;
	if (!s)
		return err->code;
	r = find_owner(s, index, (int)if_nametoindex(to), &owner);
	if (r == 0 && owner == OWNER_US)
		r = remove_ingress(s, index);
	nl_socket_free(s);
	return r < 0 ? fail(r, err, "restore", from) : 0;
}
