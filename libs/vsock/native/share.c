/* A group, and the account of its part in each thread: what it may have, what it had, and which of its connections wait. */
#define _GNU_SOURCE
#include "relay.h"

#include <stdlib.h>

struct group *group_create(uint32_t threads) {
  struct group *group = calloc(1, sizeof *group + threads * sizeof group->shares[0]);
  if (!group) return NULL;
  atomic_init(&group->references, 1);
  group->max_connections = UINT32_MAX;
  group->pending_limit = SIZE_MAX / 2;
  for (uint32_t i = 0; i < threads; i++) {
    group->shares[i].group = group;
    group->shares[i].timer.kind = TIMER_SHARE;
  }
  return group;
}

void group_release(struct group *group) {
  if (atomic_fetch_sub(&group->references, 1) == 1) free(group);
}

void pace_set(struct pace *pace, uint32_t interval_ns, uint32_t burst) {
  pace->interval_ns = interval_ns;
  pace->ahead_ns = burst > 0 ? (uint64_t)(burst - 1) * interval_ns : 0;
}

bool pace_take(struct pace *pace) {
  if (pace->interval_ns == 0) return true;
  const uint64_t now = clock_ns();
  unsigned long long due = atomic_load(&pace->due_ns), from;
  do {
    from = due > now ? due : now;
    if (from - now > pace->ahead_ns) return false;
  } while (!atomic_compare_exchange_weak(&pace->due_ns, &due, from + pace->interval_ns));
  return true;
}

enum admission group_admit(struct group *group) {
  if (atomic_fetch_add(&group->active, 1) >= group->max_connections) {
    atomic_fetch_sub(&group->active, 1);
    atomic_fetch_add(&group->refused, 1);
    return ADMISSION_FULL;
  }
  if (!pace_take(&group->pace)) {
    atomic_fetch_sub(&group->active, 1);
    atomic_fetch_add(&group->rate_limited, 1);
    return ADMISSION_LATE;
  }
  atomic_fetch_add(&group->accepted, 1);
  return ADMITTED;
}

void round_add(struct thread *thread, struct share *share) {
  share->next = NULL;
  if (thread->round_last) thread->round_last->next = share;
  else thread->round_first = share;
  thread->round_last = share;
}

/* What it had is waited for also by rounds in which there was nothing for it. */
static void share_settle(struct thread *thread, struct share *share) {
  const int64_t credit = share->credit + (int64_t)(thread->rounds - share->round) * ROUND_NS;
  if (share->credit < 0) share->credit = credit < 0 ? credit : 0;
  share->round = thread->rounds;
}

static void share_list(struct thread *thread, struct share *share) {
  if (share->listed) return;
  share_settle(thread, share);
  share->listed = true;
  round_add(thread, share);
}

void conn_queue(struct thread *thread, struct conn *conn) {
  if (conn->flags & CONN_QUEUED) return;
  struct share *share = conn->share;
  struct flow *flow = &share->flows[!!(conn->flags & CONN_EGRESS)];
  conn->flags |= CONN_QUEUED;
  conn->ready = NULL;
  if (flow->last) flow->last->ready = conn;
  else flow->first = conn;
  flow->last = conn;
  share_list(thread, share);
}

struct share *share_of(struct thread *thread, struct group *group) { return &group->shares[thread - thread->relay->threads]; }

/* For what the thread did since the last charge. */
void share_charge(struct thread *thread, struct share *share) {
  const uint64_t now = clock_ns(), took = now - thread->charged, cost = took < CHARGE_MAX_NS ? took : CHARGE_MAX_NS;
  share->credit -= (int64_t)cost;
  atomic_fetch_add_explicit(&share->group->busy_ns, cost, memory_order_relaxed);
  thread->charged = now;
}

/* For what another thread did. */
void share_owe(struct thread *thread, struct share *share, uint32_t ns) {
  if (!share->listed) share_settle(thread, share);
  share->credit -= ns;
}

/* Whether it waits for what it had. One whose bytes wait for their rate does not: their timer may be long. */
bool share_in_debt(struct thread *thread, struct share *share) {
  if (!share->listed) share_settle(thread, share);
  return share->credit < 0 && !share->timer.slot;
}

void share_timer(struct thread *thread, struct share *share) {
  timer_clear(thread, &share->timer);
  round_add(thread, share);
}
