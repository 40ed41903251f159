/* What the Node-API side of the addon shares. Failures of system calls come back to JavaScript as -errno. */
#ifndef ENCLAVER_ADDON_H
#define ENCLAVER_ADDON_H

#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

struct poll;
struct relay_handle;

/* One per Node environment: everything that must be gone before the environment is. */
struct instance {
  napi_env env;
  uv_loop_t *loop;
  napi_async_cleanup_hook_handle hook;
  struct poll *polls;
  struct relay_handle *relays;
  uint32_t closing; /* uv handles whose close callback is still to come */
  bool ending;
};

struct instance *instance_of(napi_env env);
void instance_closed(struct instance *instance); /* from a close callback */
/* Tells Node that the environment may go, once it ends and nothing is open. */
void instance_finish(struct instance *instance);

/* Calls into JavaScript from a loop callback; what it throws becomes an uncaught exception. */
void call_back(napi_env env, napi_ref callback, size_t argc, const napi_value *argv);

/* Arguments; a wrong one throws a TypeError and gives false. */
bool get_args(napi_env env, napi_callback_info info, size_t count, napi_value *argv);
bool get_u32(napi_env env, napi_value value, uint32_t *result);
bool get_fd(napi_env env, napi_value value, int *result);
bool get_bool(napi_env env, napi_value value, bool *result);
bool get_bytes(napi_env env, napi_value value, uint8_t **data, size_t *length);
bool get_address(napi_env env, napi_value value, struct sockaddr_storage *address, socklen_t *length);
bool get_external(napi_env env, napi_value value, void **result);
bool is_nullish(napi_env env, napi_value value);
napi_value make_int(napi_env env, int64_t value);
napi_value make_error(napi_env env, int error);

int open_listener(const struct sockaddr_storage *address, socklen_t length, int backlog, bool reuse_port);

void polls_end(struct instance *instance);
void relays_end(struct instance *instance);
bool export_sockets(napi_env env, napi_value exports);
bool export_poll(napi_env env, napi_value exports);
bool export_relay(napi_env env, napi_value exports);

#define EXPORT(name) {#name, NULL, name, NULL, NULL, NULL, napi_enumerable, NULL}

#endif
