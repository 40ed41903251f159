/* What a vsock device in user space says to `CONNECT port`: one line, which may come in pieces, and the enclave's bytes behind it. */
#include "../../../libs/vsock/native/dial.c"

#include <stdint.h>

/* Seeds: "OK 1073741824" "OK " */
static bool is_closed, is_open;

void conn_close(struct thread *thread, struct conn *conn, enum reason reason, int error) {
  (void)thread, (void)conn, (void)reason, (void)error;
  is_closed = true;
}
bool conn_open(struct thread *thread, struct conn *conn) {
  (void)thread, (void)conn;
  return is_open = true;
}
void lane_exhausted(struct thread *thread, struct lane *lane, int error) { (void)thread, (void)lane, (void)error; }
void timer_set(struct thread *thread, struct timer *timer, uint64_t when) { (void)thread, (void)timer, (void)when; }
void tell(struct thread *thread, struct event *event) { (void)thread, (void)event; }
void egress_narrow(const struct conn *conn, struct side *side, int family) { (void)conn, (void)side, (void)family; }
bool side_watch(struct thread *thread, struct conn *conn, int which, bool out) {
  (void)thread, (void)conn, (void)which, (void)out;
  return true;
}
void side_adopt(struct side *side, int fd, int family, bool hybrid) { (void)family, (void)hybrid, side->fd = fd; }
void conn_queue(struct thread *thread, struct conn *conn) { (void)thread, (void)conn; }

/* How many bytes of an answer there are; 0 where it is none, or not whole. */
static size_t answer_length(const uint8_t *data, size_t size) {
  const uint8_t *end = memchr(data, '\n', size < OK_LINE_MAX ? size : OK_LINE_MAX);
  if (!end || end - data < 4 || memcmp(data, "OK ", 3)) return 0;
  for (const uint8_t *at = data + 3; at < end; at++)
    if (*at < '0' || *at > '9') return 0;
  return (size_t)(end - data) + 1;
}

/* The first byte says where the bytes are cut. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2 || size > 4096) return 0;
  static const struct endpoint to = {.handshake = true};
  const size_t first = data[0] % size, length = size - 1;
  const uint8_t *bytes = data + 1;
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair)) __builtin_trap();
  struct thread thread = {.now = 1};
  struct join join = {0};
  struct conn conn = {.flags = CONN_JOIN | CONN_DIALLING, .side = {{.fd = -1}, {.fd = pair[0]}}};
  conn.join = &join;
  conn.dial = calloc(1, sizeof *conn.dial);
  conn.dial->to[1] = &to;
  conn.dial->deadline[1] = UINT64_MAX;
  conn.dial->stage[1] = DIAL_ANSWER;
  is_closed = is_open = false;
  if (first > 0 && write(pair[1], bytes, first) != (ssize_t)first) __builtin_trap();
  dial_event(&thread, &conn, 1, EPOLLIN);
  if (!is_closed && !is_open && first < length) {
    if (write(pair[1], bytes + first, length - first) != (ssize_t)(length - first)) __builtin_trap();
    dial_event(&thread, &conn, 1, EPOLLIN);
  } else if (first < length && write(pair[1], bytes + first, length - first) != (ssize_t)(length - first)) {
    __builtin_trap();
  }
  shutdown(pair[1], SHUT_WR);
  if (!is_closed && !is_open) dial_event(&thread, &conn, 1, EPOLLIN | EPOLLRDHUP);
  const size_t answer = answer_length(bytes, length);
  if (is_open != (answer > 0) || is_closed == is_open) __builtin_trap();
  if (is_open) {
    /* All that follows the line is still there */
    uint8_t rest[4096];
    const ssize_t left = recv(pair[0], rest, sizeof rest, MSG_DONTWAIT);
    if (left != (ssize_t)(length - answer) || memcmp(rest, bytes + answer, length - answer)) __builtin_trap();
  } else {
    free(conn.dial);
  }
  close(pair[0]);
  close(pair[1]);
  return 0;
}
