/* The thread: events, timers, commands from outside, unfinished turns. */
#define _GNU_SOURCE
#include "relay.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENT_BATCH 256
#define NS_PER_MS 1000000u
#define STACK_BYTES (256u * 1024u)

static void run_timers(struct thread *thread) {
  while (thread->heap_length > 0 && thread->heap[0]->when <= thread->now) {
    struct timer *timer = thread->heap[0];
    timer_clear(thread, timer);
    if (timer->kind == TIMER_ROUTE) {
      lane_timer(thread, (struct lane *)timer);
    } else if (timer->kind == TIMER_SHARE) {
      share_timer(thread, (struct share *)timer);
    } else {
      struct conn *conn = (struct conn *)timer;
      if (conn->flags & CONN_SCREENING) screen_timer(thread, conn);
      else if (conn->flags & CONN_DIALLING) dial_timer(thread, conn);
      else conn_idle_timer(thread, conn);
    }
  }
}

bool post_command(struct thread *thread, const struct command *command) {
  struct command *copy = malloc(sizeof *copy);
  if (!copy) return false;
  *copy = *command;
  copy->next = NULL;
  pthread_mutex_lock(&thread->lock);
  const bool first = !thread->commands;
  *thread->commands_end = copy;
  thread->commands_end = &copy->next;
  pthread_mutex_unlock(&thread->lock);
  if (first) eventfd_write(thread->wake, 1); /* fails only when the counter is full: the thread is awake then */
  return true;
}

void post_surely(struct thread *thread, const struct command *command) {
  while (!post_command(thread, command)) usleep(1000);
}

static void stop(struct thread *thread) {
  thread->stop = true;
  for (struct lane *lane = thread->lanes; lane; lane = lane->next) lane_close(thread, lane, 0);
  while (thread->joins) conn_close(thread, thread->joins, REASON_CANCELLED, 0);
}

static void run_command(struct thread *thread, const struct command *command) {
  switch (command->type) {
    case COMMAND_ROUTE_ADD:
      lane_add(thread, command->lane);
      if (thread->stop) lane_close(thread, command->lane, 0);
      break;
    case COMMAND_ROUTE_CLOSE:
      /* After its end the lane lives on until the caller's reference to the route goes. */
      if (command->lane->listening || command->lane->conns) lane_close(thread, command->lane, command->drain_ms);
      route_release(command->lane->route);
      break;
    case COMMAND_JOIN:
      join_start(thread, command->join);
      if (thread->stop && command->join->conn) conn_close(thread, command->join->conn, REASON_CANCELLED, 0);
      break;
    case COMMAND_CANCEL:
      if (command->join->conn) conn_close(thread, command->join->conn, REASON_CANCELLED, 0);
      join_release(command->join);
      break;
    case COMMAND_VERDICT:
      screen_verdict(thread, command->screening, command->skip, command->head);
      break;
    case COMMAND_STOP:
      stop(thread);
      break;
  }
}

static void run_commands(struct thread *thread) {
  pthread_mutex_lock(&thread->lock);
  struct command *command = thread->commands;
  thread->commands = NULL;
  thread->commands_end = &thread->commands;
  pthread_mutex_unlock(&thread->lock);
  while (command) {
    struct command *next = command->next;
    run_command(thread, command);
    free(command);
    command = next;
  }
}

static void run_event(struct thread *thread, const struct epoll_event *event) {
  const unsigned tag = event->data.u64 & 3;
  void *pointer = (void *)(uintptr_t)(event->data.u64 & ~(uint64_t)3);
  if (tag == TAG_WAKE) {
    eventfd_t value;
    eventfd_read(thread->wake, &value); /* only calms the descriptor; the commands follow after the batch */
  } else if (tag == TAG_ROUTE) {
    struct lane *lane = pointer;
    if (lane->listening && !lane->closing) lane_accept(thread, lane, ACCEPT_BATCH);
  } else {
    struct conn *conn = pointer;
    if (conn->flags & CONN_GONE) return;
    if (conn->flags & CONN_SCREENING) screen_event(thread, conn, event->events);
    else if (conn->flags & CONN_DIALLING) dial_event(thread, conn, (int)tag, event->events);
    else conn_event(thread, conn, (int)tag, event->events);
    share_charge(thread, conn->share);
  }
}

static void free_gone(struct thread *thread) {
  while (thread->gone) {
    struct conn *conn = thread->gone;
    thread->gone = conn->next;
    conn_free(conn);
  }
}

static int wait_ms(const struct thread *thread) {
  if (thread->round_first || thread->stop) return 0;
  if (thread->told) return 1;
  if (thread->heap_length == 0) return -1;
  const uint64_t when = thread->heap[0]->when, now = clock_ns() / NS_PER_MS;
  if (when <= now) return 0;
  return when - now > 60000 ? 60000 : (int)(when - now);
}

