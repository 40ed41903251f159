/* The module: what it exports, and its orderly teardown. */
#include <stdlib.h>

#include "addon.h"
#include "relay-handle.h"

static void on_teardown(napi_async_cleanup_hook_handle hook, void *data) {
  struct instance *instance = data;
  instance->hook = hook;
  instance->ending = true;
  polls_end(instance);
  relays_end(instance);
  instance_finish(instance);
}

static void free_instance(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  free(data);
}

NAPI_MODULE_INIT() {
  struct instance *instance = calloc(1, sizeof *instance);
  if (!instance) {
    napi_throw_error(env, "ENOMEM", "no memory for the vsock addon");
    return NULL;
  }
  instance->env = env;
  if (napi_get_uv_event_loop(env, &instance->loop) != napi_ok ||
      napi_set_instance_data(env, instance, free_instance, NULL) != napi_ok) {
    free(instance);
    napi_throw_error(env, "ERR_ADDON", "this Node has no event loop for the vsock addon");
    return NULL;
  }
  if (napi_add_async_cleanup_hook(env, on_teardown, instance, &instance->hook) != napi_ok ||
      !export_sockets(env, exports) || !export_poll(env, exports) || !export_relay(env, exports) ||
      !export_groups(env, exports) || !export_routes(env, exports) || !export_joins(env, exports) ||
      !export_channel(env, exports)) {
    napi_throw_error(env, "ERR_ADDON", "the vsock addon could not set itself up");
    return NULL;
  }
  return exports;
}
