/* The relay as JavaScript sees it: handles, commands in, batches of events out. */
#define _GNU_SOURCE
#include "relay-handle.h"

#include <errno.h>
#include <stdlib.h>

/* Words per event in the array given to JavaScript: type, id, reason, errno, bytes A→B, bytes B→A. */
#define EVENT_WORDS 6

static void release(struct relay_handle *handle) {
  if (--handle->holders == 0) free(handle);
}

static void on_finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  release(data);
}

static void on_close(uv_handle_t *uv) {
  struct relay_handle *handle = uv->data;
  instance_closed(handle->instance);
  release(handle);
}

static void notify(struct relay *relay) { uv_async_send(&((struct relay_handle *)relay->owner)->async); }

static struct screening *screening_of(struct event *event) {
  return (struct screening *)((char *)event - offsetof(struct screening, event));
}

static struct report *report_of(struct event *event) {
  return (struct report *)((char *)event - offsetof(struct report, event));
}

/* The event's owner loses the reference that was held for this delivery. */
static void release_event(struct event *event) {
  if (event->type == EVENT_JOIN_DONE) join_release((struct join *)((char *)event - offsetof(struct join, done)));
  if (event->type == EVENT_SCREEN) screening_release(screening_of(event));
  if (event->type == EVENT_ROUTE_CLOSED) route_release((struct route *)((char *)event - offsetof(struct route, closed)));
  if (event->type == EVENT_CONN_CLOSED) {
    struct report *report = report_of(event);
    atomic_fetch_sub(&report->relay->unread_reports, 1);
    free(report);
  }
}

static void end(struct relay_handle *handle) {
  struct instance *instance = handle->instance;
  if (handle->closing) return;
  handle->closing = true;
  relay_wait(handle->relay);
  for (struct event *event = relay_take_events(handle->relay), *next; event; event = next) {
    next = event->next;
    release_event(event);
  }
  relay_destroy(handle->relay);
  handle->relay = NULL;
  if (handle->prev) handle->prev->next = handle->next;
  else instance->relays = handle->next;
  if (handle->next) handle->next->prev = handle->prev;
  napi_delete_reference(instance->env, handle->callback);
  instance->closing++;
  uv_close((uv_handle_t *)&handle->async, on_close);
}

