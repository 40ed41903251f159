/* Groups of a relay, as JavaScript asks for them. */
#define _GNU_SOURCE
#include "relay-handle.h"

#include <errno.h>

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
  pace_set(&group->pace, bounds[1], bounds[2]);
  group->pending_limit = bounds[3];
  for (uint32_t i = 0; i < threads * 2; i++) {
    const uint64_t rate = (uint64_t)rates[i % 2];
    group->shares[i / 2].flows[i % 2].meter.rate = rate > threads ? rate / threads : rate;
  }
  if (napi_create_external(env, group, on_group_finalize, NULL, &result) == napi_ok) return result;
  group_release(group);
  return make_error(env, ENOMEM);
}

static void read_group(void *owner, double *words) {
  struct group *group = owner;
  words[0] = atomic_load(&group->active);
  words[1] = (double)atomic_load(&group->accepted);
  words[2] = (double)atomic_load(&group->refused);
  words[3] = (double)atomic_load(&group->rate_limited);
  words[4] = (double)atomic_load(&group->failed_connects);
  for (int i = 0; i < 4; i++) words[5 + i] = (double)atomic_load(&group->bytes[i / 2][i % 2]);
  words[9] = (double)atomic_load(&group->busy_ns);
}

/* (group, Float64Array of 10): active, accepted, refused, rateLimited, failedConnects; bytesIn, bytesOut of routes, of egress; busy, ns */
static napi_value groupStats(napi_env env, napi_callback_info info) { return read_stats(env, info, 10, read_group); }

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

struct group *get_group(napi_env env, napi_value value, struct relay *relay) {
  void *data = relay->group;
  if (!is_nullish(env, value) && !get_external(env, value, &data)) return NULL;
  struct group *group = data;
  atomic_fetch_add(&group->references, 1);
  return group;
}

bool export_groups(napi_env env, napi_value exports) {
  const napi_property_descriptor all[] = {
      EXPORT(relayGroup),
      EXPORT(groupStats),
      EXPORT(groupAdmit),
      EXPORT(groupLeave),
      EXPORT(groupPassed),
  };
  return napi_define_properties(env, exports, sizeof all / sizeof *all, all) == napi_ok;
}
