/*
 * The first bytes of an accepted connection are shown to JavaScript, which refuses it, waits for more of them, or takes some away,
 * puts others in their place and lets it go on to the target. They are only looked at until then: what follows stays in the socket.
 */
#define _GNU_SOURCE
#include "relay.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

static void undecided(struct thread *thread, struct conn *conn) {
  atomic_fetch_add(&conn->lane->route->undecided, 1);
  conn_close(thread, conn, REASON_CANCELLED, 0);
}

static void look(struct thread *thread, struct conn *conn) {
  struct screening *screening = conn->screening;
  const struct side *side = &conn->side[0];
  if (screening->asked) {
    screening->again = true;
    return;
  }
  ssize_t n;
  do n = recv(side->fd, screening->bytes, conn->lane->route->screen_bytes, MSG_PEEK | MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
  /* No more than the last time, and an end behind it: there will not be enough. */
  if (n <= 0 || ((uint32_t)n == screening->length && (side->flags & SIDE_HUNG))) {
    undecided(thread, conn);
    return;
  }
  if ((uint32_t)n == screening->length) return;
  screening->length = (uint32_t)n;
  screening->asked = true;
  atomic_fetch_add(&screening->references, 1);
  tell(thread, &screening->event);
}

void screen_start(struct thread *thread, struct conn *conn) {
  const struct route *route = conn->lane->route;
  struct screening *screening = calloc(1, sizeof *screening + route->screen_bytes);
  if (!screening) {
    undecided(thread, conn);
    return;
  }
  atomic_init(&screening->references, 1);
  screening->thread = thread;
  screening->conn = conn;
  screening->event.type = EVENT_SCREEN;
  screening->event.id = route->closed.id;
  conn->screening = screening;
  conn->flags |= CONN_SCREENING;
  timer_set(thread, &conn->timer, thread->now + route->screen_ms);
  /* Bytes that are there already make an edge, too. */
  if (!side_watch(thread, conn, 0, false)) undecided(thread, conn);
}

void screen_event(struct thread *thread, struct conn *conn, uint32_t events) {
  struct side *side = &conn->side[0];
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) side->flags |= SIDE_HUNG;
  if (events & (EPOLLHUP | EPOLLERR)) side->flags |= SIDE_CLOSED;
  if (events & EPOLLERR) side->flags |= SIDE_FAILED;
  look(thread, conn);
}

void screen_timer(struct thread *thread, struct conn *conn) { undecided(thread, conn); }

static void pass(struct thread *thread, struct conn *conn, uint32_t skip, struct pending *head) {
  struct screening *screening = conn->screening;
  struct route *route = conn->lane->route;
  if (!pace_take(&route->pace)) {
    atomic_fetch_add(&route->rate_limited, 1);
    free(head);
    conn_close(thread, conn, REASON_CANCELLED, 0);
    return;
  }
  if (recv(conn->side[0].fd, screening->bytes, skip, MSG_DONTWAIT) != (ssize_t)skip) {
    free(head);
    undecided(thread, conn);
    return;
  }
  conn->flags &= (uint16_t)~CONN_SCREENING;
  conn->screening = NULL;
  screening_release(screening);
  timer_clear(thread, &conn->timer);
  atomic_fetch_add(&route->accepted, 1);
  atomic_fetch_add(&conn->share->group->accepted, 1);
  if (head) {
    pending_put(thread, conn, DIALLED, head);
  }
  conn->side[0].flags |= SIDE_READABLE; /* what follows may be there: its edge was seen */
  if (route_dial(thread, conn) && !(conn->flags & (CONN_DIALLING | CONN_GONE))) conn_queue(thread, conn);
}

/* skip: less than 0 refuses, 0 waits for more; else so many bytes go away and `head`, which is taken over, goes to the target. */
void screen_verdict(struct thread *thread, struct screening *screening, int32_t skip, struct pending *head) {
  struct conn *conn = screening->conn;
  screening->asked = false;
  if (!conn) {
    free(head);
  } else if (skip > 0 && (uint32_t)skip <= screening->length) {
    pass(thread, conn, (uint32_t)skip, head);
  } else {
    free(head);
    if (skip != 0) conn_close(thread, conn, REASON_CANCELLED, 0);
    else if (screening->length == conn->lane->route->screen_bytes) undecided(thread, conn);
    else if (screening->again || (conn->side[0].flags & SIDE_HUNG)) {
      screening->again = false;
      look(thread, conn);
    }
  }
  screening_release(screening);
}
