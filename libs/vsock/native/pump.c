/* Moves the bytes: one shared buffer, a private one only for what a peer would not take yet. */
#define _GNU_SOURCE
#include "relay.h"

#include <errno.h>
#include <sys/epoll.h>

static void count(struct thread *thread, struct conn *conn, int from, size_t bytes) {
  conn->bytes[from] += bytes;
  conn->last = thread->now;
  atomic_ullong *total = conn->share->group->bytes[!!(conn->flags & CONN_EGRESS)];
  atomic_fetch_add_explicit(&total[from], bytes, memory_order_relaxed);
  if (!(conn->flags & CONN_JOIN)) atomic_fetch_add_explicit(&conn->lane->route->bytes[from], bytes, memory_order_relaxed);
}

/* Writes to a side that fails for good go nowhere from here on; what it still has to say is delivered. */
static void side_died(struct thread *thread, struct conn *conn, int which, int error) {
  struct side *side = &conn->side[which];
  side->flags |= SIDE_DEAD | SIDE_READABLE;
  side->flags &= ~(uint32_t)SIDE_BLOCKED;
  if (side->out) conn->flags |= CONN_LOST;
  if (!conn->error) conn->error = (int16_t)error;
  pending_drop(thread, conn, which);
}

/* How many of the bytes the side took; fewer than asked means it is blocked or dead. */
static size_t side_send(struct thread *thread, struct conn *conn, int which, const unsigned char *data, size_t length) {
  struct side *side = &conn->side[which];
  size_t sent = 0;
  while (sent < length) {
    size_t part = length - sent;
    if ((side->flags & SIDE_VSOCK) && part > VSOCK_WRITE_BYTES) part = VSOCK_WRITE_BYTES;
    const ssize_t n = send(side->fd, data + sent, part, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      sent += (size_t)n;
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (!(side->flags & (SIDE_TCP | SIDE_VSOCK | SIDE_GROWN))) {
        const int bytes = UNIX_SEND_BYTES;
        side->flags |= SIDE_GROWN;
        if (setsockopt(side->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes) == 0) continue;
      }
      side->flags |= SIDE_BLOCKED;
      side->flags &= ~(uint32_t)SIDE_OUT_ARMED; /* arm anew: that looks again for room made meanwhile */
      if (!side_watch(thread, conn, which, true)) side_died(thread, conn, which, errno);
      break;
    }
    conn->flags |= CONN_LOST;
    side_died(thread, conn, which, errno);
    break;
  }
  if (sent) count(thread, conn, !which, sent);
  return sent;
}

static void flush(struct thread *thread, struct conn *conn, int which) {
  struct side *side = &conn->side[which];
  struct pending *out = side->out;
  const size_t sent = side_send(thread, conn, which, out->data + out->offset, out->length - out->offset);
  if (!side->out) return; /* it died and its bytes with it */
  out->offset += (uint32_t)sent;
  if (out->offset == out->length) {
    pending_drop(thread, conn, which);
    /* A watch that cannot be taken back costs spare wake-ups, nothing else. */
    (void)side_watch(thread, conn, which, false);
  }
}

static bool keep(struct thread *thread, struct conn *conn, int which, const unsigned char *data, size_t length) {
  struct pending *out = pending_copy(data, length);
  if (!out) return false;
  pending_put(thread, conn, which, out);
  return true;
}

static ssize_t receive(int fd, void *buffer, size_t length, int flags) {
  ssize_t n;
  do n = recv(fd, buffer, length, MSG_DONTWAIT | flags);
  while (n < 0 && errno == EINTR);
  return n;
}

