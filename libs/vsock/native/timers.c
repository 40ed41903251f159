/* A binary heap of what is due when; each timer knows its place in it. */
#define _GNU_SOURCE
#include "relay.h"

#include <stdlib.h>
#include <time.h>

uint64_t clock_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void place(struct thread *thread, struct timer *timer, uint32_t slot) {
  thread->heap[slot - 1] = timer;
  timer->slot = slot;
}

static void sift(struct thread *thread, struct timer *timer, uint32_t slot) {
  while (slot > 1 && thread->heap[slot / 2 - 1]->when > timer->when) {
    place(thread, thread->heap[slot / 2 - 1], slot);
    slot /= 2;
  }
  for (uint32_t child; (child = slot * 2) <= thread->heap_length; slot = child) {
    if (child < thread->heap_length && thread->heap[child]->when < thread->heap[child - 1]->when) child++;
    if (thread->heap[child - 1]->when >= timer->when) break;
    place(thread, thread->heap[child - 1], slot);
  }
  place(thread, timer, slot);
}

bool timer_reserve(struct thread *thread) {
  if (thread->timers >= thread->heap_capacity) {
    const uint32_t capacity = thread->heap_capacity ? thread->heap_capacity * 2 : 64;
    struct timer **heap = realloc(thread->heap, capacity * sizeof *heap);
    if (!heap) return false;
    thread->heap = heap;
    thread->heap_capacity = capacity;
  }
  thread->timers++;
  return true;
}

void timer_set(struct thread *thread, struct timer *timer, uint64_t when) {
  timer->when = when;
  sift(thread, timer, timer->slot ? timer->slot : ++thread->heap_length);
}

void timer_clear(struct thread *thread, struct timer *timer) {
  if (!timer->slot) return;
  const uint32_t slot = timer->slot;
  struct timer *last = thread->heap[--thread->heap_length];
  timer->slot = 0;
  if (last != timer) sift(thread, last, slot);
}
