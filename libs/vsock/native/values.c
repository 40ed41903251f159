/* JavaScript values in and out: arguments that are checked, results, callbacks. */
#include "values.h"

napi_value call_back(napi_env env, napi_ref callback, size_t argc, const napi_value *argv) {
  napi_value function, receiver, error, result = NULL;
  if (napi_get_reference_value(env, callback, &function) != napi_ok || !function) return NULL;
  if (napi_get_global(env, &receiver) != napi_ok) return NULL;
  const napi_status status = napi_make_callback(env, NULL, receiver, function, argc, argv, &result);
  if (status == napi_ok) return result;
  if (status == napi_pending_exception && napi_get_and_clear_last_exception(env, &error) == napi_ok)
    napi_fatal_exception(env, error);
  return NULL;
}

bool wrong_argument(napi_env env, const char *what) {
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", what);
  return false;
}

bool get_args(napi_env env, napi_callback_info info, size_t count, napi_value *argv) {
  size_t given = count;
  if (napi_get_cb_info(env, info, &given, argv, NULL, NULL) != napi_ok || given < count)
    return wrong_argument(env, "too few arguments");
  return true;
}

bool get_u32(napi_env env, napi_value value, uint32_t *result) {
  double number;
  if (napi_get_value_double(env, value, &number) != napi_ok || !(number >= 0 && number <= 4294967295.0) ||
      number != (double)(uint32_t)number)
    return wrong_argument(env, "an unsigned 32-bit integer is needed");
  *result = (uint32_t)number;
  return true;
}

bool get_u32s(napi_env env, napi_value value, uint32_t count, uint32_t *result) {
  for (uint32_t i = 0; i < count; i++) {
    napi_value item;
    if (napi_get_element(env, value, i, &item) != napi_ok) return wrong_argument(env, "an array of numbers is needed");
    if (!get_u32(env, item, &result[i])) return false;
  }
  return true;
}

bool get_fd(napi_env env, napi_value value, int *result) {
  uint32_t number;
  if (!get_u32(env, value, &number)) return false;
  if (number > INT32_MAX) return wrong_argument(env, "a file descriptor is needed");
  *result = (int)number;
  return true;
}

bool get_bool(napi_env env, napi_value value, bool *result) {
  return napi_get_value_bool(env, value, result) == napi_ok || wrong_argument(env, "a boolean is needed");
}

bool get_bytes(napi_env env, napi_value value, uint8_t **data, size_t *length) {
  void *start;
  napi_typedarray_type type;
  if (napi_get_typedarray_info(env, value, &type, length, &start, NULL, NULL) != napi_ok || type != napi_uint8_array)
    return wrong_argument(env, "a Uint8Array is needed");
  *data = start;
  return true;
}

bool get_array(napi_env env, napi_value value, napi_typedarray_type wanted, size_t count, void **items) {
  size_t given;
  napi_typedarray_type type;
  return napi_get_typedarray_info(env, value, &type, &given, items, NULL, NULL) == napi_ok && type == wanted &&
         given >= count;
}

bool get_external(napi_env env, napi_value value, void **result) {
  return napi_get_value_external(env, value, result) == napi_ok || wrong_argument(env, "a handle is needed");
}

bool is_nullish(napi_env env, napi_value value) {
  napi_valuetype type;
  return napi_typeof(env, value, &type) != napi_ok || type == napi_undefined || type == napi_null;
}

napi_value make_int(napi_env env, int64_t value) {
  napi_value result = NULL;
  napi_create_int64(env, value, &result);
  return result;
}

napi_value make_error(napi_env env, int error) { return make_int(env, -(int64_t)error); }
