/*
 * Load for the relay benchmark, cheap enough that the relay is what is measured.
 *   load server UNIX_PATH TCP_PORT           serves until killed; the first byte of a connection says what it wants:
 *                                            U = count what comes until the end, answer 8 bytes; D + 8 bytes = send so
 *                                            many bytes; E = echo
 *   load up|down PORT CONNECTIONS BYTES_EACH → bytes per second
 *   load rtt PORT CONNECTIONS SECONDS [BYTES] → p50, p99 and p99.9 in µs of echoes of so many bytes (64; at most 1024), each
 *                                            connection one at a time
 *   load rate PORT CONNECTIONS TOTAL         → connections per second: connect, one 64-byte echo, close
 *   load idle PORT CONNECTIONS               opens them, says "open", holds them until stdin ends
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BLOCK (256 * 1024)
#define MESSAGE 64
#define MESSAGE_MAX 1024

static char block[BLOCK];
static int port;

struct peer {
  int fd;
  char mode;
  uint64_t todo, seen, began;
  uint32_t header;
};

static void die(const char *what) {
  perror(what);
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void watch(int ep, struct peer *peer, uint32_t events, int op) {
  struct epoll_event event = {.events = events, .data.ptr = peer};
  if (epoll_ctl(ep, op, peer->fd, &event) < 0) die("epoll_ctl");
}

static int dial(void) {
  const int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) die("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  /* PROXY v2, TCP over IPv4, 127.0.0.1:43981 to 127.0.0.1:80: for relays that decide by it. */
  static const char header[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\1\x7f\0\0\1\xab\xcd\0\x50";
  if (getenv("LOAD_PROXY_HEADER") && send(fd, header, sizeof header - 1, MSG_NOSIGNAL) < 0) die("send");
  return fd;
}

static void serve_one(int ep, struct peer *peer) {
  ssize_t n;
  if (peer->mode == 'D' && peer->header == 9) {
    while (peer->todo > 0) {
      n = send(peer->fd, block, peer->todo < BLOCK ? peer->todo : BLOCK, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n < 0 && errno == EAGAIN) return;
      if (n < 0) break;
      peer->todo -= (uint64_t)n;
    }
    goto over;
  }
  n = recv(peer->fd, block, BLOCK, MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) {
    if (peer->mode == 'U') send(peer->fd, &peer->seen, 8, MSG_NOSIGNAL);
    goto over;
  }
  char *at = block;
  if (peer->header == 0) {
    peer->mode = *at++;
    n--;
    peer->header = 1;
  }
  if (peer->mode == 'U') peer->seen += (uint64_t)n;
  if (peer->mode == 'E' && n > 0) send(peer->fd, at, (size_t)n, MSG_NOSIGNAL);
  if (peer->mode == 'D') {
    while (n-- > 0 && peer->header < 9) ((char *)&peer->todo)[peer->header++ - 1] = *at++;
    if (peer->header == 9) watch(ep, peer, EPOLLOUT, EPOLL_CTL_MOD);
  }
  return;
over:
  close(peer->fd);
  free(peer);
}