/* One direction, until it has nothing, is blocked, or has had its turn. False when the pair was closed. */
static bool pump(struct thread *thread, struct conn *conn, int from) {
  struct side *source = &conn->side[from], *sink = &conn->side[!from];
  size_t turn = 0;
  for (;;) {
    if (sink->flags & SIDE_BLOCKED) return true;
    if (sink->out) {
      flush(thread, conn, !from);
      if (sink->out) return true;
    }
    if ((source->flags & SIDE_EOF) || !(source->flags & SIDE_READABLE)) return true;
    if (turn >= thread->turn_bytes) {
      conn_queue(thread, conn);
      return true;
    }
    /* With too much kept for slow readers, look first and take only what the sink took. */
    const bool dead = sink->flags & SIDE_DEAD;
    const bool peek = !dead && (thread->pending_bytes + thread->buffer_size > thread->pending_limit ||
                                conn->share->pending_bytes + thread->buffer_size > conn->share->group->pending_limit);
    const size_t rest = thread->turn_bytes - turn, room = rest < thread->buffer_size ? rest : thread->buffer_size;
    const ssize_t n = receive(source->fd, thread->buffer, room, peek ? MSG_PEEK : 0);
    if (n < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) {
        source->flags &= ~(uint32_t)SIDE_READABLE;
        return true;
      }
      if (source->flags & (SIDE_TCP | SIDE_VSOCK)) {
        conn_close(thread, conn, REASON_RESET, errno);
        return false;
      }
      /* A Unix peer that closed without reading everything: all it sent has been read before this error. */
      source->flags |= SIDE_EOF;
      side_died(thread, conn, from, errno);
      continue;
    }
    if (n == 0) {
      source->flags |= SIDE_EOF;
      continue;
    }
    turn += (size_t)n;
    if (dead) {
      conn->flags |= CONN_LOST;
      continue;
    }
    size_t sent = side_send(thread, conn, !from, thread->buffer, (size_t)n);
    if (peek && sent > 0 && receive(source->fd, thread->buffer, sent, 0) != (ssize_t)sent) {
      conn_close(thread, conn, REASON_RESET, EIO);
      return false;
    }
    if (!peek && sent < (size_t)n && !(sink->flags & SIDE_DEAD) &&
        !keep(thread, conn, !from, thread->buffer + sent, (size_t)n - sent)) {
      conn_close(thread, conn, REASON_RESET, ENOMEM);
      return false;
    }
    /* A short read of a stream emptied it, and what comes later makes a new edge. */
    if (!peek && (size_t)n < room && !(source->flags & SIDE_HUNG)) source->flags &= ~(uint32_t)SIDE_READABLE;
  }
}

static void finish(struct thread *thread, struct conn *conn) {
  const bool lost = conn->flags & CONN_LOST;
  conn_close(thread, conn, lost ? REASON_RESET : REASON_CLOSED, lost ? conn->error : 0);
}

/*
 * Across a hybrid socket a half-close would end both directions. The end of the side that was dialled is passed on as the
 * end of both: a server that ends has said all it had to say, and its client waits for that. The end of the side that
 * dialled waits for the other's: a client may end its request and still wait for the answer. False when closed.
 */
static bool pass_end(struct thread *thread, struct conn *conn, int from) {
  struct side *source = &conn->side[from], *sink = &conn->side[!from];
  if (!(source->flags & SIDE_EOF) || sink->out || (sink->flags & (SIDE_SHUT | SIDE_DEAD))) return true;
  sink->flags |= SIDE_SHUT;
  if (!(sink->flags & SIDE_HYBRID)) {
    shutdown(sink->fd, SHUT_WR);
  } else if (from == DIALLED) {
    finish(thread, conn);
    return false;
  } else if (!(sink->flags & SIDE_EOF)) {
    conn->flags |= CONN_HELD;
  }
  return true;
}

