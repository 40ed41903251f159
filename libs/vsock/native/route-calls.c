/* Routes of a relay, as JavaScript asks for them. */
#define _GNU_SOURCE
#include "relay-handle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static void on_route_finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  route_release(data);
}

static bool get_peers(napi_env env, napi_value value, struct route *route) {
  uint32_t count = 0;
  if (is_nullish(env, value)) return true;
  if (napi_get_array_length(env, value, &count) != napi_ok) return false;
  route->peers = calloc(count ? count : 1, sizeof *route->peers);
  if (!route->peers) return false;
  route->peer_count = count;
  for (uint32_t i = 0; i < count; i++) {
    napi_value item;
    if (napi_get_element(env, value, i, &item) != napi_ok || !get_u32(env, item, &route->peers[i])) return false;
  }
  return true;
}

/* Where a route shall lead; NULL with an exception pending, or without memory. */
static struct lead *get_lead(napi_env env, napi_value target, napi_value group, struct relay *relay) {
  struct lead *lead = calloc(1, sizeof *lead);
  if (!lead) {
    napi_throw_error(env, "ENOMEM", "no memory for a route");
    return NULL;
  }
  if (get_endpoint(env, target, &lead->target) && (lead->group = get_group(env, group, relay))) return lead;
  lead_release(lead);
  return NULL;
}

static bool route_listen(struct route *route, const struct sockaddr_storage *address, socklen_t length, uint32_t backlog,
                         bool reuse_port, int inherited) {
  /* The caller keeps its own descriptor. */
  route->fd = inherited >= 0 ? fcntl(inherited, F_DUPFD_CLOEXEC, 0) : open_listener(address, length, (int)backlog, reuse_port);
  if (route->fd < 0) return false;
  route->family = address->ss_family;
  if (route->family != AF_UNIX) return true;
  struct stat made;
  route->path = strdup(((const struct sockaddr_un *)address)->sun_path);
  if (!route->path || lstat(route->path, &made) < 0) return false;
  route->device = made.st_dev;
  route->inode = made.st_ino;
  return true;
}

/*
 * (relay, id, address, backlog, reusePort, hybrid, peers, target, proxyHeader, reports, group or null, descriptor of a socket that listens already or null,
 * [maxConnections, connectMs, idleMs, intervalNs, burst, screenBytes, screenMs]) → route handle
 */
static napi_value relayListen(napi_env env, napi_callback_info info) {
  napi_value argv[13], result;
  struct relay_handle *handle;
  struct sockaddr_storage address;
  socklen_t length;
  uint32_t id, backlog, bounds[7];
  int inherited = -1;
  bool reuse_port, hybrid;
  if (!get_args(env, info, 13, argv) || !get_relay(env, argv[0], &handle) || !get_u32(env, argv[1], &id) ||
      !get_address(env, argv[2], &address, &length) || !get_u32(env, argv[3], &backlog) ||
      !get_bool(env, argv[4], &reuse_port) || !get_bool(env, argv[5], &hybrid) || !get_u32s(env, argv[12], 7, bounds))
    return NULL;
  if (!is_nullish(env, argv[11]) && !get_fd(env, argv[11], &inherited)) return NULL;
  const uint32_t threads = handle->relay->thread_count;
  struct route *route = calloc(1, sizeof *route + threads * sizeof route->lanes[0]);
  if (!route) return make_error(env, ENOMEM);
  atomic_init(&route->references, 1);
  route->fd = -1;
  route->relay = handle->relay;
  route->hybrid = hybrid;
  route->closed.type = EVENT_ROUTE_CLOSED;
  route->closed.id = id;
  atomic_init(&route->lead, get_lead(env, argv[7], argv[10], handle->relay));
  if (!atomic_load(&route->lead) || !get_peers(env, argv[6], route) || !get_bool(env, argv[8], &route->proxy_header) ||
      !get_bool(env, argv[9], &route->reports)) {
    route_release(route);
    return NULL;
  }
  route->max_connections = bounds[0];
  route->connect_ms = bounds[1];
  route->idle_ms = bounds[2];
  pace_set(&route->pace, bounds[3], bounds[4]);
  route->screen_bytes = bounds[5];
  route->screen_ms = bounds[6];
  if (!route_listen(route, &address, length, backlog, reuse_port, inherited)) {
    const int error = errno;
    route_release(route);
    return make_error(env, error);
  }
  if (napi_create_external(env, route, on_route_finalize, NULL, &result) != napi_ok) {
    route_release(route);
    return make_error(env, ENOMEM);
  }
  /* One for each thread, one for the event of its end. */
  atomic_fetch_add(&route->references, threads + 1);
  atomic_init(&route->listening, threads);
  atomic_init(&route->open, threads);
  for (uint32_t i = 0; i < threads; i++) {
    route->lanes[i].route = route;
    const struct command command = {.type = COMMAND_ROUTE_ADD, {{.lane = &route->lanes[i]}}};
    post_surely(&handle->relay->threads[i], &command); /* half a route must not stay behind */
  }
  return result;
}

