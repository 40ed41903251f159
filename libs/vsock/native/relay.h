/*
 * The relay engine: moves bytes between pairs of stream sockets on its own threads, with no knowledge of Node.
 * A thread owns everything it serves; other threads reach it only through post_command() and the atomic counters.
 */
#ifndef ENCLAVER_RELAY_H
#define ENCLAVER_RELAY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "bounds.h"

enum reason { REASON_CLOSED, REASON_RESET, REASON_IDLE, REASON_CANCELLED, REASON_CONNECT_FAILED };
enum event_type { EVENT_JOIN_CONNECTED, EVENT_JOIN_DONE, EVENT_ROUTE_CLOSED, EVENT_STOPPED, EVENT_SCREEN, EVENT_CONN_CLOSED };
/* Whether a group lets in what others serve. */
enum admission { ADMITTED, ADMISSION_FULL, ADMISSION_LATE };
enum timer_kind { TIMER_CONN, TIMER_ROUTE, TIMER_SHARE };
enum command_type { COMMAND_ROUTE_ADD, COMMAND_ROUTE_CLOSE, COMMAND_JOIN, COMMAND_CANCEL, COMMAND_VERDICT, COMMAND_STOP };
/* Low bits of epoll's data word: what the pointer above them is. */
enum tag { TAG_SIDE_A, TAG_SIDE_B, TAG_ROUTE, TAG_WAKE };

enum side_flag {
  SIDE_READABLE = 1,   /* may have bytes or an end to give */
  SIDE_BLOCKED = 2,    /* the last write was refused; waits for EPOLLOUT */
  SIDE_EOF = 4,        /* nothing more will be read */
  SIDE_SHUT = 8,       /* its writing half was shut, or is held */
  SIDE_DEAD = 16,      /* writes fail for good: what is meant for it is dropped */
  SIDE_HYBRID = 32,    /* no half-close across this socket */
  SIDE_VSOCK = 64,
  SIDE_TCP = 128,
  SIDE_OUT_ARMED = 256,
  SIDE_LISTED = 512,   /* in the epoll set */
  SIDE_HUNG = 1024,    /* the end was announced: read on after a short read */
  SIDE_CLOSED = 2048,  /* the peer is gone in both directions */
  SIDE_GROWN = 4096,   /* its send buffer is as large as it shall be */
  SIDE_FAILED = 8192   /* it has an error that nobody has taken */
};

/* Index of the side that the relay dialled, or that the caller names second. */
enum { DIALLED = 1 };

enum conn_flag { CONN_DIALLING = 1, CONN_JOIN = 2, CONN_QUEUED = 4, CONN_GONE = 8, CONN_LINGER = 16, CONN_HELD = 32, CONN_LOST = 64, CONN_SCREENING = 128, CONN_EGRESS = 256, CONN_STRANDED = 512 };

struct timer {
  uint64_t when; /* ms, monotonic */
  uint32_t slot; /* place in the heap + 1; 0 = not set */
  uint32_t kind;
};

struct event {
  struct event *next;
  enum event_type type;
  uint32_t id;
  int reason;
  int error;
  uint64_t bytes[2];
};

struct endpoint {
  socklen_t length;
  struct sockaddr_storage address;
  bool handshake; /* CONNECT <port>\n first */
  bool hybrid;
  uint32_t connect_port;
};

struct pending {
  uint32_t offset, length; /* what is left is data[offset, length) */
  unsigned char data[];
};

struct side {
  int fd;
  uint32_t flags;
  struct pending *out; /* bytes that wait to be written to this side */
};

enum dial_stage { DIAL_NONE, DIAL_RETRY, DIAL_CONNECTING, DIAL_ANSWER };

struct dial {
  const struct endpoint *to[2];
  uint64_t deadline[2], retry_at[2];
  uint32_t retry_ms[2];
  enum dial_stage stage[2];
};

struct thread;
struct route;
struct join;
struct screening;

struct group;

/* A token bucket of connections as one number (generic cell rate algorithm): each moves it on by the interval of the rate. */
struct pace {
  atomic_ullong due_ns; /* when the connections that were taken so far are paid for; monotonic */
  uint32_t interval_ns; /* between two connections of the rate; 0 = no rate */
  uint64_t ahead_ns;    /* how far a burst may run ahead of it */
};

/* A token bucket of bytes, in one thread. */
struct meter {
  uint64_t rate; /* bytes per second; 0 = no rate */
  int64_t tokens;  /* thousandths of a byte */
  uint64_t filled; /* ms */
};

/* Connections of a group that wait for a turn: those that came in by a route, and those that are marked as egress. */
struct flow {
  struct conn *first, *last;
  struct meter meter;
};