/* AF_VSOCK announces no HUP when its peer has closed: then even an empty write fails. */
static void look_closed(struct side *side) {
  if ((side->flags & (SIDE_VSOCK | SIDE_HUNG | SIDE_CLOSED | SIDE_SHUT)) != (SIDE_VSOCK | SIDE_HUNG)) return;
  if (send(side->fd, "", 0, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && (errno == EPIPE || errno == ENOTCONN))
    side->flags |= SIDE_CLOSED;
}

/* A side that announced its end for good (HUP, ERR) hears nothing more once all it said is read. False when closed. */
static bool bury(struct thread *thread, struct conn *conn, int which) {
  struct side *side = &conn->side[which];
  if (!(side->flags & SIDE_CLOSED) || !(side->flags & SIDE_EOF) || (side->flags & SIDE_DEAD)) return true;
  int error = 0;
  socklen_t length = sizeof error;
  if ((side->flags & SIDE_FAILED) && getsockopt(side->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) error = errno;
  if (error && (side->flags & (SIDE_TCP | SIDE_VSOCK))) {
    conn_close(thread, conn, REASON_RESET, error);
    return false;
  }
  /* We had shut it ourselves: both directions ended in order. */
  if ((side->flags & SIDE_SHUT) && !(conn->flags & CONN_HELD)) return true;
  side_died(thread, conn, which, error ? error : EPIPE);
  return true;
}

/* What a side said before it was gone waits for one that does not take it. */
static void strand(struct thread *thread, struct conn *conn) {
  const struct side *side = conn->side;
  conn->flags &= (uint16_t)~CONN_STRANDED;
  for (int i = 0; i < 2; i++)
    if ((side[i].flags & SIDE_CLOSED) && (side[!i].flags & SIDE_BLOCKED)) conn->flags |= CONN_STRANDED;
  if (!(conn->flags & CONN_STRANDED)) return;
  const uint64_t when = conn->last + HOLD_MS;
  if (!conn->timer.slot || conn->timer.when > when) timer_set(thread, &conn->timer, when);
}

static void settle(struct thread *thread, struct conn *conn) {
  look_closed(&conn->side[0]);
  look_closed(&conn->side[1]);
  strand(thread, conn);
  if (!bury(thread, conn, 0) || !bury(thread, conn, 1)) return;
  const struct side *side = conn->side;
  const bool done[2] = {(side[0].flags & SIDE_EOF) && !side[1].out, (side[1].flags & SIDE_EOF) && !side[0].out};
  if ((done[0] && done[1]) || (side[0].flags & side[1].flags & SIDE_DEAD)) {
    finish(thread, conn);
    return;
  }
  if (!pass_end(thread, conn, !DIALLED) || !pass_end(thread, conn, DIALLED)) return;
  if (conn->flags & CONN_LINGER) return;
  if ((done[0] && (side[0].flags & SIDE_DEAD)) || (done[1] && (side[1].flags & SIDE_DEAD))) {
    conn->flags |= CONN_LINGER;
    timer_set(thread, &conn->timer, thread->now + LINGER_MS);
    return;
  }
  if ((conn->flags & CONN_HELD) && (!conn->timer.slot || conn->timer.when > thread->now + HOLD_MS))
    timer_set(thread, &conn->timer, thread->now + HOLD_MS);
}

void conn_move(struct thread *thread, struct conn *conn) {
  if (conn->flags & CONN_GONE) return;
  if (!pump(thread, conn, 0) || !pump(thread, conn, 1)) return;
  settle(thread, conn);
}

void conn_event(struct thread *thread, struct conn *conn, int which, uint32_t events) {
  struct side *side = &conn->side[which];
  if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) side->flags |= SIDE_READABLE;
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) side->flags |= SIDE_HUNG;
  if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) side->flags &= ~(uint32_t)SIDE_BLOCKED;
  if (events & (EPOLLHUP | EPOLLERR)) side->flags |= SIDE_CLOSED;
  if (events & EPOLLERR) side->flags |= SIDE_FAILED;
  conn_queue(thread, conn);
}

void conn_idle_timer(struct thread *thread, struct conn *conn) {
  if (conn->flags & CONN_LINGER) {
    finish(thread, conn);
    return;
  }
  /* Bytes are lost then: no peer may take that for an end. */
  const bool stranded = conn->flags & CONN_STRANDED;
  uint64_t idle = conn->idle_ms;
  if ((stranded || (conn->flags & CONN_HELD)) && (idle == 0 || idle > HOLD_MS)) idle = HOLD_MS;
  if (idle == 0) return;
  if (thread->now >= conn->last + idle)
    conn_close(thread, conn, stranded ? REASON_RESET : REASON_IDLE, stranded ? ETIMEDOUT : 0);
  else timer_set(thread, &conn->timer, conn->last + idle);
}

/* Both sides are connected: start moving. False when the pair was closed at once. */
bool conn_open(struct thread *thread, struct conn *conn) {
  conn->last = thread->now;
  if (conn->idle_ms) timer_set(thread, &conn->timer, thread->now + conn->idle_ms);
  else timer_clear(thread, &conn->timer);
  for (int i = 0; i < 2; i++) {
    if (side_watch(thread, conn, i, (conn->side[i].flags & SIDE_TCP) && (conn->side[i].flags & SIDE_OUT_ARMED))) continue;
    conn_close(thread, conn, REASON_RESET, errno);
    return false;
  }
  if (conn->side[0].out || conn->side[1].out) conn_queue(thread, conn);
  return true;
}
