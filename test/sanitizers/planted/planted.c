/* Faults on purpose: a run that does not report them would not report ours. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "values.h"

/* (bytes): reads one more than there is room for → the byte */
static napi_value overread(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  uint32_t size;
  if (!get_args(env, info, 1, argv) || !get_u32(env, argv[0], &size)) return NULL;
  unsigned char *bytes = calloc(size, 1);
  const int byte = ((volatile unsigned char *)bytes)[size];
  free(bytes);
  return make_int(env, byte);
}

/* (number): its double, in an int that may not hold it */
static napi_value twice(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  int number;
  if (!get_args(env, info, 1, argv) || !get_fd(env, argv[0], &number)) return NULL;
  return make_int(env, number + number);
}

/* (bytes): takes memory that nobody gives back → 0 */
static napi_value leak(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  uint32_t size;
  if (!get_args(env, info, 1, argv) || !get_u32(env, argv[0], &size)) return NULL;
  return make_int(env, ((volatile unsigned char *)calloc(size, 1))[0]);
}

static int counted;

static void *count(void *unused) {
  for (int i = 0; i < 1000; i++) counted++;
  return unused;
}

/* (): two threads count up one number, and nothing holds one while the other does → the number */
static napi_value race(napi_env env, napi_callback_info info) {
  pthread_t other;
  (void)info;
  if (pthread_create(&other, NULL, count, NULL)) return NULL;
  count(NULL);
  pthread_join(other, NULL);
  return make_int(env, counted);
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor calls[] = {
      {"overread", NULL, overread, NULL, NULL, NULL, napi_enumerable, NULL},
      {"twice", NULL, twice, NULL, NULL, NULL, napi_enumerable, NULL},
      {"race", NULL, race, NULL, NULL, NULL, napi_enumerable, NULL},
      {"leak", NULL, leak, NULL, NULL, NULL, napi_enumerable, NULL},
  };
  if (napi_define_properties(env, exports, sizeof(calls) / sizeof(calls[0]), calls) != napi_ok) return NULL;
  return exports;
}
