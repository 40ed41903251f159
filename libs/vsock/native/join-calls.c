/* Pairs of a relay, as JavaScript asks for them. */
#define _GNU_SOURCE
#include "relay-handle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* More than JavaScript lets in. */
#define JOINS_MAX (1u << 20)

/* Numbers are JavaScript's, which counts from 0 and uses them again. */
static bool make_room(struct relay_handle *handle, uint32_t id) {
  if (id < handle->joins_length) return true;
  if (id >= JOINS_MAX) return false;
  uint32_t length = handle->joins_length ? handle->joins_length : 64;
  while (length <= id) length *= 2;
  struct join **joins = realloc(handle->joins, length * sizeof *joins);
  if (!joins) return false;
  memset(joins + handle->joins_length, 0, (length - handle->joins_length) * sizeof *joins);
  handle->joins = joins;
  handle->joins_length = length;
  return true;
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
  join->head[which] = pending_copy(data, length);
  return join->head[which] ? 0 : ENOMEM;
}

/* (relay, id, a, b, idleMs, group or null, egress) → 0; descriptors are duplicated, the caller keeps its own. The id is free again once its end was told. */
static napi_value relayJoin(napi_env env, napi_callback_info info) {
  napi_value argv[7];
  struct relay_handle *handle;
  uint32_t id, idle_ms;
  bool egress;
  if (!get_args(env, info, 7, argv) || !get_relay(env, argv[0], &handle) || !get_u32(env, argv[1], &id) ||
      !get_u32(env, argv[4], &idle_ms) || !get_bool(env, argv[6], &egress))
    return NULL;
  if (!make_room(handle, id)) return make_error(env, ENOMEM);
  if (handle->joins[id]) return make_error(env, EEXIST);
  struct join *join = calloc(1, sizeof *join);
  if (!join) return make_error(env, ENOMEM);
  atomic_init(&join->references, 1); /* until its end is told */
  join->fd[0] = join->fd[1] = -1;
  join->idle_ms = idle_ms;
  join->egress = egress;
  join->connected.type = EVENT_JOIN_CONNECTED;
  join->done.type = EVENT_JOIN_DONE;
  join->connected.id = join->done.id = id;
  join->group = get_group(env, argv[5], handle->relay);
  int error = join->group ? get_side(env, argv[2], join, 0) : -1;
  if (error == 0) error = get_side(env, argv[3], join, 1);
  if (error == 0) {
    struct relay *relay = handle->relay;
    join->thread = &relay->threads[relay->next_thread++ % relay->thread_count];
    handle->joins[id] = join;
    const struct command command = {.type = COMMAND_JOIN, {.join = join}};
    if (post_command(join->thread, &command)) return make_int(env, 0);
    handle->joins[id] = NULL;
    error = ENOMEM;
  }
  join_release(join);
  return error < 0 ? NULL : make_error(env, error);
}

/* (relay, id) → 0; nothing happens when it has ended already */
static napi_value joinCancel(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  struct relay_handle *handle;
  uint32_t id;
  if (!get_args(env, info, 2, argv) || !get_relay(env, argv[0], &handle) || !get_u32(env, argv[1], &id)) return NULL;
  struct join *join = id < handle->joins_length ? handle->joins[id] : NULL;
  if (join) {
    const struct command command = {.type = COMMAND_CANCEL, {.join = join}};
    atomic_fetch_add(&join->references, 1);
    post_surely(join->thread, &command);
  }
  return make_int(env, 0);
}

bool export_joins(napi_env env, napi_value exports) {
  const napi_property_descriptor all[] = {
      EXPORT(relayJoin),
      EXPORT(joinCancel),
  };
  return napi_define_properties(env, exports, sizeof all / sizeof *all, all) == napi_ok;
}
