/* Socket calls on plain descriptors: addresses, connect, listen, accept, recv, send, shutdown. */
#define _GNU_SOURCE
#include "addon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static napi_value make_bytes(napi_env env, const void *data, size_t length) {
  napi_value result = NULL;
  napi_create_buffer_copy(env, length, data, NULL, &result);
  return result;
}

bool get_address(napi_env env, napi_value value, struct sockaddr_storage *address, socklen_t *length) {
  uint8_t *data;
  size_t size;
  if (!get_bytes(env, value, &data, &size)) return false;
  if (size < sizeof(sa_family_t) || size > sizeof *address) return wrong_argument(env, "a socket address is needed");
  memset(address, 0, sizeof *address);
  memcpy(address, data, size);
  *length = (socklen_t)size;
  return true;
}

/* (host, port) → sockaddr bytes */
static napi_value addressInet(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  char host[INET6_ADDRSTRLEN + 1];
  size_t length;
  uint32_t port;
  if (!get_args(env, info, 2, argv) || !get_u32(env, argv[1], &port)) return NULL;
  if (napi_get_value_string_utf8(env, argv[0], host, sizeof host, &length) != napi_ok || port > 65535)
    return make_error(env, EINVAL);
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) return make_bytes(env, &v4, sizeof v4);
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) return make_bytes(env, &v6, sizeof v6);
  return make_error(env, EINVAL);
}

/* (path) → sockaddr bytes */
static napi_value addressUnix(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t length;
  if (!get_args(env, info, 1, argv)) return NULL;
  if (napi_get_value_string_utf8(env, argv[0], NULL, 0, &length) != napi_ok) return make_error(env, EINVAL);
  if (length == 0 || length >= sizeof address.sun_path) return make_error(env, ENAMETOOLONG);
  napi_get_value_string_utf8(env, argv[0], address.sun_path, sizeof address.sun_path, &length);
  return make_bytes(env, &address, offsetof(struct sockaddr_un, sun_path) + length + 1);
}

/* (cid, port, flags) → sockaddr bytes */
static napi_value addressVsock(napi_env env, napi_callback_info info) {
  napi_value argv[3];
  uint32_t cid, port, flags;
  if (!get_args(env, info, 3, argv) || !get_u32(env, argv[0], &cid) || !get_u32(env, argv[1], &port) ||
      !get_u32(env, argv[2], &flags))
    return NULL;
  if (flags > 255) return make_error(env, EINVAL);
  struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_port = port, .svm_cid = cid, .svm_flags = (uint8_t)flags};
  return make_bytes(env, &address, sizeof address);
}

static napi_value localCid(napi_env env, napi_callback_info info) {
  (void)info;
  const int fd = open("/dev/vsock", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return make_error(env, errno);
  uint32_t cid = 0;
  const int error = ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) < 0 ? errno : 0;
  close(fd);
  return error ? make_error(env, error) : make_int(env, cid);
}

/* (address, timeoutMs) → descriptor of a socket whose connect has begun; writable tells it is decided */
static napi_value socketConnect(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  struct sockaddr_storage address;
  socklen_t length;
  uint32_t timeout_ms;
  if (!get_args(env, info, 2, argv) || !get_address(env, argv[0], &address, &length) ||
      !get_u32(env, argv[1], &timeout_ms))
    return NULL;
  const int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return make_error(env, errno);
  if (address.ss_family == AF_VSOCK) {
    const struct timeval limit = {.tv_sec = (time_t)(timeout_ms / 1000 + 1)};
    setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD, &limit, sizeof limit);
  }
  int result;
  do result = connect(fd, (const struct sockaddr *)&address, length);
  while (result < 0 && errno == EINTR);
  if (result == 0 || errno == EINPROGRESS) return make_int(env, fd);
  const int error = errno;
  close(fd);
  return make_error(env, error);
}

