/* The relay as JavaScript sees it: handles, commands in, batches of events out. */
#define _GNU_SOURCE
#include "relay-handle.h"

#include <errno.h>
#include <stdlib.h>

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

static void drop_references(napi_env env, struct relay_handle *handle) {
  if (handle->callback) napi_delete_reference(env, handle->callback);
  if (handle->words_owner) napi_delete_reference(env, handle->words_owner);
}

/* Once its threads have been told to stop. */
static void end(struct relay_handle *handle) {
  struct instance *instance = handle->instance;
  if (handle->closing) return;
  handle->closing = true;
  relay_wait(handle->relay);
  for (struct event *event = relay_take_events(handle->relay), *next; event; event = next) {
    next = event->next;
    release_event(handle, event);
  }
  relay_destroy(handle->relay);
  handle->relay = NULL;
  free(handle->joins);
  handle->joins = NULL;
  handle->joins_length = 0;
  if (handle->prev) handle->prev->next = handle->next;
  else instance->relays = handle->next;
  if (handle->next) handle->next->prev = handle->prev;
  drop_references(instance->env, handle);
  instance->closing++;
  uv_close((uv_handle_t *)&handle->async, on_close);
}

void relays_end(struct instance *instance) {
  while (instance->relays) {
    relay_stop(instance->relays->relay);
    end(instance->relays);
  }
}

static void on_async(uv_async_t *async) {
  struct relay_handle *handle = async->data;
  napi_handle_scope scope;
  if (handle->closing || napi_open_handle_scope(handle->instance->env, &scope) != napi_ok) return;
  handle->holders++;
  struct event *event = relay_take_events(handle->relay), *next;
  while (event && !handle->closing) event = call_events(handle, event);
  for (; event; event = next) {
    next = event->next;
    release_event(handle, event);
  }
  if (handle->stopped) end(handle);
  napi_close_handle_scope(handle->instance->env, scope);
  release(handle);
}

/* (threads, bufferSize, pendingLimit, Float64Array for EVENTS_PER_CALL events, callback(count of events, firsts, reports)) → handle */
static napi_value relayCreate(napi_env env, napi_callback_info info) {
  napi_value argv[5], result;
  void *words;
  uint32_t threads, buffer_size, pending_limit;
  struct instance *instance = instance_of(env);
  if (!get_args(env, info, 5, argv) || !get_u32(env, argv[0], &threads) || !get_u32(env, argv[1], &buffer_size) ||
      !get_u32(env, argv[2], &pending_limit))
    return NULL;
  if (!get_array(env, argv[3], napi_float64_array, EVENTS_PER_CALL * EVENT_WORDS, &words)) return make_error(env, EINVAL);
  struct relay_handle *handle = instance->ending ? NULL : calloc(1, sizeof *handle);
  if (!handle) return make_error(env, ENOMEM);
  handle->instance = instance;
  handle->async.data = handle;
  handle->words = words;
  if (napi_create_reference(env, argv[3], 1, &handle->words_owner) != napi_ok ||
      napi_create_reference(env, argv[4], 1, &handle->callback) != napi_ok) {
    drop_references(env, handle);
    free(handle);
    return make_error(env, EINVAL);
  }
  handle->relay = relay_create(threads, buffer_size, pending_limit, notify, handle);
  if (!handle->relay) {
    const int error = errno;
    drop_references(env, handle);
    free(handle);
    return make_error(env, error);
  }
  /* The threads say nothing before they are asked for something, so the order is safe. */
  const int error = uv_async_init(instance->loop, &handle->async, on_async);
  if (error) {
    relay_stop(handle->relay);
    relay_wait(handle->relay);
    relay_destroy(handle->relay);
    drop_references(env, handle);
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
