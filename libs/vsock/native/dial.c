/* Reaches the other side: non-blocking connect, the CONNECT/OK exchange of hybrid sockets, timeouts. */
#define _GNU_SOURCE
#include "relay.h"

#include <errno.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <unistd.h>

static void fail(struct thread *thread, struct conn *conn, int error) {
  if (!(conn->flags & CONN_JOIN)) {
    atomic_fetch_add(&conn->lane->route->failed_connects, 1);
    atomic_fetch_add(&conn->share->group->failed_connects, 1);
    if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) lane_exhausted(thread, conn->lane, error);
  }
  conn_close(thread, conn, REASON_CONNECT_FAILED, error);
}

static void set_timer(struct thread *thread, struct conn *conn) {
  const struct dial *dial = conn->dial;
  uint64_t when = UINT64_MAX;
  for (int i = 0; i < 2; i++) {
    if (dial->stage[i] == DIAL_NONE) continue;
    if (dial->deadline[i] < when) when = dial->deadline[i];
    if (dial->stage[i] == DIAL_RETRY && dial->retry_at[i] < when) when = dial->retry_at[i];
  }
  timer_set(thread, &conn->timer, when);
}

/* Nothing left to wait for: the pair is open. False when it was closed. */
static bool advance(struct thread *thread, struct conn *conn) {
  struct dial *dial = conn->dial;
  if (dial->stage[0] != DIAL_NONE || dial->stage[1] != DIAL_NONE) {
    set_timer(thread, conn);
    return true;
  }
  free(dial);
  conn->dial = NULL;
  conn->flags &= (uint16_t)~CONN_DIALLING;
  if (conn->flags & CONN_JOIN) tell(thread, &conn->join->connected);
  return conn_open(thread, conn);
}

/* The answer line is only looked at until it is whole, so that the bytes after it stay in the socket. */
static bool read_answer(struct thread *thread, struct conn *conn, int which) {
  char line[OK_LINE_MAX];
  const int fd = conn->side[which].fd;
  ssize_t n;
  do n = recv(fd, line, sizeof line, MSG_PEEK | MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
  if (n <= 0) {
    fail(thread, conn, n == 0 ? ECONNREFUSED : errno);
    return false;
  }
  const char *end = memchr(line, '\n', (size_t)n);
  const size_t length = end ? (size_t)(end - line) : (size_t)n;
  bool valid = end ? length > 3 : (size_t)n < sizeof line;
  for (size_t i = 0; i < length && valid; i++) valid = i < 3 ? line[i] == "OK "[i] : line[i] >= '0' && line[i] <= '9';
  if (!valid) {
    fail(thread, conn, ECONNREFUSED);
    return false;
  }
  if (!end) {
    /* Only a part of it, and a peer that has already closed will not send the rest. */
    if (!(conn->side[which].flags & SIDE_HUNG)) return true;
    fail(thread, conn, ECONNREFUSED);
    return false;
  }
  if (recv(fd, line, length + 1, MSG_DONTWAIT) != (ssize_t)(length + 1)) {
    fail(thread, conn, EIO);
    return false;
  }
  conn->dial->stage[which] = DIAL_NONE;
  conn->side[which].flags |= SIDE_READABLE;
  return true;
}

static bool connected(struct thread *thread, struct conn *conn, int which) {
  const struct endpoint *to = conn->dial->to[which];
  conn->dial->stage[which] = DIAL_NONE;
  if (!to->handshake) return true;
  char line[32];
  const int length = snprintf(line, sizeof line, "CONNECT %u\n", to->connect_port);
  const ssize_t n = send(conn->side[which].fd, line, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n != length) {
    fail(thread, conn, n < 0 ? errno : EIO);
    return false;
  }
  if (!side_watch(thread, conn, which, false)) {
    fail(thread, conn, errno);
    return false;
  }
  conn->dial->stage[which] = DIAL_ANSWER;
  return true;
}

static int open_socket(const struct endpoint *to, uint64_t timeout_ms) {
  const int family = to->address.ss_family, on = 1;
  const int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (family == AF_INET || family == AF_INET6) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  } else if (family == AF_VSOCK) {
    /* The kernel's own limit is 2 s; one second above ours leaves the decision to our timer. */
    const struct timeval limit = {.tv_sec = (time_t)(timeout_ms / 1000 + 1)};
    setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD, &limit, sizeof limit);
  }
  return fd;
}

