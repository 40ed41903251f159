/*
 * Fair turns: deficit round robin over groups. In a round each group with something to do has so much of the thread's time, over
 * however many connections; what it had beyond that it waits for. It is time and not bytes, since those cost one group many times
 * what they cost another. Within a group connections take turns.
 */
#define _GNU_SOURCE
#include "relay.h"

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

/* The flow whose turn it is; NULL when there is none that may, and then `wait` says when one may. */
static struct flow *next_flow(struct thread *thread, struct share *share, uint64_t *wait) {
  *wait = UINT64_MAX;
  for (int i = 0; i < 2; i++) {
    struct flow *flow = &share->flows[share->turn];
    share->turn ^= 1;
    if (!flow->first) continue;
    /* Without a connection it has no place for its timer any more, and what waits is only to be freed. */
    const uint64_t ms = thread->stop || share->conns == 0 ? 0 : meter_wait(&flow->meter, thread->now);
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
