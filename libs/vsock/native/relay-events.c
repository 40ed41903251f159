/* What the relay's threads tell, as JavaScript hears it: many events in a call. */
#define _GNU_SOURCE
#include "relay-handle.h"

#include <stdlib.h>

static struct screening *screening_of(struct event *event) {
  return (struct screening *)((char *)event - offsetof(struct screening, event));
}

static struct report *report_of(struct event *event) {
  return (struct report *)((char *)event - offsetof(struct report, event));
}

void release_event(struct relay_handle *handle, struct event *event) {
  struct report *report;
  switch (event->type) {
    case EVENT_JOIN_DONE:
      if (event->id < handle->joins_length) handle->joins[event->id] = NULL;
      join_release((struct join *)((char *)event - offsetof(struct join, done)));
      break;
    case EVENT_SCREEN:
      screening_release(screening_of(event));
      break;
    case EVENT_ROUTE_CLOSED:
      route_release((struct route *)((char *)event - offsetof(struct route, closed)));
      break;
    case EVENT_CONN_CLOSED:
      report = report_of(event);
      atomic_fetch_sub(&report->relay->unread_reports, 1);
      free(report);
      break;
    case EVENT_JOIN_CONNECTED:
    case EVENT_STOPPED:
      break;
  }
}

/* Tells a screening's thread what JavaScript said: [skip, head or null] at its place in the list. No answer refuses. */
static void post_verdict(napi_env env, struct screening *screening, napi_value verdicts, uint32_t index) {
  napi_value value;
  int32_t skip = -1;
  void *data;
  size_t length;
  struct pending *head = NULL;
  if (!verdicts || napi_get_element(env, verdicts, index, &value) != napi_ok ||
      napi_get_value_int32(env, value, &skip) != napi_ok)
    skip = -1;
  if (skip > 0 && napi_get_element(env, verdicts, index + 1, &value) == napi_ok && !is_nullish(env, value)) {
    if (napi_get_buffer_info(env, value, &data, &length) == napi_ok && length <= UINT32_MAX / 2) head = pending_copy(data, length);
    if (!head) skip = -1;
  }
  const struct command command = {.type = COMMAND_VERDICT, {.screening = screening, .skip = skip, .head = head}};
  post_surely(screening->thread, &command);
}

static void put_words(double *words, const struct event *event) {
  words[0] = event->type;
  words[1] = event->id;
  words[2] = event->reason;
  words[3] = event->error;
  words[4] = (double)event->bytes[0];
  words[5] = (double)event->bytes[1];
}

/* Peer, milliseconds, number of the lead. */
static void put_report(napi_env env, napi_value reports, uint32_t index, const struct report *report) {
  napi_value peer;
  if (napi_create_string_utf8(env, report->peer, NAPI_AUTO_LENGTH, &peer) == napi_ok)
    napi_set_element(env, reports, index, peer);
  napi_set_element(env, reports, index + 1, make_int(env, (int64_t)report->opened));
  napi_set_element(env, reports, index + 2, make_int(env, report->lead));
}

/* Tells as many as fit into one call, and gives those that are left. The call may close the handle. */
struct event *call_events(struct relay_handle *handle, struct event *event) {
  napi_env env = handle->instance->env;
  napi_value argv[3], bytes;
  struct event *asked = NULL, **asked_end = &asked;
  uint32_t count = 0, firsts = 0, reports = 0;
  if (napi_create_array(env, &argv[1]) != napi_ok || napi_create_array(env, &argv[2]) != napi_ok) argv[1] = argv[2] = NULL;
  for (struct event *next; event && count < EVENTS_PER_CALL; event = next) {
    next = event->next;
    put_words(handle->words + count++ * EVENT_WORDS, event);
    handle->stopped |= event->type == EVENT_STOPPED;
    if (event->type == EVENT_CONN_CLOSED) {
      put_report(env, argv[2], reports, report_of(event));
      reports += 3;
    }
    /* What is asked is its answer's until then. */
    if (event->type != EVENT_SCREEN) {
      release_event(handle, event);
      continue;
    }
    const struct screening *screening = screening_of(event);
    if (napi_create_buffer_copy(env, screening->length, screening->bytes, NULL, &bytes) == napi_ok)
      napi_set_element(env, argv[1], firsts, bytes);
    firsts++;
    event->next = NULL;
    *asked_end = event;
    asked_end = &event->next;
  }
  argv[0] = make_int(env, count);
  napi_value verdicts = argv[2] ? call_back(env, handle->callback, 3, argv) : NULL;
  uint32_t index = 0;
  for (struct event *next; asked; asked = next, index += 2) {
    next = asked->next;
    if (handle->relay) post_verdict(env, screening_of(asked), verdicts, index);
    else screening_release(screening_of(asked));
  }
  return event;
}
