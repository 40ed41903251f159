#include "init.h"
#include "vm-socket.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define STATUS_PORT 17000

/* The parent asks for the status every 250 ms until it has one; past this it is not asking. */
#define SERVE_MILLISECONDS 5000
/* After one answer: it may have gone to a connection that the parent had given up; its next try comes within this time. */
#define AGAIN_MILLISECONDS 300
/* After the line: time for the reader to close, because a power-off under way would cut the line off. */
#define CLOSE_SECONDS 1

static long long now_milliseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Our own texts hold neither control characters nor other things that JSON would not carry, except quotes. */
static void json_text(char *target, size_t size, const char *text)
{
	size_t used = 0;
	for (; *text && used + 2 < size; text++) {
		if (*text == '"' || *text == '\\')
			target[used++] = '\\';
		target[used++] = *text >= 0 && *text < ' ' ? ' ' : *text;
	}
	target[used] = '\0';
}

static int listen_on_status_port(void)
{
	struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_port = STATUS_PORT, .svm_cid = VMADDR_CID_ANY };
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 8)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* 1 if the line went out, after the reader has closed the connection or had the time to read. */
static int answer(int fd, const char *line, size_t length)
{
	struct timeval limit = { .tv_sec = CLOSE_SECONDS };
	char ignored[64];
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) ||
	    send(fd, line, length, MSG_NOSIGNAL) != (ssize_t)length)
		return 0;
	/* Whatever it gives: end, time over, or a request that nobody can serve any more. */
	recv(fd, ignored, sizeof ignored, 0);
	return 1;
}

void crash_status_serve(const char *error)
{
	char text[512], line[600];
	json_text(text, sizeof text, error);
	int length = snprintf(line, sizeof line, "{\"status\":\"fatal\",\"error\":\"%s\"}\n", text);
	int listener = listen_on_status_port();
	if (listener < 0) {
		log_error(errno, "E_STATUS", "listen on vsock port %d", STATUS_PORT);
		return;
	}
	long long end = now_milliseconds() + SERVE_MILLISECONDS;
	for (long long left; (left = end - now_milliseconds()) > 0;) {
		struct pollfd waiting = { .fd = listener, .events = POLLIN };
		if (poll(&waiting, 1, (int)left) <= 0)
			continue;
		int fd = accept(listener, NULL, NULL);
		if (fd < 0)
			continue;
		if (answer(fd, line, (size_t)length) && end > now_milliseconds() + AGAIN_MILLISECONDS)
			end = now_milliseconds() + AGAIN_MILLISECONDS;
		close(fd);
	}
	close(listener);
}
