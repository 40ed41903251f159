/*
 * What the threads tell JavaScript. Waking its thread costs more than most of what it hears, so that while much happens events are
 * gathered and delivered once in a millisecond. After a quiet millisecond nothing waits; what a connection waits for never does.
 */
#define _GNU_SOURCE
#include "relay.h"

void tell(struct thread *thread, struct event *event) {
  event->next = NULL;
  *thread->told_end = event;
  thread->told_end = &event->next;
  if (event->type == EVENT_SCREEN) thread->urgent = true;
}

void tell_now(struct thread *thread) {
  struct relay *relay = thread->relay;
  if (!thread->told) return;
  pthread_mutex_lock(&relay->lock);
  const bool first = !relay->events;
  *relay->events_end = thread->told;
  relay->events_end = thread->told_end;
  pthread_mutex_unlock(&relay->lock);
  thread->told = NULL;
  thread->told_end = &thread->told;
  thread->urgent = false;
  thread->told_at = thread->now;
  /* Outside the lock, which the thread that wakes up takes at once. The relay lives on: its end waits for this thread. */
  if (first) relay->notify(relay);
}

/* At the end of each of the thread's rounds. */
void tell_in_time(struct thread *thread) {
  if (thread->urgent || thread->now != thread->told_at) tell_now(thread);
}

struct event *relay_take_events(struct relay *relay) {
  pthread_mutex_lock(&relay->lock);
  struct event *events = relay->events;
  relay->events = NULL;
  relay->events_end = &relay->events;
  pthread_mutex_unlock(&relay->lock);
  return events;
}
