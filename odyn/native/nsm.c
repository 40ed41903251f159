/* Requests to the Nitro Secure Module. The driver takes one at a time and may take long: each waits on a thread of Node's pool. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "addon.h"
#include "nsm-device.h"

struct call {
  napi_async_work work;
  napi_deferred deferred;
  int fd;
  int error;
  uint64_t used;
  size_t length;
  uint8_t request[NSM_REQUEST_MAX];
  uint8_t response[NSM_RESPONSE_MAX];
};

static void execute(napi_env env, void *data) {
  (void)env;
  struct call *call = data;
  struct nsm_raw raw = {
      .request_address = (uint64_t)(uintptr_t)call->request,
      .request_length = call->length,
      .response_address = (uint64_t)(uintptr_t)call->response,
      .response_length = NSM_RESPONSE_MAX,
  };
  if (ioctl(call->fd, NSM_IOCTL_RAW, &raw) < 0) call->error = errno;
  else if (raw.response_length > NSM_RESPONSE_MAX) call->error = EMSGSIZE;
  else call->used = raw.response_length;
}

static void complete(napi_env env, napi_status status, void *data) {
  struct call *call = data;
  napi_value result = NULL;
  if (status != napi_ok) result = make_error(env, ECANCELED);
  else if (call->error) result = make_error(env, call->error);
  else if (napi_create_buffer_copy(env, (size_t)call->used, call->response, NULL, &result) != napi_ok)
    result = make_error(env, ENOMEM);
  napi_resolve_deferred(env, call->deferred, result);
  napi_delete_async_work(env, call->work);
  free(call);
}

/* (fd, request of up to 4096 bytes) → promise of the answer, or of -errno */
static napi_value nsmRequest(napi_env env, napi_callback_info info) {
  napi_value argv[2], name, promise;
  uint8_t *request;
  size_t length;
  int fd;
  if (!get_args(env, info, 2, argv) || !get_fd(env, argv[0], &fd) || !get_bytes(env, argv[1], &request, &length))
    return NULL;
  if (length > NSM_REQUEST_MAX) {
    wrong_argument(env, "a request of at most 4096 bytes is needed");
    return NULL;
  }
  struct call *call = calloc(1, sizeof *call);
  if (!call) {
    napi_throw_error(env, "ENOMEM", "no memory for a request to the NSM");
    return NULL;
  }
  call->fd = fd;
  call->length = length;
  if (length > 0) memcpy(call->request, request, length); /* no bytes may be at no address */
  if (napi_create_string_utf8(env, "nsmRequest", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_async_work(env, NULL, name, execute, complete, call, &call->work) != napi_ok) {
    free(call);
    napi_throw_error(env, "ERR_ADDON", "a request to the NSM could not be set up");
    return NULL;
  }
  if (napi_create_promise(env, &call->deferred, &promise) != napi_ok ||
      napi_queue_async_work(env, call->work) != napi_ok) {
    napi_delete_async_work(env, call->work);
    free(call);
    napi_throw_error(env, "ERR_ADDON", "a request to the NSM could not be queued");
    return NULL;
  }
  return promise;
}

bool export_nsm(napi_env env, napi_value exports) {
  const napi_property_descriptor all[] = {EXPORT(nsmRequest)};
  return napi_define_properties(env, exports, sizeof all / sizeof *all, all) == napi_ok;
}