/* A group's part in one thread. */
struct share {
  struct timer timer; /* a flow over its rate may go on */
  struct group *group;
  struct share *next; /* in the round */
  struct flow flows[2];
  int64_t credit; /* ns */
  size_t pending_bytes;
  uint32_t conns, egress;
  uint32_t round; /* up to which its credit is settled */
  uint8_t turn; /* the flow that is asked first */
  bool listed;
};

/* Connections that together get one share of each thread, however many they are; and what bounds them together. */
struct group {
  atomic_uint references;
  /* Of its routes; bytes also of egress, second. */
  atomic_uint active;
  atomic_ullong accepted, refused, rate_limited, failed_connects, bytes[2][2];
  atomic_ullong busy_ns; /* what the threads have done for it */
  uint32_t max_connections;
  size_t pending_limit; /* in one thread, before it only passes on what is taken */
  struct pace pace;
  struct share shares[];
};

/* What is told of a route's connection at its end. */
struct report {
  struct event event;
  struct relay *relay;
  uint64_t opened; /* ms */
  uint32_t lead;
  char peer[64];
};

/* Where a route leads, and whose connections those are that it takes. Earlier ones are kept: a dial may be under way to one. */
struct lead {
  struct lead *older;
  uint32_t number;
  struct group *group;
  struct endpoint target;
};

struct lane; /* a route's part in one thread */

struct conn {
  struct timer timer;
  struct conn *prev, *next;
  union {
    struct screening *screening; /* while CONN_SCREENING */
    struct dial *dial;     /* while CONN_DIALLING */
    struct conn *ready;    /* next in the queue of unfinished turns, after it */
  };
  union {
    struct lane *lane;
    struct join *join; /* with CONN_JOIN */
  };
  struct share *share;
  struct report *report; /* of a route that reports */
  struct side side[2];
  uint64_t bytes[2]; /* delivered from this side to the other */
  uint64_t last;     /* ms of the last byte */
  uint32_t idle_ms;
  uint16_t flags;
  int16_t error;
};

struct lane {
  struct timer timer; /* end of an accept pause, or of draining */
  struct route *route;
  struct lane *prev, *next;
  struct conn *conns;
  bool listening, closing, drained;
};

struct route {
  atomic_uint references, listening, open;
  atomic_uint active;
  atomic_ullong accepted, refused, rate_limited, undecided, failed_connects, accept_errors, bytes[2];
  atomic_int accept_error; /* errno of the last */
  struct relay *relay;
  _Atomic(struct lead *) lead;
  struct pace pace;
  uint32_t max_connections, connect_ms, idle_ms;
  int fd;
  int family;
  bool hybrid;
  bool proxy_header; /* the target first hears who connects */
  bool reports;      /* JavaScript hears of each connection at its end */
  atomic_bool keep_path; /* another process listens at this very socket */
  uint32_t screen_bytes, screen_ms; /* as many first bytes are shown to JavaScript, which decides in this time; 0 = no such route */
  char *path; /* of a Unix listener */
  dev_t device;
  ino_t inode;
  uint32_t *peers;
  uint32_t peer_count;
  struct event closed;
  struct lane lanes[];
};

struct join {
  atomic_uint references;
  struct thread *thread;
  struct conn *conn; /* touched by the thread alone */
  struct group *group;
  bool egress;
  int fd[2];
  bool hybrid[2];
  struct endpoint *to[2];
  uint32_t connect_ms[2], idle_ms;
  struct pending *head[2]; /* read from this side before the relay got it */
  struct event connected, done;
};

/* An accepted connection whose first bytes JavaScript looks at. They are its to read while `asked`. */
struct screening {
  atomic_uint references; /* the connection's, and one while JavaScript is asked */
  struct thread *thread;
  struct conn *conn; /* touched by the thread alone; NULL once it is closed */
  bool asked, again; /* ... these, too; again: more came meanwhile */
  struct event event;
  uint32_t length;
  unsigned char bytes[];
};

struct command {
  struct command *next;
  enum command_type type;
  union {
    struct { struct lane *lane; uint32_t drain_ms; };
    struct join *join;
    struct { struct screening *screening; struct pending *head; int32_t skip; };
  };
};

struct thread {
  struct relay *relay;
  pthread_t id;
  int epoll, wake;
  pthread_mutex_t lock;
  struct command *commands, **commands_end;
  unsigned char *buffer;
  size_t buffer_size, pending_bytes, pending_limit;
  struct timer **heap;
  uint32_t heap_length, heap_capacity, timers;
  struct share *round_first, *round_last;
  uint32_t rounds;
  uint64_t charged;    /* ns: what was done until then is on somebody's account */
  uint32_t turn_bytes; /* what each direction of the connection whose turn it is may move */
  struct conn *gone, *joins;
  struct lane *lanes;
  uint64_t now; /* ms */
  struct event *told, **told_end; /* gathered for JavaScript */
  uint64_t told_at;               /* ms of the last delivery */
  bool urgent;                    /* a connection waits for what was gathered */
  bool stop, reap;
};

