#include "init.h"
#include "vm-socket.h"

#include <errno.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Nitro's boot check: port and byte as its own PID 1 uses them. */
#define HEARTBEAT_PORT 9000
#define HEARTBEAT_BYTE 0xb7

/* One attempt. A parent that is there answers within milliseconds; on a busy emulated machine within a second. */
#define ATTEMPT_SECONDS 5
/*
 * With the pause between them these cover a parent that starts listening a little late. A device that is deaf they outlast what the
 * supervisor waits for us (60 s): it boots such a machine once more, and none that has powered itself off.
 */
#define ATTEMPTS 13
#define PAUSE_NANOSECONDS 100000000L

static int attempt(int fd, unsigned parent_cid)
{
	struct timeval limit = { .tv_sec = ATTEMPT_SECONDS };
	struct sockaddr_vm parent = { .svm_family = AF_VSOCK, .svm_port = HEARTBEAT_PORT, .svm_cid = parent_cid };
	unsigned char byte = HEARTBEAT_BYTE;
	if (setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &limit, sizeof limit) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) ||
	    connect(fd, (struct sockaddr *)&parent, sizeof parent) || send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
		return -1;
	ssize_t length = recv(fd, &byte, 1, 0);
	if (length < 0)
		return -1;
	if (length == 0 || byte != HEARTBEAT_BYTE) {
		errno = length ? EPROTO : ECONNRESET;
		return -1;
	}
	return 0;
}

int heartbeat_send(unsigned parent_cid)
{
	int error_number = 0;
	for (int i = 0; i < ATTEMPTS; i++) {
		if (i > 0)
			nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NANOSECONDS }, NULL);
		int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0) {
			error_number = errno;
			break;
		}
		int result = attempt(fd, parent_cid);
		error_number = errno;
		close(fd);
		if (!result)
			return 0;
	}
	log_error(error_number, "E_HEARTBEAT", "no answer from the parent, CID %u port %d", parent_cid, HEARTBEAT_PORT);
	return -1;
}
