/* Routes and pairs of a relay, as JavaScript asks for them. */
#define _GNU_SOURCE
#include "relay-handle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

static void on_route_finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  route_release(data);
}

static void on_join_finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  join_release(data);
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

/* [address, connectPort or null, hybrid] */
static bool get_endpoint(napi_env env, napi_value value, struct endpoint *to) {
  napi_value item;
  bool hybrid;
  if (napi_get_element(env, value, 0, &item) != napi_ok || !get_address(env, item, &to->address, &to->length)) return false;
  if (napi_get_element(env, value, 1, &item) != napi_ok) return false;
  to->handshake = !is_nullish(env, item);
  if (to->handshake && !get_u32(env, item, &to->connect_port)) return false;
  if (napi_get_element(env, value, 2, &item) != napi_ok || !get_bool(env, item, &hybrid)) return false;
  to->hybrid = hybrid;
  return true;
}

static bool route_listen(struct route *route, const struct sockaddr_storage *address, socklen_t length, uint32_t backlog,
                         bool reuse_port) {
  route->fd = open_listener(address, length, (int)backlog, reuse_port);
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

/* (relay, id, address, backlog, reusePort, hybrid, peers, target, maxConnections, connectMs, idleMs, proxyHeader, intervalNs, burst, screenBytes, screenMs) → route handle */
static napi_value relayListen(napi_env env, napi_callback_info info) {
  napi_value argv[16], result;
  struct relay_handle *handle;
  struct sockaddr_storage address;
  socklen_t length;
  uint32_t id, backlog, burst;
  bool reuse_port, hybrid;
  if (!get_args(env, info, 16, argv) || !get_relay(env, argv[0], &handle) || !get_u32(env, argv[1], &id) ||
      !get_address(env, argv[2], &address, &length) || !get_u32(env, argv[3], &backlog) ||
      !get_bool(env, argv[4], &reuse_port) || !get_bool(env, argv[5], &hybrid))
    return NULL;
  const uint32_t threads = handle->relay->thread_count;
  struct route *route = calloc(1, sizeof *route + threads * sizeof route->lanes[0]);
  if (!route) return make_error(env, ENOMEM);
  atomic_init(&route->references, 1);
  route->fd = -1;
  route->relay = handle->relay;
  route->hybrid = hybrid;
  route->closed.type = EVENT_ROUTE_CLOSED;
  route->closed.id = id;
  if (!get_peers(env, argv[6], route) || !get_endpoint(env, argv[7], &route->target) ||
      !get_u32(env, argv[8], &route->max_connections) || !get_u32(env, argv[9], &route->connect_ms) ||
      !get_u32(env, argv[10], &route->idle_ms) || !get_bool(env, argv[11], &route->proxy_header) ||
      !get_u32(env, argv[12], &route->interval_ns) || !get_u32(env, argv[13], &burst) ||
      !get_u32(env, argv[14], &route->screen_bytes) || !get_u32(env, argv[15], &route->screen_ms)) {
    route_release(route);
    return NULL;
  }
  route->ahead_ns = burst > 0 ? (uint64_t)(burst - 1) * route->interval_ns : 0;
  if (!route_listen(route, &address, length, backlog, reuse_port)) {
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
    while (!post_command(&handle->relay->threads[i], &command)) usleep(1000); /* half a route must not stay behind */
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

/* (route, Float64Array of 9): active, accepted, refused, rateLimited, undecided, failedConnects, acceptErrors, bytesIn, bytesOut */
static napi_value routeStats(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  void *data, *out;
  size_t count;
  napi_typedarray_type type;
  if (!get_args(env, info, 2, argv) || !get_external(env, argv[0], &data)) return NULL;
  if (napi_get_typedarray_info(env, argv[1], &type, &count, &out, NULL, NULL) != napi_ok ||
      type != napi_float64_array || count < 9)
    return make_error(env, EINVAL);
  struct route *route = data;
  double *words = out;
  words[0] = atomic_load(&route->active);
  words[1] = (double)atomic_load(&route->accepted);
  words[2] = (double)atomic_load(&route->refused);
  words[3] = (double)atomic_load(&route->rate_limited);
  words[4] = (double)atomic_load(&route->undecided);
  words[5] = (double)atomic_load(&route->failed_connects);
  words[6] = (double)atomic_load(&route->accept_errors);
  words[7] = (double)atomic_load(&route->bytes[0]);
  words[8] = (double)atomic_load(&route->bytes[1]);
  return make_int(env, 0);
}

/* (relay, route, drainMs) */
static napi_value routeClose(napi_env env, napi_callback_info info) {
  napi_value argv[3];
  struct relay_handle *handle;
  void *data;
  uint32_t drain_ms;
  if (!get_args(env, info, 3, argv) || !get_relay(env, argv[0], &handle) || !get_external(env, argv[1], &data) ||
      !get_u32(env, argv[2], &drain_ms))
    return NULL;
  struct route *route = data;
  for (uint32_t i = 0; i < handle->relay->thread_count; i++) {
    const struct command command = {.type = COMMAND_ROUTE_CLOSE, {{.lane = &route->lanes[i], .drain_ms = drain_ms}}};
    atomic_fetch_add(&route->references, 1);
    while (!post_command(&handle->relay->threads[i], &command)) usleep(1000);
  }
  return make_int(env, 0);
}

struct pending *copy_head(const uint8_t *data, size_t length) {
  struct pending *head = malloc(sizeof *head + length);
  if (!head) return NULL;
  head->offset = 0;
  head->length = (uint32_t)length;
  memcpy(head->data, data, length);
  return head;
}

/* [fd or null, hybrid, endpoint or null, connectMs, head or null] → 0, an errno, or -1 with an exception */
static int get_side(napi_env env, napi_value value, struct join *join, int which) {
  napi_value items[5];
  int fd = -1;
  for (uint32_t i = 0; i < 5; i++)
    if (napi_get_element(env, value, i, &items[i]) != napi_ok) return EINVAL;
  if (!is_nullish(env, items[0]) && !get_fd(env, items[0], &fd)) return -1;
  if (!get_bool(env, items[1], &join->hybrid[which])) return -1;
  if (fd >= 0) {
    join->fd[which] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (join->fd[which] < 0) return errno;
  } else {
    join->to[which] = calloc(1, sizeof *join->to[which]);
    if (!join->to[which]) return ENOMEM;
    if (!get_endpoint(env, items[2], join->to[which]) || !get_u32(env, items[3], &join->connect_ms[which])) return -1;
  }
  uint8_t *data;
  size_t length;
  if (is_nullish(env, items[4])) return 0;
  if (!get_bytes(env, items[4], &data, &length)) return -1;
  if (length == 0) return 0;
  if (length > UINT32_MAX / 2) return EMSGSIZE;
  join->head[which] = copy_head(data, length);
  return join->head[which] ? 0 : ENOMEM;
}

/* (relay, id, a, b, idleMs) → join handle; descriptors are duplicated, the caller keeps its own */
static napi_value relayJoin(napi_env env, napi_callback_info info) {
  napi_value argv[5], result;
  struct relay_handle *handle;
  uint32_t id, idle_ms;
  if (!get_args(env, info, 5, argv) || !get_relay(env, argv[0], &handle) || !get_u32(env, argv[1], &id) ||
      !get_u32(env, argv[4], &idle_ms))
    return NULL;
  struct join *join = calloc(1, sizeof *join);
  if (!join) return make_error(env, ENOMEM);
  atomic_init(&join->references, 1);
  join->fd[0] = join->fd[1] = -1;
  join->idle_ms = idle_ms;
  join->connected.type = EVENT_JOIN_CONNECTED;
  join->done.type = EVENT_JOIN_DONE;
  join->connected.id = join->done.id = id;
  int error = get_side(env, argv[2], join, 0);
  if (error == 0) error = get_side(env, argv[3], join, 1);
  if (error == 0 && napi_create_external(env, join, on_join_finalize, NULL, &result) != napi_ok) error = ENOMEM;
  if (error != 0) {
    join_release(join);
    return error < 0 ? NULL : make_error(env, error);
  }
  struct relay *relay = handle->relay;
  join->thread = &relay->threads[relay->next_thread++ % relay->thread_count];
  atomic_fetch_add(&join->references, 1); /* for the event of its end */
  const struct command command = {.type = COMMAND_JOIN, {.join = join}};
  if (!post_command(join->thread, &command)) {
    join_release(join);
    return make_error(env, ENOMEM);
  }
  return result;
}

/* (relay, join) */
static napi_value joinCancel(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  struct relay_handle *handle;
  void *data;
  if (!get_args(env, info, 2, argv) || !get_relay(env, argv[0], &handle) || !get_external(env, argv[1], &data)) return NULL;
  struct join *join = data;
  const struct command command = {.type = COMMAND_CANCEL, {.join = join}};
  atomic_fetch_add(&join->references, 1);
  while (!post_command(join->thread, &command)) usleep(1000);
  return make_int(env, 0);
}

bool export_relay_calls(napi_env env, napi_value exports) {
  const napi_property_descriptor all[] = {
      EXPORT(relayListen), EXPORT(routeAddress), EXPORT(routeStats),
      EXPORT(routeClose),  EXPORT(relayJoin),    EXPORT(joinCancel),
  };
  return napi_define_properties(env, exports, sizeof all / sizeof *all, all) == napi_ok;
}