int open_listener(const struct sockaddr_storage *address, socklen_t length, int backlog, bool reuse_port) {
  const int on = 1, family = address->ss_family;
  const int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (family == AF_INET || family == AF_INET6) {
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    /* Accepted sockets inherit these two. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  } else if (family == AF_UNIX) {
    const char *path = ((const struct sockaddr_un *)address)->sun_path;
    struct stat found;
    if (lstat(path, &found) == 0 && S_ISSOCK(found.st_mode)) unlink(path);
  }
  if ((!reuse_port || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0) &&
      bind(fd, (const struct sockaddr *)address, length) == 0 && listen(fd, backlog) == 0)
    return fd;
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

/* (address, backlog, descriptor of a socket that listens already or null, reusePort) → descriptor; the caller keeps the one it gave */
static napi_value socketListen(napi_env env, napi_callback_info info) {
  napi_value argv[4];
  int inherited = -1;
  struct sockaddr_storage address;
  socklen_t length;
  uint32_t backlog;
  bool reuse_port;
  if (!get_args(env, info, 4, argv) || !get_address(env, argv[0], &address, &length) ||
      !get_u32(env, argv[1], &backlog) || !get_bool(env, argv[3], &reuse_port))
    return NULL;
  if (!is_nullish(env, argv[2]) && !get_fd(env, argv[2], &inherited)) return NULL;
  const int fd = inherited >= 0 ? fcntl(inherited, F_DUPFD_CLOEXEC, 0) : open_listener(&address, length, (int)backlog, reuse_port);
  return fd < 0 ? make_error(env, errno) : make_int(env, fd);
}

/* (listener, Uint32Array of 1) → descriptor; the peer's CID is put into the array */
static napi_value socketAccept(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  int listener;
  void *peer;
  if (!get_args(env, info, 2, argv) || !get_fd(env, argv[0], &listener)) return NULL;
  if (!get_array(env, argv[1], napi_uint32_array, 1, &peer)) return make_error(env, EINVAL);
  struct sockaddr_storage address = {0};
  socklen_t length = sizeof address;
  const int fd = accept4(listener, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return make_error(env, errno);
  *(uint32_t *)peer = address.ss_family == AF_VSOCK ? ((struct sockaddr_vm *)&address)->svm_cid : VMADDR_CID_ANY;
  return make_int(env, fd);
}

/* (fd, bytes) → number read, 0 at the end */
static napi_value socketRecv(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  int fd;
  uint8_t *data;
  size_t length;
  if (!get_args(env, info, 2, argv) || !get_fd(env, argv[0], &fd) || !get_bytes(env, argv[1], &data, &length)) return NULL;
  ssize_t n;
  do n = recv(fd, data, length, MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  return n < 0 ? make_error(env, errno) : make_int(env, n);
}

/* (fd, bytes) → number taken */
static napi_value socketSend(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  int fd;
  uint8_t *data;
  size_t length;
  if (!get_args(env, info, 2, argv) || !get_fd(env, argv[0], &fd) || !get_bytes(env, argv[1], &data, &length)) return NULL;
  ssize_t n;
  do n = send(fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  return n < 0 ? make_error(env, errno) : make_int(env, n);
}

/* (fd): ends the writing half → 0 */
static napi_value socketShutdown(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  int fd;
  if (!get_args(env, info, 1, argv) || !get_fd(env, argv[0], &fd)) return NULL;
  return shutdown(fd, SHUT_WR) < 0 ? make_error(env, errno) : make_int(env, 0);
}

/* (fd) → 0, or the pending error */
static napi_value socketError(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  int fd, error = 0;
  socklen_t length = sizeof error;
  if (!get_args(env, info, 1, argv) || !get_fd(env, argv[0], &fd)) return NULL;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) error = errno;
  return make_error(env, error);
}

/* () → descriptor of a Unix socket that is connected to nothing, for socketMove */
static napi_value socketPlace(napi_env env, napi_callback_info info) {
  (void)info;
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  return fd < 0 ? make_error(env, errno) : make_int(env, fd);
}

/* (fd, place): the socket of `fd` is that of `place` from now on, and `fd` is closed, whatever comes of it → 0 */
static napi_value socketMove(napi_env env, napi_callback_info info) {
  napi_value argv[2];
  int fd, place;
  if (!get_args(env, info, 2, argv) || !get_fd(env, argv[0], &fd) || !get_fd(env, argv[1], &place)) return NULL;
  int result;
  do result = dup3(fd, place, O_CLOEXEC);
  while (result < 0 && (errno == EINTR || errno == EBUSY));
  const int error = result < 0 ? errno : 0;
  close(fd);
  return make_error(env, error);
}

bool export_sockets(napi_env env, napi_value exports) {
  const napi_property_descriptor all[] = {
      EXPORT(addressInet),  EXPORT(addressUnix), EXPORT(addressVsock), EXPORT(localCid),       EXPORT(socketConnect),
      EXPORT(socketListen), EXPORT(socketAccept), EXPORT(socketRecv),  EXPORT(socketSend),     EXPORT(socketShutdown),
      EXPORT(socketError),  EXPORT(socketPlace), EXPORT(socketMove),
  };
  return napi_define_properties(env, exports, sizeof all / sizeof *all, all) == napi_ok;
}
