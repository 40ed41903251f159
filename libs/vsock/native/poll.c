/* A descriptor in Node's event loop: it is closed with its watcher, and at the latest with the environment. */
#include "addon.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct poll {
  uv_poll_t handle;
  struct instance *instance;
  struct poll *prev, *next;
  napi_ref callback;
  int fd;
  int holders; /* the loop and the JavaScript handle */
  bool closing;
};

static void release(struct poll *poll) {
  if (--poll->holders == 0) free(poll);
}

static void on_finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  release(data);
}

static void on_close(uv_handle_t *handle) {
  struct poll *poll = handle->data;
  instance_closed(poll->instance);
  release(poll);
}

static void on_events(uv_poll_t *handle, int status, int events) {
  struct poll *poll = handle->data;
  napi_env env = poll->instance->env;
  napi_handle_scope scope;
  if (poll->closing || napi_open_handle_scope(env, &scope) != napi_ok) return;
  const napi_value argv[1] = {make_int(env, status < 0 ? -1 : events)};
  call_back(env, poll->callback, 1, argv);
  napi_close_handle_scope(env, scope);
}

static void end(struct poll *poll) {
  struct instance *instance = poll->instance;
  if (poll->closing) return;
  poll->closing = true;
  if (poll->prev) poll->prev->next = poll->next;
  else instance->polls = poll->next;
  if (poll->next) poll->next->prev = poll->prev;
  napi_delete_reference(instance->env, poll->callback);
  instance->closing++;
  uv_close((uv_handle_t *)&poll->handle, on_close); /* takes the descriptor out of the loop's set at once */
  close(poll->fd);
}

void polls_end(struct instance *instance) {
  while (instance->polls) end(instance->polls);
}

/* (fd, callback(events, or -1: an error is pending and the watcher stopped)) → handle, which owns the descriptor from here on; on failure the descriptor is closed */
static napi_value pollCreate(napi_env env, napi_callback_info info) {
  napi_value argv[2], result;
  int fd;
  struct instance *instance = instance_of(env);
  if (!get_args(env, info, 2, argv) || !get_fd(env, argv[0], &fd)) return NULL;
  struct poll *poll = instance->ending ? NULL : calloc(1, sizeof *poll);
  if (!poll) {
    close(fd);
    return make_error(env, ENOMEM);
  }
  poll->instance = instance;
  poll->fd = fd;
  const int error = uv_poll_init(instance->loop, &poll->handle, fd);
  if (error) {
    close(fd);
    free(poll);
    return make_int(env, error);
  }
  poll->handle.data = poll;
  poll->holders = 1;
  poll->next = instance->polls;
  if (instance->polls) instance->polls->prev = poll;
  instance->polls = poll;
  if (napi_create_reference(env, argv[1], 1, &poll->callback) != napi_ok ||
      napi_create_external(env, poll, on_finalize, NULL, &result) != napi_ok) {
    end(poll);
    return make_error(env, EINVAL);
  }
  poll->holders = 2;
  return result;
}

/* (handle, events): 0 stops → 0 */
static napi_value pollSet(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  void *data;
  uint32_t events;
  if (!get_args(env, info, 2, argv) || !get_external(env, argv[0], &data) || !get_u32(env, argv[1], &events)) return NULL;
  struct poll *poll = data;
  if (poll->closing) return make_error(env, EBADF);
  if (events == 0) return make_int(env, uv_poll_stop(&poll->handle));
  return make_int(env, uv_poll_start(&poll->handle, (int)events, on_events));
}

/* (handle, hold): whether it keeps the process alive */
static napi_value pollRef(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  void *data;
  bool hold;
  if (!get_args(env, info, 2, argv) || !get_external(env, argv[0], &data) || !get_bool(env, argv[1], &hold)) return NULL;
  struct poll *poll = data;
  if (poll->closing) return make_error(env, EBADF);
  if (hold) uv_ref((uv_handle_t *)&poll->handle);
  else uv_unref((uv_handle_t *)&poll->handle);
  return make_int(env, 0);
}

/* (handle): closes it and its descriptor; again is harmless */
static napi_value pollClose(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  void *data;
  if (!get_args(env, info, 1, argv) || !get_external(env, argv[0], &data)) return NULL;
  end(data);
  return make_int(env, 0);
}

bool export_poll(napi_env env, napi_value exports) {
  const napi_property_descriptor all[] = {EXPORT(pollCreate), EXPORT(pollSet), EXPORT(pollRef), EXPORT(pollClose)};
  return napi_define_properties(env, exports, sizeof all / sizeof *all, all) == napi_ok;
}
