/* JavaScript values in and out, for the native addons of this project. Failures of system calls go to JavaScript as -errno. */
#ifndef ENCLAVER_VALUES_H
#define ENCLAVER_VALUES_H

#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>

/* Calls into JavaScript from a loop callback; what it throws becomes an uncaught exception. */
napi_value call_back(napi_env env, napi_ref callback, size_t argc, const napi_value *argv);

/* Arguments; a wrong one throws a TypeError and gives false. */
bool get_args(napi_env env, napi_callback_info info, size_t count, napi_value *argv);
bool get_u32(napi_env env, napi_value value, uint32_t *result);
/* So many of them from an array. */
bool get_u32s(napi_env env, napi_value value, uint32_t count, uint32_t *result);
bool get_fd(napi_env env, napi_value value, int *result);
bool get_bool(napi_env env, napi_value value, bool *result);
bool get_bytes(napi_env env, napi_value value, uint8_t **data, size_t *length);
/* At least `count` items of an array of that type, to be filled in; false without an exception. */
bool get_array(napi_env env, napi_value value, napi_typedarray_type wanted, size_t count, void **items);
bool get_external(napi_env env, napi_value value, void **result);
bool wrong_argument(napi_env env, const char *what);
bool is_nullish(napi_env env, napi_value value);
napi_value make_int(napi_env env, int64_t value);
napi_value make_error(napi_env env, int error);

#define EXPORT(name) {#name, NULL, name, NULL, NULL, NULL, napi_enumerable, NULL}

#endif
