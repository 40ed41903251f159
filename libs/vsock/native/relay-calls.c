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

static void on_group_finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  group_release(data);
}

/* (relay, [maxConnections, intervalNs, burst, pendingLimit], [bytes per second of routes, of egress; 0 = no rate]) → group handle */
static napi_value relayGroup(napi_env env, napi_callback_info info) {
  napi_value argv[3], result;
  struct relay_handle *handle;
  uint32_t bounds[4];
  double rates[2];
  if (!get_args(env, info, 3, argv) || !get_relay(env, argv[0], &handle) || !get_u32s(env, argv[1], 4, bounds)) return NULL;
  for (uint32_t i = 0; i < 2; i++) {
    napi_value item;
    if (napi_get_element(env, argv[2], i, &item) != napi_ok || napi_get_value_double(env, item, &rates[i]) != napi_ok ||
        !(rates[i] >= 0 && rates[i] <= 1e12))
      return make_error(env, EINVAL);
  }
  const uint32_t threads = handle->relay->thread_count;
  struct group *group = group_create(threads);
  if (!group) return make_error(env, ENOMEM);
  group->max_connections = bounds[0];
  group->pace.interval_ns = bounds[1];
  group->pace.ahead_ns = bounds[2] > 0 ? (uint64_t)(bounds[2] - 1) * bounds[1] : 0;
  group->pending_limit = bounds[3];
  for (uint32_t i = 0; i < threads * 2; i++) {
    const uint64_t rate = (uint64_t)rates[i % 2];
    group->shares[i / 2].flows[i % 2].meter.rate = rate > threads ? rate / threads : rate;
  }
  if (napi_create_external(env, group, on_group_finalize, NULL, &result) == napi_ok) return result;
  group_release(group);
  return make_error(env, ENOMEM);
}

/* The group behind a handle, or that of all others; it gets one reference more. */
static struct group *get_group(napi_env env, napi_value value, struct relay *relay) {
  void *data = relay->group;
  if (!is_nullish(env, value) && !get_external(env, value, &data)) return NULL;
  struct group *group = data;
  atomic_fetch_add(&group->references, 1);
  return group;
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
  route->pace.interval_ns = bounds[3];
  route->pace.ahead_ns = bounds[4] > 0 ? (uint64_t)(bounds[4] - 1) * bounds[3] : 0;
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

/* (group, Float64Array of 9): active, accepted, refused, rateLimited, failedConnects; bytesIn, bytesOut of routes, of egress */
static napi_value groupStats(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  void *data, *out;
  size_t count;
  napi_typedarray_type type;
  if (!get_args(env, info, 2, argv) || !get_external(env, argv[0], &data)) return NULL;
  if (napi_get_typedarray_info(env, argv[1], &type, &count, &out, NULL, NULL) != napi_ok ||
      type != napi_float64_array || count < 9)
    return make_error(env, EINVAL);
  struct group *group = data;
  double *words = out;
  words[0] = atomic_load(&group->active);
  words[1] = (double)atomic_load(&group->accepted);
  words[2] = (double)atomic_load(&group->refused);
  words[3] = (double)atomic_load(&group->rate_limited);
  words[4] = (double)atomic_load(&group->failed_connects);
  for (int i = 0; i < 4; i++) words[5 + i] = (double)atomic_load(&group->bytes[i / 2][i % 2]);
  return make_int(env, 0);
}

/* (route) → the descriptor it listens at, which stays its own */
static napi_value routeDescriptor(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  void *data;
  if (!get_args(env, info, 1, argv) || !get_external(env, argv[0], &data)) return NULL;
  return make_int(env, ((const struct route *)data)->fd);
}

/* (group) → `enum admission`: one more that JavaScript serves, until groupLeave */
static napi_value groupAdmit(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  void *data;
  if (!get_args(env, info, 1, argv) || !get_external(env, argv[0], &data)) return NULL;
  return make_int(env, group_admit(data));
}

static napi_value groupLeave(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  void *data;
  if (!get_args(env, info, 1, argv) || !get_external(env, argv[0], &data)) return NULL;
  struct group *group = data;
  atomic_fetch_sub(&group->active, 1);
  return make_int(env, 0);
}

/* (group, bytesIn, bytesOut): what JavaScript has passed on */
static napi_value groupPassed(napi_env env, napi_callback_info info) {
  napi_value argv[3];
  void *data;
  uint32_t bytes[2];
  if (!get_args(env, info, 3, argv) || !get_external(env, argv[0], &data) || !get_u32(env, argv[1], &bytes[0]) ||
      !get_u32(env, argv[2], &bytes[1]))
    return NULL;
  struct group *group = data;
  for (int i = 0; i < 2; i++) atomic_fetch_add(&group->bytes[0][i], bytes[i]);
  return make_int(env, 0);
}

/* (route, Float64Array of 10): active, accepted, refused, rateLimited, undecided, failedConnects, acceptErrors, bytesIn, bytesOut, errno of the last error of accept */
static napi_value routeStats(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  void *data, *out;
  size_t count;
  napi_typedarray_type type;
  if (!get_args(env, info, 2, argv) || !get_external(env, argv[0], &data)) return NULL;
  if (napi_get_typedarray_info(env, argv[1], &type, &count, &out, NULL, NULL) != napi_ok ||
      type != napi_float64_array || count < 10)
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
  words[9] = atomic_load(&route->accept_error);
  return make_int(env, 0);
}

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

/* (relay, id, a, b, idleMs, group or null, egress) → join handle; descriptors are duplicated, the caller keeps its own */
static napi_value relayJoin(napi_env env, napi_callback_info info) {
  napi_value argv[7], result;
  struct relay_handle *handle;
  uint32_t id, idle_ms;
  bool egress;
  if (!get_args(env, info, 7, argv) || !get_relay(env, argv[0], &handle) || !get_u32(env, argv[1], &id) ||
      !get_u32(env, argv[4], &idle_ms) || !get_bool(env, argv[6], &egress))
    return NULL;
  struct join *join = calloc(1, sizeof *join);
  if (!join) return make_error(env, ENOMEM);
  atomic_init(&join->references, 1);
  join->fd[0] = join->fd[1] = -1;
  join->idle_ms = idle_ms;
  join->egress = egress;
  join->connected.type = EVENT_JOIN_CONNECTED;
  join->done.type = EVENT_JOIN_DONE;
  join->connected.id = join->done.id = id;
  join->group = get_group(env, argv[5], handle->relay);
  int error = join->group ? get_side(env, argv[2], join, 0) : -1;
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
      EXPORT(relayGroup), EXPORT(groupStats), EXPORT(groupAdmit), EXPORT(groupLeave), EXPORT(groupPassed), EXPORT(relayListen), EXPORT(routeAddress), EXPORT(routeRetarget), EXPORT(routeDescriptor),
      EXPORT(routeStats),      EXPORT(routeClose),  EXPORT(relayJoin),    EXPORT(joinCancel),
  };
  return napi_define_properties(env, exports, sizeof all / sizeof *all, all) == napi_ok;
}
