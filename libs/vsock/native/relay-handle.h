/* A relay as a Node-API handle. */
#ifndef ENCLAVER_RELAY_HANDLE_H
#define ENCLAVER_RELAY_HANDLE_H

#include "addon.h"
#include "relay.h"

/* Of JavaScript's array: for each event type, id, reason, errno, bytes A→B, bytes B→A; and for how many a call has room. */
#define EVENT_WORDS 6
#define EVENTS_PER_CALL 256

struct relay_handle {
  uv_async_t async;
  struct instance *instance;
  struct relay_handle *prev, *next;
  struct relay *relay; /* NULL once its threads have ended */
  napi_ref callback;
  napi_ref words_owner;
  double *words;
  struct join **joins; /* by their numbers, until their ends are told */
  uint32_t joins_length;
  int holders;
  bool stopped; /* JavaScript has heard the last */
  bool closing;
};

/* The handle behind an external, while its threads live; else an exception. */
bool get_relay(napi_env env, napi_value value, struct relay_handle **result);
struct event *call_events(struct relay_handle *handle, struct event *event);
/* The event's owner loses the reference that was held for its delivery. */
void release_event(struct relay_handle *handle, struct event *event);
/* [address, connectPort or null, hybrid] */
bool get_endpoint(napi_env env, napi_value value, struct endpoint *to);
/* The group behind a handle, or that of all others; it gets one reference more. */
struct group *get_group(napi_env env, napi_value value, struct relay *relay);
/* A call (handle, Float64Array of so many words): has `read` fill them in from what is behind the handle. */
napi_value read_stats(napi_env env, napi_callback_info info, size_t count, void (*read)(void *owner, double *words));
bool export_groups(napi_env env, napi_value exports);
bool export_routes(napi_env env, napi_value exports);
bool export_joins(napi_env env, napi_value exports);

#endif
