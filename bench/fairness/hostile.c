/*
 * What a hostile enclave does to the outer-proxy, as fast as it can, until it is killed.
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

static void egress(const char *path, int port, int connections) {
  char request[128];
  const uint64_t endless = 1ull << 40;
  int length = snprintf(request + 2, sizeof request - 2, "{\"host\":\"127.0.0.1\",\"port\":%d}", port);
  request[0] = (char)length;
  request[1] = 0;
  length += 2;
  request[length++] = 'D';
  memcpy(request + length, &endless, sizeof endless);
  length += (int)sizeof endless;
  const int ep = epoll_create1(0);
  int open = 0, tried = 0;
  for (;;) {
    for (int i = 0; open < connections && i < 64; i++) {
      const int fd = dial_unix(path, request, (size_t)length);
      if (fd < 0) break;
      /* Only its end: what comes is left where it is. */
      watch(ep, fd, EPOLLRDHUP);
      open++;
      if (++tried != connections) continue;
      puts("open");
      fflush(stdout);
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
  if (argc == 5 && !strcmp(argv[1], "egress")) egress(argv[2], atoi(argv[3]), atoi(argv[4]));
  if (argc == 4 && !strcmp(argv[1], "churn")) churn(atoi(argv[2]), atoi(argv[3]));
  return 2;
}
