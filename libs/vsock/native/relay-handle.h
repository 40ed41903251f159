/* A relay as a Node-API handle. */
#ifndef ENCLAVER_RELAY_HANDLE_H
#define ENCLAVER_RELAY_HANDLE_H

#include "addon.h"
#include "relay.h"

struct relay_handle {
  uv_async_t async;
  struct instance *instance;
  struct relay_handle *prev, *next;
  struct relay *relay; /* NULL once its threads have ended */
  napi_ref callback;
  int holders;
  bool closing;
};

/* The handle behind an external, while its threads live; else an exception. */
bool get_relay(napi_env env, napi_value value, struct relay_handle **result);
/* The bytes of a head, in the form in which a side keeps them; NULL: no memory. */
struct pending *copy_head(const uint8_t *data, size_t length);
bool export_relay_calls(napi_env env, napi_value exports);

#endif
