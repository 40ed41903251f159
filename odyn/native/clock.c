/* The wall clock: set at once, or led slowly to where it should be. */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <sys/time.h>
#include <time.h>

#include "addon.h"

static bool get_microseconds(napi_env env, napi_value value, int64_t *result) {
  double number;
  /* Whole numbers that a double holds exactly */
  if (napi_get_value_double(env, value, &number) != napi_ok || !(fabs(number) < 9007199254740992.0) ||
      number != (double)(int64_t)number)
    return wrong_argument(env, "a whole number of microseconds is needed");
  *result = (int64_t)number;
  return true;
}

/* (microseconds since 1970) → 0 */
static napi_value clockSet(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  int64_t microseconds;
  if (!get_args(env, info, 1, argv) || !get_microseconds(env, argv[0], &microseconds)) return NULL;
  if (microseconds < 0) return make_error(env, EINVAL);
  const struct timespec time = {.tv_sec = microseconds / 1000000, .tv_nsec = microseconds % 1000000 * 1000};
  return make_error(env, clock_settime(CLOCK_REALTIME, &time) < 0 ? errno : 0);
}

/* (microseconds by which it is to go forward, or back): the kernel gets there at 0.5 ms a second; a later call replaces this one → 0 */
static napi_value clockSlew(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  int64_t microseconds;
  if (!get_args(env, info, 1, argv) || !get_microseconds(env, argv[0], &microseconds)) return NULL;
  const struct timeval delta = {.tv_sec = microseconds / 1000000, .tv_usec = microseconds % 1000000};
  return make_error(env, adjtime(&delta, NULL) < 0 ? errno : 0);
}

bool export_clock(napi_env env, napi_value exports) {
  const napi_property_descriptor all[] = {EXPORT(clockSet), EXPORT(clockSlew)};
  return napi_define_properties(env, exports, sizeof all / sizeof *all, all) == napi_ok;
}
