/* State of the addon in one Node environment: what is still open when the environment ends. */
#include "addon.h"

struct instance *instance_of(napi_env env) {
  void *data = NULL;
  napi_get_instance_data(env, &data);
  return data;
}

void instance_finish(struct instance *instance) {
  if (!instance->ending || instance->closing > 0 || !instance->hook) return;
  napi_async_cleanup_hook_handle hook = instance->hook;
  instance->hook = NULL;
  napi_remove_async_cleanup_hook(hook);
}

void instance_closed(struct instance *instance) {
  instance->closing--;
  instance_finish(instance);
}
