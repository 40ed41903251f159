/* What JavaScript hears of each connection of a route that reports. */
#define _GNU_SOURCE
#include "relay.h"

#include <arpa/inet.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

/* Reports that JavaScript has not read; further ones are left out. */
#define UNREAD_MAX 16384

static void describe(char *text, size_t size, const struct sockaddr_storage *peer) {
  char host[INET6_ADDRSTRLEN] = "";
  if (peer->ss_family == AF_INET) {
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)peer;
    inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
    snprintf(text, size, "%s:%u", host, ntohs(v4->sin_port));
  } else if (peer->ss_family == AF_INET6) {
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)peer;
    inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
    snprintf(text, size, "[%s]:%u", host, ntohs(v6->sin6_port));
  } else if (peer->ss_family == AF_VSOCK) {
    snprintf(text, size, "cid %u", ((const struct sockaddr_vm *)peer)->svm_cid);
  } else {
    snprintf(text, size, "unix");
  }
}

/* NULL when there is no memory, or JavaScript is too far behind: the connection then ends unreported. */
struct report *report_create(struct relay *relay, uint32_t id, uint32_t lead, uint64_t now, const struct sockaddr_storage *peer) {
  if (atomic_load(&relay->unread_reports) >= UNREAD_MAX) return NULL;
  struct report *report = calloc(1, sizeof *report);
  if (!report) return NULL;
  report->event.type = EVENT_CONN_CLOSED;
  report->event.id = id;
  report->relay = relay;
  report->opened = now;
  report->lead = lead;
  describe(report->peer, sizeof report->peer, peer);
  return report;
}

/* It is JavaScript's from here on; `opened` becomes the time for which it was open. */
void report_post(struct thread *thread, struct report *report) {
  report->opened = thread->now - report->opened;
  atomic_fetch_add(&thread->relay->unread_reports, 1);
  tell(thread, &report->event);
}
