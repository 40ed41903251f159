/* What bounds the relay, each with its reason. */
#ifndef ENCLAVER_RELAY_BOUNDS_H
#define ENCLAVER_RELAY_BOUNDS_H

/* One turn of one direction: others get their share after this many bytes. */
#define TURN_BYTES (256u * 1024u)
/*
 * What a group has of the thread's time in a round, a group that had more waits for as many rounds; what one that nobody else waits
 * beside has until new events are looked for; and what one piece of work counts for at most, which is more than any takes: when it
 * took longer, the thread was kept from running.
 */
#define ROUND_NS (100 * 1000)
#define ALONE_NS (1000 * 1000)
#define CHARGE_MAX_NS (300 * 1000)
/*
 * What Node's thread has done for a connection that it hands over, which is on its group's account, too, though the relay cannot see it:
 * for one that it has accepted, and for one that it has asked for a way out. docs/relay.md has both. Who opens them without end
 * would else have Node's thread beside its share of ours.
 */
#define JOIN_NS (20 * 1000)
#define JOIN_EGRESS_NS (200 * 1000)
/*
 * Egress connections of a group whose buffers the kernel may size (6 MiB by default); those above that have what the kernel begins
 * with, and those above the second number half of it, towards the enclave, too. Thousands that are never read would take
 * what it has for all TCP of the host: 4,096 of 64 KiB need 530 MB, and a host of 4 GiB has 370. With less than 32 KiB a sender
 * whose packets have 64 KiB, as on loopback, waits for time-outs.
 */
#define EGRESS_WIDE 64
#define EGRESS_MANY 512
#define EGRESS_RECEIVE_BYTES (64 * 1024)
#define EGRESS_MANY_BYTES (32 * 1024)
/* A byte rate lets so many milliseconds' worth pass at once, and no less than a full read. */
#define BURST_MS 100
#define BURST_BYTES (256 * 1024)
/* Single vsock writes above this size gain nothing, and throughput collapses above 512 KiB. */
#define VSOCK_WRITE_BYTES (64u * 1024u)
/*
 * Send buffer of a Unix socket once it was full: the default holds less than the shared buffer, so that every full read
 * would end in a short write and a copy. Sockets that never fill theirs are spared the call.
 */
#define UNIX_SEND_BYTES (512 * 1024)
/* Connections taken from one listener before the others are served. */
#define ACCEPT_BATCH 16
/* Taken at its end, so that they are served: more than the queue of a listener holds on most systems. */
#define CLOSE_BATCH 4096
/* Pause of a listener after EMFILE and the like. */
#define ACCEPT_PAUSE_MS 100
/* After one side is gone for good: how long the other may still talk before it is cut. */
#define LINGER_MS 2000
/*
 * So long without a byte is held: a half-close that cannot be passed on; what a side that is gone said last for a peer that takes
 * nothing of it, of which the kernel would try to rid itself for 15 minutes.
 */
#define HOLD_MS 60000
/* First and longest wait before a Unix connect is tried again after EAGAIN (its queue is full and cannot be polled). */
#define RETRY_FIRST_MS 1
#define RETRY_MAX_MS 64
/* "OK 4294967295\n" is 14 bytes; anything that needs more is no answer. */
#define OK_LINE_MAX 32

#endif
