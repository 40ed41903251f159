/*
 * The app behind whatever ends TLS, cheap enough that it is not what is measured: `app PORT BYTES` answers a request with BYTES where its
 * first line has `/big`, with a few otherwise, and closes. One thread; says "ready".
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK (256 * 1024)
#define HEAD "HTTP/1.0 200 OK\r\n\r\n"
#define DESCRIPTORS 65536
static char zeros[BLOCK];
/* What each connection has still to be sent; -1: it has not asked. */
static long left[DESCRIPTORS];
static int loop;

static void over(int fd) {
  close(fd);
}

static void watch(int fd, uint32_t events, int operation) {
  struct epoll_event event = {.events = events, .data.fd = fd};
  if (epoll_ctl(loop, operation, fd, &event)) over(fd);
}

static void pour(int fd) {
  while (left[fd] > 0) {
    const ssize_t sent = send(fd, zeros, (size_t)(left[fd] < BLOCK ? left[fd] : BLOCK), MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) return watch(fd, EPOLLOUT, EPOLL_CTL_MOD);
    if (sent <= 0) break;
    left[fd] -= sent;
  }
  over(fd);
}

static void ask(int fd, long bytes) {
  char request[4096];
  const ssize_t got = recv(fd, request, sizeof request - 1, 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) return over(fd);
  request[got] = 0;
  left[fd] = strstr(request, "/big") ? bytes : 6;
  send(fd, HEAD, sizeof HEAD - 1, MSG_NOSIGNAL | MSG_MORE);
  pour(fd);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  const long bytes = atol(argv[2]);
  const int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  loop = epoll_create1(EPOLL_CLOEXEC);
  if (loop < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) return perror("listen"), 1;
  signal(SIGPIPE, SIG_IGN);
  watch(listener, EPOLLIN, EPOLL_CTL_ADD);
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct epoll_event event;
    if (epoll_wait(loop, &event, 1, -1) < 1) continue;
    const int fd = event.data.fd;
    if (fd == listener) {
      const int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (client < 0 || client >= DESCRIPTORS) return perror("accept"), 1;
      setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      left[client] = -1;
      watch(client, EPOLLIN, EPOLL_CTL_ADD);
    } else if (left[fd] < 0) ask(fd, bytes);
    else pour(fd);
  }
}
