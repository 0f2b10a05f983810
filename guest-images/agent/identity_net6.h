/* identity_net6.h - the part of identity.h that is about IPv6. */
#ifndef GUEST_IMAGES_AGENT_IDENTITY_NET6_H
#define GUEST_IMAGES_AGENT_IDENTITY_NET6_H

/* "eth0", "fd00::2/64": the interface's only global address of IPv6. -ENODEV, -EINVAL. */
int identity_address6(const char *interface, const char *value);

/* "fd00::1": the only default route of IPv6; "eth0 fd00::1": by this interface, even if the
 * address is none of its network. */
int identity_gateway6(const char *text);

#endif
