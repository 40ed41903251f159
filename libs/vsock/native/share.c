/*
 * Fair turns: deficit round robin over groups. In a round each group with something to do has so much of the thread's time, over
 * however many connections; what it had beyond that it waits for. It is time and not bytes, since those cost one group many times
 * what they cost another. Within a group connections take turns.
 */
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

/* Milliseconds until bytes may pass; 0: now. */
static uint64_t meter_wait(struct meter *meter, uint64_t now) {
  if (meter->rate == 0) return 0;
  uint64_t elapsed = now - meter->filled, burst = meter->rate * BURST_MS;
  if (elapsed > LINGER_MS) elapsed = LINGER_MS; /* no more than fills any bucket; and no overflow */
  if (burst < BURST_BYTES * 1000ull) burst = BURST_BYTES * 1000ull;
  meter->filled = now;
  meter->tokens += (int64_t)(meter->rate * elapsed);
  if (meter->tokens > (int64_t)burst) meter->tokens = (int64_t)burst;
  return meter->tokens > 0 ? 0 : (uint64_t)-meter->tokens / meter->rate + 1;
}

static void round_add(struct thread *thread, struct share *share) {
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

/* Whether it waits for what it had. One whose bytes wait for their rate does not: their timer may be long. */
bool share_in_debt(struct thread *thread, struct share *share) {
  if (!share->listed) share_settle(thread, share);
  return share->credit < 0 && !share->timer.slot;
}

/* The flow whose turn it is; NULL when there is none that may, and then `wait` says when one may. */
static struct flow *next_flow(struct thread *thread, struct share *share, uint64_t *wait) {
  *wait = UINT64_MAX;
  for (int i = 0; i < 2; i++) {
    struct flow *flow = &share->flows[share->turn];
    share->turn ^= 1;
    if (!flow->first) continue;
    const uint64_t ms = thread->stop ? 0 : meter_wait(&flow->meter, thread->now);
    if (ms == 0) return flow;
    if (ms < *wait) *wait = ms;
  }
  return NULL;
}

/* True when it goes on in the next round. */
static bool share_run(struct thread *thread, struct share *share, bool alone) {
  uint64_t wait = 0;
  share->credit = alone ? ALONE_NS : share->credit + ROUND_NS;
  while (share->credit > 0) {
    struct flow *flow = next_flow(thread, share, &wait);
    if (!flow) break;
    struct conn *conn = flow->first;
    flow->first = conn->ready;
    if (!flow->first) flow->last = NULL;
    conn->flags &= (uint16_t)~CONN_QUEUED;
    if (conn->flags & CONN_GONE) {
      conn->next = thread->gone;
      thread->gone = conn;
      continue;
    }
    const uint64_t delivered = conn->bytes[0] + conn->bytes[1];
    const bool metered = flow->meter.rate && flow->meter.tokens < TURN_BYTES * 1000ll;
    thread->turn_bytes = metered ? (uint32_t)(flow->meter.tokens / 1000) + 1 : TURN_BYTES;
    conn_move(thread, conn);
    share_charge(thread, share);
    flow->meter.tokens -= (int64_t)(conn->bytes[0] + conn->bytes[1] - delivered) * 1000;
  }
  if (share->flows[0].first || share->flows[1].first) {
    if (share->credit <= 0) return true;
    timer_set(thread, &share->timer, thread->now + wait);
  } else if (share->credit > 0) {
    share->credit = 0; /* nothing is saved up */
  }
  return false;
}

void share_timer(struct thread *thread, struct share *share) {
  timer_clear(thread, &share->timer);
  round_add(thread, share);
}

void shares_run(struct thread *thread) {
  struct share *share = thread->round_first;
  const bool alone = share && !share->next;
  thread->round_first = thread->round_last = NULL;
  thread->rounds++;
  while (share) {
    struct share *next = share->next;
    if (share_run(thread, share, alone)) round_add(thread, share);
    else share->listed = share->timer.slot != 0;
    share->round = thread->rounds;
    share = next;
  }
}