void relays_end(struct instance *instance) {
  while (instance->relays) {
    relay_stop(instance->relays->relay);
    end(instance->relays);
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

static void on_async(uv_async_t *async) {
  struct relay_handle *handle = async->data;
  if (handle->closing) return;
  napi_env env = handle->instance->env;
  napi_handle_scope scope;
  napi_value argv[3], bytes, verdicts, peer;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  if (napi_create_array(env, &argv[0]) != napi_ok || napi_create_array(env, &argv[1]) != napi_ok ||
      napi_create_array(env, &argv[2]) != napi_ok) {
    napi_close_handle_scope(env, scope);
    return;
  }
  uint32_t length = 0, count = 0, reports = 0;
  bool stopped = false;
  struct event *asked = NULL, **asked_end = &asked;
  for (struct event *event = relay_take_events(handle->relay), *next; event; event = next) {
    next = event->next;
    const int64_t words[EVENT_WORDS] = {(int64_t)event->type, event->id, event->reason, event->error,
                                        (int64_t)event->bytes[0], (int64_t)event->bytes[1]};
    for (int i = 0; i < EVENT_WORDS; i++) napi_set_element(env, argv[0], length++, make_int(env, words[i]));
    stopped |= event->type == EVENT_STOPPED;
    if (event->type == EVENT_CONN_CLOSED) {
      if (napi_create_string_utf8(env, report_of(event)->peer, NAPI_AUTO_LENGTH, &peer) == napi_ok)
        napi_set_element(env, argv[2], reports, peer);
      napi_set_element(env, argv[2], reports + 1, make_int(env, (int64_t)report_of(event)->opened));
      napi_set_element(env, argv[2], reports + 2, make_int(env, report_of(event)->lead));
      reports += 3;
    }
    if (event->type != EVENT_SCREEN) {
      release_event(event);
      continue;
    }
    const struct screening *screening = screening_of(event);
    if (napi_create_buffer_copy(env, screening->length, screening->bytes, NULL, &bytes) == napi_ok)
      napi_set_element(env, argv[1], count, bytes);
    count++;
    event->next = NULL;
    *asked_end = event;
    asked_end = &event->next;
  }
  if (length > 0) {
    handle->holders++; /* the call may close this very handle */
    verdicts = call_back(env, handle->callback, 3, argv);
    uint32_t index = 0;
    for (struct event *event = asked, *next; event; event = next, index += 2) {
      next = event->next;
      if (handle->relay) post_verdict(env, screening_of(event), verdicts, index);
      else screening_release(screening_of(event));
    }
    if (stopped) end(handle);
    release(handle);
  }
  napi_close_handle_scope(env, scope);
}

/* (threads, bufferSize, pendingLimit, callback(events, firsts, reports)) → handle */
static napi_value relayCreate(napi_env env, napi_callback_info info) {
  napi_value argv[4], result;
  uint32_t threads, buffer_size, pending_limit;
  struct instance *instance = instance_of(env);
  if (!get_args(env, info, 4, argv) || !get_u32(env, argv[0], &threads) || !get_u32(env, argv[1], &buffer_size) ||
      !get_u32(env, argv[2], &pending_limit))
    return NULL;
  struct relay_handle *handle = instance->ending ? NULL : calloc(1, sizeof *handle);
  if (!handle) return make_error(env, ENOMEM);
  handle->instance = instance;
  handle->async.data = handle;
  if (napi_create_reference(env, argv[3], 1, &handle->callback) != napi_ok) {
    free(handle);
    return make_error(env, EINVAL);
  }
  handle->relay = relay_create(threads, buffer_size, pending_limit, notify, handle);
  if (!handle->relay) {
    const int error = errno;
    napi_delete_reference(env, handle->callback);
    free(handle);
    return make_error(env, error);
  }
  /* The threads say nothing before they are asked for something, so the order is safe. */
  const int error = uv_async_init(instance->loop, &handle->async, on_async);
  if (error) {
    relay_stop(handle->relay);
    relay_wait(handle->relay);
    relay_destroy(handle->relay);
    napi_delete_reference(env, handle->callback);
    free(handle);
    return make_int(env, error);
  }
  handle->async.data = handle;
  uv_unref((uv_handle_t *)&handle->async);
  handle->next = instance->relays;
  if (instance->relays) instance->relays->prev = handle;
  instance->relays = handle;
  handle->holders = 1;
  if (napi_create_external(env, handle, on_finalize, NULL, &result) != napi_ok) {
    relay_stop(handle->relay);
    end(handle);
    return make_error(env, ENOMEM);
  }
  handle->holders = 2;
  return result;
}

bool get_relay(napi_env env, napi_value value, struct relay_handle **result) {
  void *data;
  if (!get_external(env, value, &data)) return false;
  *result = data;
  if ((*result)->relay) return true;
  napi_throw_error(env, "RELAY_CLOSED", "the relay is closed");
  return false;
}

/* (relay, hold): whether it keeps the process alive */
static napi_value relayRef(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  struct relay_handle *handle;
  bool hold;
  if (!get_args(env, info, 2, argv) || !get_relay(env, argv[0], &handle) || !get_bool(env, argv[1], &hold)) return NULL;
  if (hold) uv_ref((uv_handle_t *)&handle->async);
  else uv_unref((uv_handle_t *)&handle->async);
  return make_int(env, 0);
}

/* (relay): cuts everything; the last event is EVENT_STOPPED */
static napi_value relayClose(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  struct relay_handle *handle;
  if (!get_args(env, info, 1, argv) || !get_relay(env, argv[0], &handle)) return NULL;
  relay_stop(handle->relay);
  return make_int(env, 0);
}

bool export_relay(napi_env env, napi_value exports) {
  const napi_property_descriptor all[] = {
      EXPORT(relayCreate),
      EXPORT(relayRef),
      EXPORT(relayClose),
  };
  return napi_define_properties(env, exports, sizeof all / sizeof *all, all) == napi_ok;
}
