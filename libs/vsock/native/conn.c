/* The life of one relayed pair: made, watched, closed. */
#define _GNU_SOURCE
#include "relay.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct conn *conn_create(struct thread *thread, uint16_t flags, void *owner, struct group *group) {
  struct share *share = share_of(thread, group);
  struct conn *conn = calloc(1, sizeof *conn);
  if (!conn) return NULL;
  if (!timer_reserve(thread)) {
    free(conn);
    return NULL;
  }
  if (share->conns == 0 && !timer_reserve(thread)) {
    thread->timers--;
    free(conn);
    return NULL;
  }
  share->conns++;
  if (flags & CONN_EGRESS) share->egress++;
  conn->share = share;
  atomic_fetch_add(&group->references, 1);
  conn->timer.kind = TIMER_CONN;
  conn->flags = flags;
  conn->side[0].fd = conn->side[1].fd = -1;
  conn->last = thread->now;
  struct conn **list;
  if (flags & CONN_JOIN) {
    conn->join = owner;
    list = &thread->joins;
  } else {
    conn->lane = owner;
    list = &conn->lane->conns;
  }
  conn->next = *list;
  if (*list) (*list)->prev = conn;
  *list = conn;
  return conn;
}

void side_adopt(struct side *side, int fd, int family, bool hybrid) {
  side->fd = fd;
  if (family == AF_VSOCK) side->flags |= SIDE_VSOCK;
  if (family == AF_INET || family == AF_INET6) side->flags |= SIDE_TCP;
  if (hybrid) side->flags |= SIDE_HYBRID;
}

bool side_watch(struct thread *thread, struct conn *conn, int which, bool out) {
  struct side *side = &conn->side[which];
  const bool listed = side->flags & SIDE_LISTED;
  if (listed && out == !!(side->flags & SIDE_OUT_ARMED)) return true;
  struct epoll_event event = {
      .events = EPOLLIN | EPOLLRDHUP | EPOLLET | (out ? (uint32_t)EPOLLOUT : 0u),
      .data.u64 = (uint64_t)(uintptr_t)conn | (uint64_t)which,
  };
  if (epoll_ctl(thread->epoll, listed ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, side->fd, &event) < 0) return false;
  side->flags |= SIDE_LISTED;
  if (out) side->flags |= SIDE_OUT_ARMED;
  else side->flags &= ~(uint32_t)SIDE_OUT_ARMED;
  return true;
}

/* Events of the current batch and the round may still point to it until here. */
void conn_free(struct conn *conn) {
  group_release(conn->share->group);
  free(conn);
}

struct pending *pending_copy(const void *data, size_t length) {
  struct pending *pending = malloc(sizeof *pending + length);
  if (!pending) return NULL;
  pending->offset = 0;
  pending->length = (uint32_t)length;
  memcpy(pending->data, data, length);
  return pending;
}

void pending_put(struct thread *thread, struct conn *conn, int which, struct pending *pending) {
  conn->side[which].out = pending;
  thread->pending_bytes += pending->length;
  conn->share->pending_bytes += pending->length;
}

void pending_drop(struct thread *thread, struct conn *conn, int which) {
  struct side *side = &conn->side[which];
  if (!side->out) return;
  thread->pending_bytes -= side->out->length;
  conn->share->pending_bytes -= side->out->length;
  free(side->out);
  side->out = NULL;
}

static void side_close(struct thread *thread, struct conn *conn, int which) {
  struct side *side = &conn->side[which];
  pending_drop(thread, conn, which);
  if (side->fd < 0) return;
  /* close() alone leaves the entry while another descriptor (a Node socket, a forked child) shares the socket. */
  if (side->flags & SIDE_LISTED) epoll_ctl(thread->epoll, EPOLL_CTL_DEL, side->fd, NULL);
  close(side->fd);
  side->fd = -1;
}

void conn_close(struct thread *thread, struct conn *conn, enum reason reason, int error) {
  if (conn->flags & CONN_GONE) return;
  conn->flags |= CONN_GONE;
  timer_clear(thread, &conn->timer);
  thread->timers--;
  if (conn->flags & CONN_EGRESS) conn->share->egress--;
  if (--conn->share->conns == 0) {
    /* What waits in it is gone by now, and has to be freed. */
    if (conn->share->timer.slot) share_timer(thread, conn->share);
    thread->timers--;
  }
  if (reason == REASON_RESET) {
    /* A TCP peer must not take a stream that broke off for one that ended. */
    const struct linger abort = {.l_onoff = 1, .l_linger = 0};
    for (int i = 0; i < 2; i++) {
      if ((conn->side[i].flags & SIDE_TCP) && !(conn->side[i].flags & SIDE_SHUT))
        setsockopt(conn->side[i].fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    }
  }
  /* Before the peers can see the end: who has seen it finds it counted. */
  if (!(conn->flags & CONN_JOIN)) {
    atomic_fetch_sub(&conn->lane->route->active, 1);
    atomic_fetch_sub(&conn->share->group->active, 1);
  }
  side_close(thread, conn, 0);
  side_close(thread, conn, 1);
  if (conn->report) {
    conn->report->event.reason = (int)reason;
    conn->report->event.error = error;
    conn->report->event.bytes[0] = conn->bytes[0];
    conn->report->event.bytes[1] = conn->bytes[1];
    report_post(thread, conn->report);
    conn->report = NULL;
  }
  if (conn->flags & CONN_SCREENING) {
    conn->screening->conn = NULL;
    screening_release(conn->screening);
  }
  if (conn->flags & CONN_DIALLING) free(conn->dial);
  conn->flags &= (uint16_t)~(CONN_DIALLING | CONN_SCREENING);
  struct conn **list = conn->flags & CONN_JOIN ? &thread->joins : &conn->lane->conns;
  if (conn->prev) conn->prev->next = conn->next;
  else *list = conn->next;
  if (conn->next) conn->next->prev = conn->prev;
  if (conn->flags & CONN_JOIN) {
    struct join *join = conn->join;
    join->conn = NULL;
    join->done.reason = (int)reason;
    join->done.error = error;
    join->done.bytes[0] = conn->bytes[0];
    join->done.bytes[1] = conn->bytes[1];
    tell(thread, &join->done);
  } else if (conn->lane->closing) {
    thread->reap = true;
  }
  /* Events of this batch may still point here; the loop frees it after the batch, or when its queued turn comes up. */
  if (!(conn->flags & CONN_QUEUED)) {
    conn->next = thread->gone;
    thread->gone = conn;
  }
}

void screening_release(struct screening *screening) {
  if (atomic_fetch_sub(&screening->references, 1) == 1) free(screening);
}

void join_release(struct join *join) {
  if (atomic_fetch_sub(&join->references, 1) != 1) return;
  for (int i = 0; i < 2; i++) {
    if (join->fd[i] >= 0) close(join->fd[i]);
    free(join->to[i]);
    free(join->head[i]);
  }
  if (join->group) group_release(join->group);
  free(join);
}

/* What the kernel keeps for each of an enclave's many ways out. */
void egress_narrow(const struct conn *conn, struct side *side, int family) {
  if (!(conn->flags & CONN_EGRESS) || conn->share->egress <= EGRESS_WIDE) return;
  const bool many = conn->share->egress > EGRESS_MANY;
  const int bytes = many ? EGRESS_MANY_BYTES : EGRESS_RECEIVE_BYTES;
  if (side->flags & SIDE_TCP) {
    setsockopt(side->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  } else if (many && family == AF_UNIX) {
    setsockopt(side->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    side->flags |= SIDE_GROWN;
  }
}
