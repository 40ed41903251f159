/* Listeners: accept, admit, dial; and their end. */
#define _GNU_SOURCE
#include "relay.h"

#include <errno.h>
#include <linux/vm_sockets.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

static bool watch(struct thread *thread, struct lane *lane) {
  /* Level-triggered: what one turn leaves in the queue is told again. Other threads and processes may listen at it, too. */
  struct epoll_event event = {
      .events = EPOLLIN | (uint32_t)EPOLLEXCLUSIVE,
      .data.u64 = (uint64_t)(uintptr_t)lane | TAG_ROUTE,
  };
  return epoll_ctl(thread->epoll, EPOLL_CTL_ADD, lane->route->fd, &event) == 0;
}

static bool peer_allowed(const struct route *route, const struct sockaddr_storage *peer) {
  if (route->peer_count == 0) return true;
  const uint32_t cid = ((const struct sockaddr_vm *)peer)->svm_cid;
  for (uint32_t i = 0; i < route->peer_count; i++)
    if (route->peers[i] == cid) return true;
  return false;
}

/* Counts it out again, and in where it belongs. */
static void turn_away(struct route *route, struct group *group, int fd, atomic_ullong *as, atomic_ullong *as_of_group) {
  atomic_fetch_sub(&route->active, 1);
  atomic_fetch_sub(&group->active, 1);
  atomic_fetch_add(as, 1);
  if (as_of_group) atomic_fetch_add(as_of_group, 1);
  close(fd);
}

static void admit(struct thread *thread, struct lane *lane, int fd, const struct sockaddr_storage *peer) {
  struct route *route = lane->route;
  const struct lead *lead = atomic_load(&route->lead);
  struct group *group = lead->group;
  const bool full = atomic_fetch_add(&route->active, 1) >= route->max_connections;
  if ((atomic_fetch_add(&group->active, 1) >= group->max_connections) | full) {
    turn_away(route, group, fd, &route->refused, &group->refused);
    return;
  }
  if ((route->screen_bytes == 0 && !pace_take(&route->pace)) || !pace_take(&group->pace)) {
    turn_away(route, group, fd, &route->rate_limited, &group->rate_limited);
    return;
  }
  struct pending *header = route->proxy_header ? proxy_header(fd, peer) : NULL;
  struct conn *conn = header || !route->proxy_header ? conn_create(thread, 0, lane, group) : NULL;
  if (!conn) {
    free(header);
    turn_away(route, group, fd, &route->accept_errors, NULL);
    return;
  }
  if (route->reports) conn->report = report_create(thread->relay, route->closed.id, lead->number, thread->now, peer);
  conn->idle_ms = route->idle_ms;
  side_adopt(&conn->side[0], fd, route->family, route->hybrid);
  if (header) pending_put(thread, conn, DIALLED, header);
  if (route->screen_bytes > 0) {
    screen_start(thread, conn);
    return;
  }
  atomic_fetch_add(&route->accepted, 1);
  atomic_fetch_add(&group->accepted, 1);
  route_dial(thread, conn);
}

void lane_accept(struct thread *thread, struct lane *lane, unsigned limit) {
  for (unsigned i = 0; i < limit && lane->listening && (lane->closing || !lane->timer.slot); i++) {
    struct share *share = share_of(thread, atomic_load(&lane->route->lead)->group);
    /* The listener tells again of what waits. */
    if (!lane->closing && share_in_debt(thread, share)) return;
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    const int fd = accept4(lane->route->fd, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      if (lane->route->family == AF_VSOCK && !peer_allowed(lane->route, &peer)) {
        atomic_fetch_add(&lane->route->refused, 1);
        close(fd);
      } else {
        admit(thread, lane, fd, &peer);
      }
      share_charge(thread, share);
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return;
    /* Errors of the one connection, gone before it was taken, say nothing about the listener. */
    if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO || errno == ENETDOWN || errno == ENOPROTOOPT ||
        errno == EHOSTDOWN || errno == ENONET || errno == EHOSTUNREACH || errno == EOPNOTSUPP || errno == ENETUNREACH)
      continue;
    if (!lane->closing) lane_pause(thread, lane, errno);
    return;
  }
}

void lane_add(struct thread *thread, struct lane *lane) {
  lane->timer.kind = TIMER_ROUTE;
  lane->listening = true;
  lane->prev = NULL;
  lane->next = thread->lanes;
  if (thread->lanes) thread->lanes->prev = lane;
  thread->lanes = lane;
  if (!timer_reserve(thread)) {
    thread->timers++; /* the end of the lane gives it back */
    lane_close(thread, lane, 0);
    return;
  }
  if (!watch(thread, lane)) lane_pause(thread, lane, errno);
}

/* The last thread to leave closes the listener, so that no other thread can meet a reused descriptor. */
static void stop_listening(struct thread *thread, struct lane *lane) {
  struct route *route = lane->route;
  if (!lane->listening) return;
  timer_clear(thread, &lane->timer);
  epoll_ctl(thread->epoll, EPOLL_CTL_DEL, route->fd, NULL);
  lane->listening = false;
  if (atomic_fetch_sub(&route->listening, 1) != 1) return;
  close(route->fd);
  route->fd = -1;
  struct stat now;
  /* Another process may have put its own socket at the path since. */
  if (route->path && !atomic_load(&route->keep_path) && lstat(route->path, &now) == 0 && now.st_dev == route->device && now.st_ino == route->inode)
    unlink(route->path);
}

void lane_close(struct thread *thread, struct lane *lane, uint32_t drain_ms) {
  if (!lane->closing) {
    lane->closing = true;
    /* Those that wait in the queue were told they are connected: they are served, not reset. */
    if (drain_ms > 0 && !lane->timer.slot && !atomic_load(&lane->route->keep_path)) lane_accept(thread, lane, CLOSE_BATCH);
    stop_listening(thread, lane);
  }
  thread->reap = true;
  if (drain_ms > 0) {
    timer_set(thread, &lane->timer, thread->now + drain_ms);
    return;
  }
  while (lane->conns) conn_close(thread, lane->conns, REASON_CANCELLED, 0);
}

void lane_timer(struct thread *thread, struct lane *lane) {
  if (lane->closing) lane_close(thread, lane, 0);
  else if (!watch(thread, lane)) lane_pause(thread, lane, errno);
}

void lanes_reap(struct thread *thread) {
  for (struct lane *lane = thread->lanes, *next; lane; lane = next) {
    next = lane->next;
    if (!lane->closing || lane->conns) continue;
    timer_clear(thread, &lane->timer);
    thread->timers--;
    if (lane->prev) lane->prev->next = next;
    else thread->lanes = next;
    if (next) next->prev = lane->prev;
    struct route *route = lane->route;
    tell_now(thread); /* whatever is told of its connections comes before its end, which another thread may tell */
    if (atomic_fetch_sub(&route->open, 1) == 1) tell(thread, &route->closed);
    route_release(route);
  }
}

void lead_release(struct lead *lead) {
  if (lead->group) group_release(lead->group);
  free(lead);
}

void route_release(struct route *route) {
  if (atomic_fetch_sub(&route->references, 1) != 1) return;
  if (route->fd >= 0) close(route->fd);
  for (struct lead *lead = atomic_load(&route->lead), *older; lead; lead = older) {
    older = lead->older;
    lead_release(lead);
  }
  free(route->path);
  free(route->peers);
  free(route);
}
