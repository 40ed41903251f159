/*
 * Load for the egress benchmark: an HTTP server and clients of a forward proxy, cheap enough that the proxy is what is
 * measured. Each connection has a thread that blocks.
 *   load server PORT                              GET /N is answered with N bytes, connections are kept
 *   load connect PROXY TARGET THREADS TOTAL       → tunnels per second: connect, CONNECT, one GET /64, close
 *   load bulk PROXY TARGET THREADS BYTES_EACH     → bytes per second down a tunnel
 *   load kept PROXY TARGET THREADS TOTAL          → requests per second in absolute form; a new connection to the proxy
 *                                                 only when it closes the one before
 *   load fresh PROXY TARGET THREADS TOTAL         → the same, each on a new connection
 * A TARGET of 0 asks in origin form, as clients of a server and of a reverse proxy do.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK (256 * 1024)
static char zeros[BLOCK];
static const char *mode;
static int proxy, target, threads;
static long amount;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static int endpoint(int port, int listens) {
  const int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (listens ? bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 4096) : connect(fd, (struct sockaddr *)&at, sizeof at))
    die("socket");
  return fd;
}

/* Reads up to and with the empty line; what follows it is moved to the start, its size returned. -1 at the end. */
static ssize_t read_head(int fd, char *head, size_t size, char *rest) {
  size_t length = 0;
  for (;;) {
    const ssize_t n = recv(fd, head + length, size - 1 - length, 0);
    if (n <= 0) return -1;
    length += (size_t)n;
    head[length] = 0;
    char *end = strstr(head, "\r\n\r\n");
    if (!end) continue;
    const size_t left = length - (size_t)(end + 4 - head);
    memcpy(rest, end + 4, left);
    end[4] = 0;
    return (ssize_t)left;
  }
}

static void *serve(void *argument) {
  const int fd = (int)(long)argument;
  char head[8192], rest[8192], answer[128];
  while (read_head(fd, head, sizeof head, rest) >= 0) {
    const char *slash = strchr(head, '/');
    long left = slash ? atol(slash + 1) : 0;
    const int n = snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %ld\r\n\r\n", left);
    send(fd, answer, (size_t)n, MSG_NOSIGNAL | (left ? MSG_MORE : 0));
    while (left > 0) {
      const ssize_t sent = send(fd, zeros, (size_t)(left < BLOCK ? left : BLOCK), MSG_NOSIGNAL);
      if (sent <= 0) goto over;
      left -= sent;
    }
  }
over:
  close(fd);
  return NULL;
}

/* One request and its whole answer. 1 if the connection may be used again, -1 if it was closed before an answer. */
static int ask(int fd, const char *prefix, long bytes) {
  char head[8192], rest[8192];
  static _Thread_local char block[BLOCK];
  int n = snprintf(head, sizeof head, "GET %s/%ld HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: load\r\nAccept: */*\r\n\r\n", prefix, bytes, target);
  ssize_t got = send(fd, head, (size_t)n, MSG_NOSIGNAL) == n ? read_head(fd, head, sizeof head, rest) : -1;
  if (got < 0) return -1;
  if (strncmp(head + 8, " 200", 4)) {
    fprintf(stderr, "answered: %s\n", head);
    exit(1);
  }
  for (long left = bytes - got; left > 0; left -= got)
    if ((got = recv(fd, block, BLOCK, 0)) <= 0) die("recv");
  return !strcasestr(head, "\r\nConnection: close") && strncmp(head, "HTTP/1.0", 8);
}

static int open_tunnel(void) {
  char head[8192], rest[8192];
  const int fd = endpoint(proxy, 0);
  const int n = snprintf(head, sizeof head, "CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", target, target);
  if (send(fd, head, (size_t)n, MSG_NOSIGNAL) != n || read_head(fd, head, sizeof head, rest) != 0 || strncmp(head + 8, " 200", 4)) die("CONNECT");
  return fd;
}

static void *run(void *unused) {
  char prefix[64] = "";
  if (target) snprintf(prefix, sizeof prefix, "http://127.0.0.1:%d", target);
  if (!strcmp(mode, "bulk")) {
    const int fd = open_tunnel();
    if (ask(fd, "", amount) < 0) die("GET");
    close(fd);
    return unused;
  }
  int fd = -1;
  for (long i = 0; i < amount / threads; i++) {
    if (!strcmp(mode, "connect")) {
      fd = open_tunnel();
      if (ask(fd, "", 64) < 0) die("GET");
      close(fd);
      continue;
    }
    const int is_new = fd < 0;
    if (is_new) fd = endpoint(proxy, 0);
    const int result = ask(fd, prefix, 64);
    if (result < 0 && is_new) die("GET");
    if (result > 0 && !strcmp(mode, "kept")) continue;
    close(fd);
    fd = -1;
    /* A proxy that closes without saying so: asked again */
    if (result < 0) i--;
  }
  return unused;
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  if (argc < 3) return 2;
  mode = argv[1];
  proxy = atoi(argv[2]);
  if (!strcmp(mode, "server")) {
    const int listener = endpoint(proxy, 1);
    puts("ready");
    fflush(stdout);
    for (;;) {
      const int on = 1, fd = accept(listener, NULL, NULL);
      pthread_t thread;
      if (fd < 0) die("accept");
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      if (pthread_create(&thread, NULL, serve, (void *)(long)fd)) die("thread");
      pthread_detach(thread);
    }
  }
  if (argc < 6) return 2;
  target = atoi(argv[3]);
  threads = atoi(argv[4]);
  amount = atol(argv[5]);
  pthread_t all[256];
  struct timespec a, b;
  clock_gettime(CLOCK_MONOTONIC, &a);
  for (int i = 0; i < threads; i++)
    if (pthread_create(&all[i], NULL, run, NULL)) die("thread");
  for (int i = 0; i < threads; i++) pthread_join(all[i], NULL);
  clock_gettime(CLOCK_MONOTONIC, &b);
  const double seconds = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
  printf("%.1f\n", (!strcmp(mode, "bulk") ? (double)amount * threads : (double)(amount / threads * threads)) / seconds);
  return 0;
}