static bool attempt(struct thread *thread, struct conn *conn, int which) {
  struct dial *dial = conn->dial;
  struct side *side = &conn->side[which];
  const struct endpoint *to = dial->to[which];
  if (side->fd < 0) {
    const int fd = open_socket(to, dial->deadline[which] - thread->now);
    if (fd < 0) {
      fail(thread, conn, errno);
      return false;
    }
    side_adopt(side, fd, to->address.ss_family, to->hybrid);
    egress_narrow(conn, side, to->address.ss_family);
  }
  int result;
  do result = connect(side->fd, (const struct sockaddr *)&to->address, to->length);
  while (result < 0 && errno == EINTR);
  if (result == 0) return connected(thread, conn, which);
  if (errno == EINPROGRESS) {
    dial->stage[which] = DIAL_CONNECTING;
    if (side_watch(thread, conn, which, true)) return true;
  } else if (errno == EAGAIN && to->address.ss_family == AF_UNIX) {
    uint32_t *wait = &dial->retry_ms[which];
    *wait = *wait == 0 ? RETRY_FIRST_MS : *wait * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : *wait * 2;
    dial->retry_at[which] = thread->now + *wait;
    dial->stage[which] = DIAL_RETRY;
    return true;
  }
  fail(thread, conn, errno);
  return false;
}

/* Dials what `to` names; the caller's sides are already in place. False when the pair was closed. */
bool dial_start(struct thread *thread, struct conn *conn, const struct endpoint *const to[2], const uint32_t timeout_ms[2]) {
  conn->dial = calloc(1, sizeof *conn->dial);
  if (!conn->dial) {
    fail(thread, conn, ENOMEM);
    return false;
  }
  conn->flags |= CONN_DIALLING;
  for (int i = 0; i < 2; i++) {
    if (!to[i]) continue;
    conn->dial->to[i] = to[i];
    conn->dial->deadline[i] = thread->now + timeout_ms[i];
    if (!attempt(thread, conn, i)) return false;
  }
  return advance(thread, conn);
}

bool route_dial(struct thread *thread, struct conn *conn) {
  struct route *route = conn->lane->route;
  const struct endpoint *const to[2] = {NULL, &atomic_load(&route->lead)->target};
  const uint32_t timeout_ms[2] = {0, route->connect_ms};
  return dial_start(thread, conn, to, timeout_ms);
}

void dial_event(struct thread *thread, struct conn *conn, int which, uint32_t events) {
  struct dial *dial = conn->dial;
  struct side *side = &conn->side[which];
  /* Kept for after the opening: an edge comes only once. */
  if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) side->flags |= SIDE_READABLE;
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) side->flags |= SIDE_HUNG;
  if (events & (EPOLLHUP | EPOLLERR)) side->flags |= SIDE_CLOSED;
  if (events & EPOLLERR) side->flags |= SIDE_FAILED;
  if (dial->stage[which] == DIAL_CONNECTING) {
    if (!(events & (EPOLLOUT | EPOLLHUP | EPOLLERR))) return;
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(side->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) error = errno;
    if (error) {
      fail(thread, conn, error);
      return;
    }
    if (!connected(thread, conn, which)) return;
  } else if (dial->stage[which] == DIAL_ANSWER) {
    if (!read_answer(thread, conn, which)) return;
  }
  if (dial->stage[which] == DIAL_NONE && advance(thread, conn) && !(conn->flags & CONN_DIALLING)) conn_queue(thread, conn);
}

void dial_timer(struct thread *thread, struct conn *conn) {
  struct dial *dial = conn->dial;
  for (int i = 0; i < 2; i++) {
    if (dial->stage[i] == DIAL_NONE) continue;
    if (thread->now >= dial->deadline[i]) {
      fail(thread, conn, ETIMEDOUT);
      return;
    }
    if (dial->stage[i] == DIAL_RETRY && thread->now >= dial->retry_at[i] && !attempt(thread, conn, i)) return;
  }
  if (advance(thread, conn) && !(conn->flags & CONN_DIALLING)) conn_queue(thread, conn);
}
