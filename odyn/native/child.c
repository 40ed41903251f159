/* The end of a child that Node did not start, with everything the kernel tells: Node knows no real-time signals. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "addon.h"

struct watch {
  uv_poll_t handle;
  napi_env env;
  napi_ref callback;
  pid_t pid;
  int fd;
};

static void on_close(uv_handle_t *handle) {
  struct watch *watch = handle->data;
  close(watch->fd);
  free(watch);
}

/* The descriptor of a process can be read once it has ended. */
static void on_end(uv_poll_t *handle, int status, int events) {
  (void)status;
  (void)events;
  struct watch *watch = handle->data;
  napi_env env = watch->env;
  siginfo_t info = {0};
  napi_handle_scope scope;
  if (waitid(P_PID, (id_t)watch->pid, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0) return;
  uv_poll_stop(handle);
  if (napi_open_handle_scope(env, &scope) == napi_ok) {
    const bool exited = info.si_code == CLD_EXITED;
    const napi_value argv[2] = {make_int(env, exited ? info.si_status : -1), make_int(env, exited ? 0 : info.si_status)};
    call_back(env, watch->callback, 2, argv);
    napi_close_handle_scope(env, scope);
  }
  napi_delete_reference(env, watch->callback);
  uv_close((uv_handle_t *)handle, on_close);
}

/* (process id of a child, callback(exit code or -1, signal or 0)): called once, and keeps the process alive until then → 0 */
static napi_value childWatch(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  siginfo_t known = {0};
  uint32_t pid;
  uv_loop_t *loop;
  if (!get_args(env, info, 2, argv) || !get_u32(env, argv[0], &pid)) return NULL;
  if (pid == 0 || pid > INT32_MAX) return make_error(env, EINVAL);
  if (waitid(P_PID, pid, &known, WEXITED | WNOHANG | WNOWAIT) < 0) return make_error(env, errno);
  struct watch *watch = calloc(1, sizeof *watch);
  if (!watch) return make_error(env, ENOMEM);
  watch->env = env;
  watch->pid = (pid_t)pid;
  watch->handle.data = watch;
  watch->fd = (int)syscall(SYS_pidfd_open, watch->pid, 0);
  int error = watch->fd < 0 ? errno : 0;
  if (!error && napi_get_uv_event_loop(env, &loop) != napi_ok) error = EINVAL;
  if (!error) error = -uv_poll_init(loop, &watch->handle, watch->fd);
  if (error) {
    if (watch->fd >= 0) close(watch->fd);
    free(watch);
    return make_error(env, error);
  }
  if (napi_create_reference(env, argv[1], 1, &watch->callback) != napi_ok) error = EINVAL;
  else error = -uv_poll_start(&watch->handle, UV_READABLE, on_end);
  if (error) uv_close((uv_handle_t *)&watch->handle, on_close);
  return make_error(env, error);
}

bool export_child(napi_env env, napi_value exports) {
  const napi_property_descriptor all[] = {EXPORT(childWatch)};
  return napi_define_properties(env, exports, sizeof all / sizeof *all, all) == napi_ok;
}
