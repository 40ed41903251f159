/* A listener pauses when descriptors or memory ran out, and is tried again. */
#define _GNU_SOURCE
#include "relay.h"

#include <sys/epoll.h>

/* Also when there was enough for a connection, and not for the one that follows from it. */
void lane_pause(struct thread *thread, struct lane *lane, int error) {
  atomic_fetch_add(&lane->route->accept_errors, 1);
  atomic_store(&lane->route->accept_error, error);
  epoll_ctl(thread->epoll, EPOLL_CTL_DEL, lane->route->fd, NULL);
  timer_set(thread, &lane->timer, thread->now + ACCEPT_PAUSE_MS);
}

void lane_exhausted(struct thread *thread, struct lane *lane, int error) {
  if (lane->listening && !lane->closing && !lane->timer.slot) lane_pause(thread, lane, error);
}
