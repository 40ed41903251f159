/*
 * PROXY protocol, version 2 (proxy-protocol.txt of HAProxy, section 2.2): who connected, and to which address, as the
 * first bytes for the target.
 */
#define _GNU_SOURCE
#include "relay.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define FIXED_BYTES 16
#define MAX_BYTES (FIXED_BYTES + 2 * 16 + 2 * 2)

enum { LOCAL = 0x20, PROXY = 0x21, UNSPECIFIED = 0x00, TCP4 = 0x11, TCP6 = 0x21 };

static const unsigned char SIGNATURE[12] = "\r\n\r\n\0\r\nQUIT\n";

static const struct sockaddr_in6 *in6(const struct sockaddr_storage *address) { return (const void *)address; }

/* Where the address bytes are: of IPv4, or of IPv4 mapped into IPv6, the last four. */
static const void *address_of(const struct sockaddr_storage *address, bool v4) {
  if (address->ss_family == AF_INET) return &((const struct sockaddr_in *)address)->sin_addr;
  return in6(address)->sin6_addr.s6_addr + (v4 ? 12 : 0);
}

/* `fd` is the accepted socket, `peer` its other end. What is no TCP has no address to tell: LOCAL. NULL: no memory. */
struct pending *proxy_header(int fd, const struct sockaddr_storage *peer) {
  struct pending *header = malloc(sizeof *header + MAX_BYTES);
  if (!header) return NULL;
  header->offset = 0;
  header->length = FIXED_BYTES;
  unsigned char *data = header->data;
  memcpy(data, SIGNATURE, sizeof SIGNATURE);
  data[12] = LOCAL;
  data[13] = UNSPECIFIED;
  data[14] = data[15] = 0;
  struct sockaddr_storage own;
  socklen_t length = sizeof own;
  if (getsockname(fd, (struct sockaddr *)&own, &length) < 0 || own.ss_family != peer->ss_family) return header;
  if (own.ss_family != AF_INET && own.ss_family != AF_INET6) return header;
  const bool v4 = own.ss_family == AF_INET || (IN6_IS_ADDR_V4MAPPED(&in6(peer)->sin6_addr) && IN6_IS_ADDR_V4MAPPED(&in6(&own)->sin6_addr));
  const size_t size = v4 ? 4 : 16;
  data[12] = PROXY;
  data[13] = v4 ? TCP4 : TCP6;
  data[15] = (unsigned char)(2 * size + 4);
  memcpy(data + FIXED_BYTES, address_of(peer, v4), size);
  memcpy(data + FIXED_BYTES + size, address_of(&own, v4), size);
  /* The ports lie at the same place in both kinds of sockaddr, in network order. */
  memcpy(data + FIXED_BYTES + 2 * size, &((const struct sockaddr_in *)peer)->sin_port, 2);
  memcpy(data + FIXED_BYTES + 2 * size + 2, &((const struct sockaddr_in *)&own)->sin_port, 2);
  header->length += (uint32_t)(2 * size + 4);
  return header;
}
