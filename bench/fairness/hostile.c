/*
 * What a hostile enclave does to the outer-proxy, as fast as it can, until it is killed.
 *   hostile server PORT                                sends without end to whoever connects; what it cannot get rid of it keeps
 *                                                      little of, as a server elsewhere would cost this machine nothing
 *   hostile egress UNIX_PATH TARGET_PORT CONNECTIONS   keeps so many egress connections open, each to a server that sends without
 *                                                      end, and never reads; what is closed is opened again. Says "open" once all
 *                                                      were tried
 *   hostile churn PORT CONNECTIONS                     so many at a time through its own port, each cut once it stands
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void watch(int ep, int fd, uint32_t events) {
  struct epoll_event event = {.events = events, .data.fd = fd};
  if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
}

static void say(const char *word) {
  puts(word);
  fflush(stdout);
}

/* -1 when the queue of the listener is full. */
static int dial_unix(const char *path, const char *request, size_t length) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  strncpy(to.sun_path, path, sizeof to.sun_path - 1);
  if (fd < 0) die("socket");
  if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
    if (errno != EAGAIN) die("connect");
    close(fd);
    return -1;
  }
  if (send(fd, request, length, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET) die("send");
  return fd;
}

static void serve(int port) {
  static const char block[64 * 1024];
  const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ep = epoll_create1(0), on = 1, bytes = 16 * 1024;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  if (bind(listener, (const struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 4096) < 0) die("bind");
  watch(ep, listener, EPOLLIN);
  say("ready");
  for (;;) {
    struct epoll_event events[256];
    const int count = epoll_wait(ep, events, 256, -1);
    for (int i = 0; i < count; i++) {
      const int fd = events[i].data.fd;
      if (fd == listener) {
        const int fresh = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fresh >= 0) watch(ep, fresh, EPOLLOUT | EPOLLRDHUP);
      } else if ((events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) || send(fd, block, sizeof block, MSG_NOSIGNAL) == 0) {
        close(fd);
      }
    }
  }
}

static void egress(const char *path, int port, int connections) {
  char request[128];
  int length = snprintf(request + 2, sizeof request - 2, "{\"host\":\"127.0.0.1\",\"port\":%d}", port);
  request[0] = (char)length;
  request[1] = 0;
  length += 2;
  const int ep = epoll_create1(0);
  int open = 0, tried = 0;
  for (;;) {
    for (int i = 0; open < connections && i < 64; i++) {
      const int fd = dial_unix(path, request, (size_t)length);
      if (fd < 0) break;
      /* Only its end: what comes is left where it is. */
      watch(ep, fd, EPOLLRDHUP);
      open++;
      if (++tried == connections) say("open");
    }
    struct epoll_event events[256];
    const int count = epoll_wait(ep, events, 256, open < connections ? 1 : -1);
    for (int i = 0; i < count; i++, open--) close(events[i].data.fd);
  }
}

static void churn(int port, int connections) {
  const struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const struct linger abort = {.l_onoff = 1};
  const int ep = epoll_create1(0);
  for (int open = 0;;) {
    for (; open < connections; open++) {
      const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      if (fd < 0) die("socket");
      setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
      if (connect(fd, (const struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) die("connect");
      watch(ep, fd, EPOLLOUT);
    }
    struct epoll_event events[256];
    const int count = epoll_wait(ep, events, 256, -1);
    for (int i = 0; i < count; i++, open--) close(events[i].data.fd);
  }
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  if (argc == 3 && !strcmp(argv[1], "server")) serve(atoi(argv[2]));
  if (argc == 5 && !strcmp(argv[1], "egress")) egress(argv[2], atoi(argv[3]), atoi(argv[4]));
  if (argc == 4 && !strcmp(argv[1], "churn")) churn(atoi(argv[2]), atoi(argv[3]));
  return 2;
}
