/* What the Node-API side of the addon shares. Failures of system calls come back to JavaScript as -errno. */
#ifndef ENCLAVER_ADDON_H
#define ENCLAVER_ADDON_H

#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#include "values.h"

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

bool get_address(napi_env env, napi_value value, struct sockaddr_storage *address, socklen_t *length);

int open_listener(const struct sockaddr_storage *address, socklen_t length, int backlog, bool reuse_port);

void polls_end(struct instance *instance);
void relays_end(struct instance *instance);
bool export_sockets(napi_env env, napi_value exports);
bool export_poll(napi_env env, napi_value exports);
bool export_relay(napi_env env, napi_value exports);
bool export_channel(napi_env env, napi_value exports);

#endif