static void serve(const char *path) {
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct peer listeners[2] = {{.fd = socket(AF_UNIX, SOCK_STREAM, 0)}, {.fd = socket(AF_INET, SOCK_STREAM, 0)}};
  const int on = 1, ep = epoll_create1(0);
  strncpy(at.sun_path, path, sizeof at.sun_path - 1);
  setsockopt(listeners[1].fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(listeners[1].fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (bind(listeners[0].fd, (struct sockaddr *)&at, sizeof at) < 0 || bind(listeners[1].fd, (struct sockaddr *)&in, sizeof in) < 0)
    die("bind");
  for (int i = 0; i < 2; i++) {
    if (listen(listeners[i].fd, 4096) < 0) die("listen");
    watch(ep, &listeners[i], EPOLLIN, EPOLL_CTL_ADD);
  }
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct epoll_event events[256];
    const int count = epoll_wait(ep, events, 256, -1);
    for (int i = 0; i < count; i++) {
      struct peer *peer = events[i].data.ptr;
      if (peer != &listeners[0] && peer != &listeners[1]) {
        serve_one(ep, peer);
        continue;
      }
      struct peer *fresh = calloc(1, sizeof *fresh);
      fresh->fd = accept4(peer->fd, NULL, NULL, SOCK_CLOEXEC);
      if (fresh->fd < 0) die("accept");
      watch(ep, fresh, EPOLLIN, EPOLL_CTL_ADD);
    }
  }
}

static void bulk(int up, int connections, uint64_t each) {
  struct peer *peers = calloc((size_t)connections, sizeof *peers);
  const int ep = epoll_create1(0);
  int open = connections;
  for (int i = 0; i < connections; i++) {
    peers[i] = (struct peer){.fd = dial(), .todo = each};
    char head[9] = {up ? 'U' : 'D'};
    memcpy(head + 1, &each, 8);
    if (send(peers[i].fd, head, up ? 1 : 9, 0) < 0) die("send");
    watch(ep, &peers[i], up ? EPOLLOUT : EPOLLIN, EPOLL_CTL_ADD);
  }
  const uint64_t began = now_ns();
  while (open > 0) {
    struct epoll_event events[64];
    const int count = epoll_wait(ep, events, 64, -1);
    for (int i = 0; i < count; i++) {
      struct peer *peer = events[i].data.ptr;
      if (up && peer->todo > 0) {
        const ssize_t n = send(peer->fd, block, peer->todo < BLOCK ? peer->todo : BLOCK, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) die("send");
        if (n > 0 && (peer->todo -= (uint64_t)n) == 0) {
          shutdown(peer->fd, SHUT_WR);
          watch(ep, peer, EPOLLIN, EPOLL_CTL_MOD);
        }
        continue;
      }
      const ssize_t n = recv(peer->fd, up ? (char *)&peer->seen : block, up ? 8 : BLOCK, MSG_DONTWAIT);
      if (n < 0 && errno == EAGAIN) continue;
      if (!up && n > 0 && (peer->todo -= (uint64_t)n) > 0) continue;
      if (up ? n != 8 || peer->seen != each : peer->todo > 0) {
        fprintf(stderr, "a transfer was cut short\n");
        exit(1);
      }
      close(peer->fd);
      open--;
    }
  }
  printf("%.0f\n", (double)each * connections / ((double)(now_ns() - began) / 1e9));
}

static int by_size(const void *a, const void *b) {
  const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static void say(struct peer *peer, int first, size_t length) {
  static const char message[MESSAGE_MAX + 1] = {'E'};
  peer->seen = 0;
  peer->began = now_ns();
  if (send(peer->fd, message + !first, length + (size_t)first, MSG_NOSIGNAL) < 0) die("send");
}

static void round_trips(int connections, double seconds, size_t length) {
  struct peer *peers = calloc((size_t)connections, sizeof *peers);
  uint32_t *times = malloc(sizeof *times * 4000000);
  size_t count = 0;
  const int ep = epoll_create1(0);
  for (int i = 0; i < connections; i++) {
    peers[i].fd = dial();
    watch(ep, &peers[i], EPOLLIN, EPOLL_CTL_ADD);
    say(&peers[i], 1, length);
  }
  const uint64_t end = now_ns() + (uint64_t)(seconds * 1e9), warm = now_ns() + (uint64_t)(seconds * 1e8);
  while (now_ns() < end && count < 4000000) {
    struct epoll_event events[64];
    const int n = epoll_wait(ep, events, 64, 1000);
    for (int i = 0; i < n; i++) {
      struct peer *peer = events[i].data.ptr;
      const ssize_t got = recv(peer->fd, block, length, MSG_DONTWAIT);
      if (got <= 0) die("recv");
      if ((peer->seen += (uint64_t)got) < length) continue;
      const uint64_t at = now_ns();
      if (at > warm) times[count++] = (uint32_t)(at - peer->began);
      say(peer, 0, length);
    }
  }
  if (count == 0) die("no echo");
  qsort(times, count, sizeof *times, by_size);
  printf("%.2f %.2f %.2f\n", times[count / 2] / 1e3, times[count * 99 / 100] / 1e3, times[count * 999 / 1000] / 1e3);
}

static void rate(int connections, int total) {
  struct peer *peers = calloc((size_t)connections, sizeof *peers);
  const int ep = epoll_create1(0);
  int started = 0, finished = 0;
  const uint64_t began = now_ns();
  for (; started < connections; started++) {
    peers[started].fd = dial();
    watch(ep, &peers[started], EPOLLIN, EPOLL_CTL_ADD);
    say(&peers[started], 1, MESSAGE);
  }
  while (finished < total) {
    struct epoll_event events[64];
    const int n = epoll_wait(ep, events, 64, 5000);
    if (n <= 0) die("no echo");
    for (int i = 0; i < n; i++) {
      struct peer *peer = events[i].data.ptr;
      const ssize_t got = recv(peer->fd, block, MESSAGE, MSG_DONTWAIT);
      if (got <= 0) die("recv");
      if ((peer->seen += (uint64_t)got) < MESSAGE) continue;
      close(peer->fd);
      finished++;
      if (started++ >= total) continue;
      peer->fd = dial();
      watch(ep, peer, EPOLLIN, EPOLL_CTL_ADD);
      say(peer, 1, MESSAGE);
    }
  }
  printf("%.0f\n", total / ((double)(now_ns() - began) / 1e9));
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  if (argc < 4) return 2;
  const char *mode = argv[1];
  if (!strcmp(mode, "server")) {
    port = atoi(argv[3]);
    serve(argv[2]);
  }
  port = atoi(argv[2]);
  const int connections = atoi(argv[3]);
  if (!strcmp(mode, "up") || !strcmp(mode, "down")) bulk(mode[0] == 'u', connections, strtoull(argv[4], NULL, 10));
  else if (!strcmp(mode, "rtt")) round_trips(connections, atof(argv[4]), argc > 5 ? (size_t)atoi(argv[5]) : MESSAGE);
  else if (!strcmp(mode, "rate")) rate(connections, atoi(argv[4]));
  else if (!strcmp(mode, "idle")) {
    for (int i = 0; i < connections; i++) dial();
    puts("open");
    fflush(stdout);
    while (read(0, block, 1) > 0) continue;
  }
  return 0;
}