struct relay {
  void *owner;
  void (*notify)(struct relay *relay);
  pthread_mutex_t lock;
  struct event *events, **events_end;
  atomic_uint running;
  atomic_uint unread_reports;
  struct event stopped;
  struct group *group; /* of what belongs to no other */
  uint32_t thread_count, next_thread;
  struct thread *threads;
};

/* loop.c, timers.c */
struct relay *relay_create(uint32_t threads, size_t buffer_size, size_t pending_limit,
                           void (*notify)(struct relay *), void *owner);
void relay_destroy(struct relay *relay); /* after every thread has ended */
void relay_stop(struct relay *relay);    /* asynchronous; EVENT_STOPPED follows */
void relay_wait(struct relay *relay);    /* joins the threads */
bool post_command(struct thread *thread, const struct command *command); /* false: no memory */
void post_surely(struct thread *thread, const struct command *command);  /* what must not get lost: waits for memory */
void timer_set(struct thread *thread, struct timer *timer, uint64_t when);
bool timer_reserve(struct thread *thread); /* room for one more; before its owner lives */
void timer_clear(struct thread *thread, struct timer *timer);
uint64_t clock_ns(void); /* monotonic */

/* tell.c */
void tell(struct thread *thread, struct event *event);
void tell_now(struct thread *thread);
void tell_in_time(struct thread *thread);
struct event *relay_take_events(struct relay *relay);

/* pump.c */
void conn_move(struct thread *thread, struct conn *conn);
void conn_event(struct thread *thread, struct conn *conn, int which, uint32_t events);
void conn_idle_timer(struct thread *thread, struct conn *conn);
bool conn_open(struct thread *thread, struct conn *conn);

/* conn.c */
struct conn *conn_create(struct thread *thread, uint16_t flags, void *owner, struct group *group);
void conn_free(struct conn *conn);
void conn_close(struct thread *thread, struct conn *conn, enum reason reason, int error);
bool side_watch(struct thread *thread, struct conn *conn, int which, bool out);
void side_adopt(struct side *side, int fd, int family, bool hybrid);
struct pending *pending_copy(const void *data, size_t length); /* NULL: no memory */
void pending_put(struct thread *thread, struct conn *conn, int which, struct pending *pending);
void pending_drop(struct thread *thread, struct conn *conn, int which);
void egress_narrow(const struct conn *conn, struct side *side, int family);
void join_release(struct join *join);
void screening_release(struct screening *screening);

/* screen.c */
void screen_start(struct thread *thread, struct conn *conn);
void screen_event(struct thread *thread, struct conn *conn, uint32_t events);
void screen_timer(struct thread *thread, struct conn *conn);
void screen_verdict(struct thread *thread, struct screening *screening, int32_t skip, struct pending *head);

/* share.c */
struct group *group_create(uint32_t threads);
void group_release(struct group *group);
void pace_set(struct pace *pace, uint32_t interval_ns, uint32_t burst);
bool pace_take(struct pace *pace);
enum admission group_admit(struct group *group);
void conn_queue(struct thread *thread, struct conn *conn);
struct share *share_of(struct thread *thread, struct group *group);
void share_charge(struct thread *thread, struct share *share);
void share_owe(struct thread *thread, struct share *share, uint32_t ns);
bool share_in_debt(struct thread *thread, struct share *share);
void share_timer(struct thread *thread, struct share *share);
void round_add(struct thread *thread, struct share *share);

/* rounds.c */
void shares_run(struct thread *thread);

/* report.c */
struct report *report_create(struct relay *relay, uint32_t id, uint32_t lead, uint64_t now, const struct sockaddr_storage *peer);
void report_post(struct thread *thread, struct report *report);

/* proxy-header.c */
struct pending *proxy_header(int fd, const struct sockaddr_storage *peer);

/* dial.c */
bool dial_start(struct thread *thread, struct conn *conn, const struct endpoint *const to[2], const uint32_t timeout_ms[2]);
bool route_dial(struct thread *thread, struct conn *conn);
void dial_event(struct thread *thread, struct conn *conn, int which, uint32_t events);
void dial_timer(struct thread *thread, struct conn *conn);

/* lane-pause.c */
void lane_pause(struct thread *thread, struct lane *lane, int error);
void lane_exhausted(struct thread *thread, struct lane *lane, int error);

/* join.c */
void join_start(struct thread *thread, struct join *join);

/* route.c */
void lane_add(struct thread *thread, struct lane *lane);
void lane_accept(struct thread *thread, struct lane *lane, unsigned limit);
void lane_close(struct thread *thread, struct lane *lane, uint32_t drain_ms);
void lane_timer(struct thread *thread, struct lane *lane);
void lanes_reap(struct thread *thread);
void lead_release(struct lead *lead);
void route_release(struct route *route);

#endif
