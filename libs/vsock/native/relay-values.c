/* What several calls of a relay take from JavaScript, or give to it. */
#define _GNU_SOURCE
#include "relay-handle.h"

#include <errno.h>

bool get_endpoint(napi_env env, napi_value value, struct endpoint *to) {
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

napi_value read_stats(napi_env env, napi_callback_info info, size_t count, void (*read)(void *owner, double *words)) {
  napi_value argv[2];
  void *owner, *words;
  if (!get_args(env, info, 2, argv) || !get_external(env, argv[0], &owner)) return NULL;
  if (!get_array(env, argv[1], napi_float64_array, count, &words)) return make_error(env, EINVAL);
  read(owner, words);
  return make_int(env, 0);
}
