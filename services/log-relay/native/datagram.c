/*
 * Datagrams to Unix sockets, which Node does not have: what /dev/log and journald's socket take. Nothing blocks; failures come
 * back as -errno.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "values.h"

/* open(path: Uint8Array): descriptor of a socket connected to `path`. */
static napi_value datagram_open(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  uint8_t *path;
  size_t length;
  if (!get_args(env, info, 1, argv) || !get_bytes(env, argv[0], &path, &length)) return NULL;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (length == 0 || length >= sizeof(address.sun_path)) return make_error(env, ENAMETOOLONG);
  memcpy(address.sun_path, path, length);
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return make_error(env, errno);
  if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) return make_int(env, fd);
  const int error = errno;
  close(fd);
  return make_error(env, error);
}

/* send(descriptor, bytes): 0 once the receiver has it in its queue. */
static napi_value datagram_send(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  uint8_t *bytes;
  size_t length;
  int fd;
  if (!get_args(env, info, 2, argv) || !get_fd(env, argv[0], &fd) || !get_bytes(env, argv[1], &bytes, &length))
    return NULL;
  ssize_t sent;
  do sent = send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return make_error(env, sent < 0 ? errno : 0);
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor calls[] = {
      {"open", NULL, datagram_open, NULL, NULL, NULL, napi_enumerable, NULL},
      {"send", NULL, datagram_send, NULL, NULL, NULL, napi_enumerable, NULL},
  };
  if (napi_define_properties(env, exports, sizeof(calls) / sizeof(calls[0]), calls) != napi_ok) return NULL;
  return exports;
}