static void *thread_main(void *argument) {
  struct thread *thread = argument;
  struct epoll_event events[EVENT_BATCH];
  do {
    const int count = epoll_wait(thread->epoll, events, EVENT_BATCH, wait_ms(thread));
    thread->charged = clock_ns();
    thread->now = thread->charged / NS_PER_MS;
    bool woken = false;
    for (int i = 0; i < count; i++) {
      woken |= (events[i].data.u64 & 3) == TAG_WAKE;
      run_event(thread, &events[i]);
    }
    shares_run(thread);
    run_timers(thread);
    if (woken) run_commands(thread);
    if (thread->reap) {
      thread->reap = false;
      lanes_reap(thread);
    }
    free_gone(thread);
    tell_in_time(thread);
  } while (!thread->stop || thread->round_first);
  run_commands(thread); /* whatever came after the stop is told so */
  lanes_reap(thread);
  free_gone(thread);
  tell_now(thread); /* before the last thread says that nothing more comes */
  if (atomic_fetch_sub(&thread->relay->running, 1) == 1) {
    tell(thread, &thread->relay->stopped);
    tell_now(thread);
  }
  return NULL;
}

static bool thread_start(struct relay *relay, struct thread *thread, size_t buffer_size, size_t pending_limit) {
  thread->relay = relay;
  thread->epoll = thread->wake = -1;
  thread->commands_end = &thread->commands;
  thread->told_end = &thread->told;
  thread->buffer_size = buffer_size;
  thread->pending_limit = pending_limit;
  thread->now = clock_ns() / NS_PER_MS;
  pthread_mutex_init(&thread->lock, NULL);
  thread->buffer = malloc(buffer_size);
  thread->epoll = epoll_create1(EPOLL_CLOEXEC);
  thread->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = TAG_WAKE};
  if (!thread->buffer || thread->epoll < 0 || thread->wake < 0 ||
      epoll_ctl(thread->epoll, EPOLL_CTL_ADD, thread->wake, &event) < 0)
    return false;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before); /* signals belong to Node's thread */
  const int error = pthread_create(&thread->id, &attributes, thread_main, thread);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  if (error) errno = error;
  return error == 0;
}

static void thread_free(struct thread *thread) {
  /* Commands that came after the thread had ended. */
  for (struct command *command = thread->commands, *next; command; command = next) {
    next = command->next;
    if (command->type == COMMAND_ROUTE_CLOSE) route_release(command->lane->route);
    if (command->type == COMMAND_JOIN || command->type == COMMAND_CANCEL) join_release(command->join);
    if (command->type == COMMAND_VERDICT) {
      free(command->head);
      screening_release(command->screening);
    }
    free(command);
  }
  if (thread->epoll >= 0) close(thread->epoll);
  if (thread->wake >= 0) close(thread->wake);
  free(thread->buffer);
  free(thread->heap);
  pthread_mutex_destroy(&thread->lock);
}

void relay_stop(struct relay *relay) {
  for (uint32_t i = 0; i < relay->thread_count; i++) {
    struct thread *thread = &relay->threads[i];
    const struct command command = {.type = COMMAND_STOP};
    post_surely(thread, &command);
  }
}

void relay_wait(struct relay *relay) {
  for (uint32_t i = 0; i < relay->thread_count; i++) pthread_join(relay->threads[i].id, NULL);
}

void relay_destroy(struct relay *relay) {
  for (uint32_t i = 0; i < relay->thread_count; i++) thread_free(&relay->threads[i]);
  pthread_mutex_destroy(&relay->lock);
  if (relay->group) group_release(relay->group);
  free(relay->threads);
  free(relay);
}

/* NULL with errno when memory, descriptors or threads ran out. */
struct relay *relay_create(uint32_t threads, size_t buffer_size, size_t pending_limit,
                           void (*notify)(struct relay *), void *owner) {
  struct relay *relay = calloc(1, sizeof *relay);
  if (!relay) return NULL;
  relay->threads = calloc(threads, sizeof *relay->threads);
  pthread_mutex_init(&relay->lock, NULL);
  relay->notify = notify;
  relay->owner = owner;
  relay->events_end = &relay->events;
  relay->stopped.type = EVENT_STOPPED;
  relay->group = group_create(threads);
  if (!relay->threads || !relay->group) threads = 0;
  atomic_init(&relay->running, threads);
  /* Counted before the first starts: a thread looks at it when it decides how to watch a listener. */
  relay->thread_count = threads;
  for (uint32_t i = 0; i < threads; i++) {
    if (thread_start(relay, &relay->threads[i], buffer_size, pending_limit)) continue;
    const int error = errno;
    thread_free(&relay->threads[i]);
    relay->thread_count = i;
    relay_stop(relay);
    relay_wait(relay);
    relay_destroy(relay);
    errno = error;
    return NULL;
  }
  if (threads > 0) return relay;
  relay_destroy(relay);
  errno = ENOMEM;
  return NULL;
}