/* (route) → sockaddr bytes it is bound to */
static napi_value routeAddress(napi_env env, napi_callback_info info) {
  napi_value argv[1], result = NULL;
  void *data;
  if (!get_args(env, info, 1, argv) || !get_external(env, argv[0], &data)) return NULL;
  const struct route *route = data;
  struct sockaddr_storage address;
  socklen_t length = sizeof address;
  if (getsockname(route->fd, (struct sockaddr *)&address, &length) < 0) return make_error(env, errno);
  napi_create_buffer_copy(env, length, &address, NULL, &result);
  return result;
}

/* (route, target, group or null) → number of this change: new connections go there, and belong to that group, from now on */
static napi_value routeRetarget(napi_env env, napi_callback_info info) {
  napi_value argv[3];
  void *data;
  if (!get_args(env, info, 3, argv) || !get_external(env, argv[0], &data)) return NULL;
  struct route *route = data;
  struct lead *lead = get_lead(env, argv[1], argv[2], route->relay);
  if (!lead) return NULL;
  lead->older = atomic_load(&route->lead);
  lead->number = lead->older->number + 1;
  atomic_store(&route->lead, lead);
  return make_int(env, lead->number);
}

/* (route) → the descriptor it listens at, which stays its own */
static napi_value routeDescriptor(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  void *data;
  if (!get_args(env, info, 1, argv) || !get_external(env, argv[0], &data)) return NULL;
  return make_int(env, ((const struct route *)data)->fd);
}

static void read_route(void *owner, double *words) {
  struct route *route = owner;
  words[0] = atomic_load(&route->active);
  words[1] = (double)atomic_load(&route->accepted);
  words[2] = (double)atomic_load(&route->refused);
  words[3] = (double)atomic_load(&route->rate_limited);
  words[4] = (double)atomic_load(&route->undecided);
  words[5] = (double)atomic_load(&route->failed_connects);
  words[6] = (double)atomic_load(&route->accept_errors);
  words[7] = (double)atomic_load(&route->bytes[0]);
  words[8] = (double)atomic_load(&route->bytes[1]);
  words[9] = atomic_load(&route->accept_error);
}

/* (route, Float64Array of 10): active, accepted, refused, rateLimited, undecided, failedConnects, acceptErrors, bytesIn, bytesOut, errno of the last error of accept */
static napi_value routeStats(napi_env env, napi_callback_info info) { return read_stats(env, info, 10, read_route); }

/* (relay, route, drainMs, shared): shared: another process goes on listening at this very socket, what waits in its queue is its */
static napi_value routeClose(napi_env env, napi_callback_info info) {
  napi_value argv[4];
  bool shared;
  struct relay_handle *handle;
  void *data;
  uint32_t drain_ms;
  if (!get_args(env, info, 4, argv) || !get_relay(env, argv[0], &handle) || !get_external(env, argv[1], &data) ||
      !get_u32(env, argv[2], &drain_ms) || !get_bool(env, argv[3], &shared))
    return NULL;
  struct route *route = data;
  atomic_store(&route->keep_path, shared);
  for (uint32_t i = 0; i < handle->relay->thread_count; i++) {
    const struct command command = {.type = COMMAND_ROUTE_CLOSE, {{.lane = &route->lanes[i], .drain_ms = drain_ms}}};
    atomic_fetch_add(&route->references, 1);
    post_surely(&handle->relay->threads[i], &command);
  }
  return make_int(env, 0);
}

bool export_routes(napi_env env, napi_value exports) {
  const napi_property_descriptor all[] = {
      EXPORT(relayListen),
      EXPORT(routeAddress),
      EXPORT(routeRetarget),
      EXPORT(routeDescriptor),
      EXPORT(routeStats),
      EXPORT(routeClose),
  };
  return napi_define_properties(env, exports, sizeof all / sizeof *all, all) == napi_ok;
}
