/* Local channels that carry messages with descriptors: how a process gives its listening sockets to its successor. */
#define _GNU_SOURCE
#include "addon.h"

#include <errno.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

/* What the kernel takes with one message (SCM_MAX_FD). */
#define DESCRIPTORS_MAX 253

static int open_channel(void) { return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); }

/* (address) → descriptor of a listener; fails with EADDRINUSE where the path exists */
static napi_value channelListen(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  struct sockaddr_storage address;
  socklen_t length;
  if (!get_args(env, info, 1, argv) || !get_address(env, argv[0], &address, &length)) return NULL;
  const int fd = open_channel();
  if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, length) == 0 && listen(fd, 16) == 0) return make_int(env, fd);
  const int error = errno;
  if (fd >= 0) close(fd);
  return make_error(env, error);
}

/* (address) → descriptor */
static napi_value channelConnect(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  struct sockaddr_storage address;
  socklen_t length;
  if (!get_args(env, info, 1, argv) || !get_address(env, argv[0], &address, &length)) return NULL;
  const int fd = open_channel();
  if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, length) == 0) return make_int(env, fd);
  const int error = errno;
  if (fd >= 0) close(fd);
  return make_error(env, error);
}

/* (fd) → user that the other side ran as when it connected or listened */
static napi_value channelPeer(napi_env env, napi_callback_info info) {
  napi_value argv[1];
  int fd;
  struct ucred peer;
  socklen_t length = sizeof peer;
  if (!get_args(env, info, 1, argv) || !get_fd(env, argv[0], &fd)) return NULL;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) return make_error(env, errno);
  return make_int(env, peer.uid);
}

union control {
  struct cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int) * DESCRIPTORS_MAX)];
};

/* (fd, bytes, [descriptors]) → 0; the caller keeps its own */
static napi_value channelSend(napi_env env, napi_callback_info info) {
  napi_value argv[3];
  int fd;
  uint8_t *data;
  size_t length;
  uint32_t count, fds[DESCRIPTORS_MAX];
  union control control = {0};
  if (!get_args(env, info, 3, argv) || !get_fd(env, argv[0], &fd) || !get_bytes(env, argv[1], &data, &length)) return NULL;
  if (napi_get_array_length(env, argv[2], &count) != napi_ok || count > DESCRIPTORS_MAX) return make_error(env, E2BIG);
  if (!get_u32s(env, argv[2], count, fds)) return NULL;
  struct iovec part = {.iov_base = data, .iov_len = length};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (count > 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * count);
  }
  return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? make_error(env, errno) : make_int(env, 0);
}

/* (fd, into, descriptors array to fill) → length of the message, 0 at the end; one that does not fit is EMSGSIZE */
static napi_value channelReceive(napi_env env, napi_callback_info info) {
  napi_value argv[3];
  int fd;
  uint8_t *data;
  size_t length;
  union control control;
  if (!get_args(env, info, 3, argv) || !get_fd(env, argv[0], &fd) || !get_bytes(env, argv[1], &data, &length)) return NULL;
  struct iovec part = {.iov_base = data, .iov_len = length};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  const ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0) return make_error(env, errno);
  const bool whole = !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
  uint32_t count = 0;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    for (size_t i = 0; i < (header->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
      int one;
      memcpy(&one, CMSG_DATA(header) + i * sizeof one, sizeof one);
      if (whole) napi_set_element(env, argv[2], count++, make_int(env, one));
      else close(one);
    }
  }
  return whole ? make_int(env, n) : make_error(env, EMSGSIZE);
}

bool export_channel(napi_env env, napi_value exports) {
  const napi_property_descriptor all[] = {EXPORT(channelListen), EXPORT(channelConnect), EXPORT(channelPeer),
                                          EXPORT(channelSend), EXPORT(channelReceive)};
  return napi_define_properties(env, exports, sizeof all / sizeof *all, all) == napi_ok;
}
