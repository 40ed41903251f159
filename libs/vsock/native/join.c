/* A pair of which JavaScript has one end open, or both: taken over as they are, the other dialled. */
#define _GNU_SOURCE
#include "relay.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

static int family_of(int fd) {
  int family = AF_UNSPEC;
  socklen_t length = sizeof family;
  if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length) < 0) return AF_UNSPEC;
  return family;
}

void join_start(struct thread *thread, struct join *join) {
  struct conn *conn = conn_create(thread, CONN_JOIN | (join->egress ? CONN_EGRESS : 0), join, join->group);
  if (!conn) {
    join->done.reason = REASON_RESET;
    join->done.error = ENOMEM;
    tell(thread, &join->done);
    return;
  }
  share_owe(thread, conn->share, join->egress ? JOIN_EGRESS_NS : JOIN_NS);
  join->conn = conn;
  conn->idle_ms = join->idle_ms;
  for (int i = 0; i < 2; i++) {
    if (join->head[i]) {
      pending_put(thread, conn, !i, join->head[i]);
      join->head[i] = NULL;
    }
    if (join->fd[i] < 0) continue;
    const int family = family_of(join->fd[i]), on = 1;
    side_adopt(&conn->side[i], join->fd[i], family, join->hybrid[i]);
    join->fd[i] = -1;
    if (conn->side[i].flags & SIDE_TCP) {
      setsockopt(conn->side[i].fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      setsockopt(conn->side[i].fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    egress_narrow(conn, &conn->side[i], family);
  }
  if (!join->to[0] && !join->to[1]) {
    conn_open(thread, conn);
    return;
  }
  const struct endpoint *const to[2] = {join->to[0], join->to[1]};
  dial_start(thread, conn, to, join->connect_ms);
}
