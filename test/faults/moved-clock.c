/*
 * moved-clock FILE PROGRAM [ARGUMENT...]
 *
 * Runs PROGRAM with its wall clock moved by as many nanoseconds as FILE holds (8 bytes, a signed number in the byte order of this
 * machine), which may change at any time: a clock that jumps. The monotonic clock stays, as it does when a machine's clock is set.
 *
 * A library that is preloaded does not reach programs without a C library, such as nats-server. So a helper takes the vDSO away
 * from the program as it starts, after which reading the clock is a system call; seccomp gives those to the helper
 * (seccomp_unotify(2)), which answers them. Programs that PROGRAM starts have their vDSO again, and so the true clock; waits until a
 * point of the wall clock and times of files are the kernel's.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000LL

static int copy(pid_t pid, uint64_t at, void *here, size_t size, int is_write)
{
	struct iovec local = { here, size }, remote = { (void *)at, size };
	ssize_t done = is_write ? process_vm_writev(pid, &local, 1, &remote, 1, 0)
				: process_vm_readv(pid, &local, 1, &remote, 1, 0);

	return done == (ssize_t)size ? 0 : -1;
}

static uint64_t word_at(pid_t pid, uint64_t at)
{
	uint64_t word;

	if (copy(pid, at, &word, sizeof word, 0) != 0)
		err(1, "stack of the program");
	return word;
}

/* Of a program that starts now: its stack has argc, argv, the environment and the auxiliary vector, see proc(5) and getauxval(3). */
static void take_vdso_away(pid_t pid)
{
	char path[64], text[2048], *field;
	uint64_t at, ignore = AT_IGNORE;
	ssize_t size;
	int fd, space;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (size = read(fd, text, sizeof text - 1)) <= 0)
		err(1, "%s", path);
	close(fd);
	text[size] = 0;
	/* `startstack` is field 28; the second one ends with the last parenthesis. */
	field = strrchr(text, ')') + 1;
	for (space = 0; space < 25; space++)
		field = strchr(field + 1, ' ');
	at = strtoull(field, NULL, 10);
	at += 8 * (word_at(pid, at) + 2);
	while (word_at(pid, at) != 0)
		at += 8;
	for (at += 8; word_at(pid, at) != AT_NULL; at += 16)
		if (word_at(pid, at) == AT_SYSINFO_EHDR && copy(pid, at, &ignore, sizeof ignore, 1) != 0)
			err(1, "auxiliary vector");
}

static void answer(int fd, const volatile int64_t *offset)
{
	struct seccomp_notif call = { 0 };
	struct seccomp_notif_resp reply = { 0 };
	struct timespec now;
	int64_t moved;

	if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	moved = now.tv_sec * NS + now.tv_nsec + *offset;
	reply.id = call.id;
	if (call.data.nr == SYS_clock_gettime) {
		struct timespec time = { moved / NS, moved % NS };

		reply.error = copy((pid_t)call.pid, call.data.args[1], &time, sizeof time, 1) == 0 ? 0 : -EFAULT;
	} else if (call.data.nr == SYS_gettimeofday) {
		struct timeval time = { moved / NS, moved % NS / 1000 };

		reply.error = copy((pid_t)call.pid, call.data.args[0], &time, sizeof time, 1) == 0 ? 0 : -EFAULT;
	} else {
		time_t time = moved / NS;

		if (call.data.args[0] != 0 && copy((pid_t)call.pid, call.data.args[0], &time, sizeof time, 1) != 0)
			reply.error = -EFAULT;
		else
			reply.val = time;
	}
	/* It may have been killed meanwhile */
	ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &reply);
}

/* Lives as long as the program. */
static void help(pid_t pid, int socket, const volatile int64_t *offset)
{
	struct pollfd listener = { .events = POLLIN };
	int number, status, pidfd;
	char byte;

	/* From then on a signal, such as that of the child in between, would stop it. */
	if (read(socket, &byte, 1) != 1)
		err(1, "socket");
	if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)PTRACE_O_TRACEEXEC) != 0)
		err(1, "ptrace");
	if (write(socket, "", 1) != 1 || read(socket, &number, sizeof number) != sizeof number)
		err(1, "socket");
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	listener.fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	if (listener.fd < 0)
		err(1, "pidfd_getfd");
	if (write(socket, "", 1) != 1)
		err(1, "socket");
	close(socket);
	while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
		if (status >> 8 == (SIGTRAP | (PTRACE_EVENT_EXEC << 8))) {
			take_vdso_away(pid);
			ptrace(PTRACE_DETACH, pid, NULL, NULL);
			break;
		}
		ptrace(PTRACE_CONT, pid, NULL, (void *)(uintptr_t)WSTOPSIG(status));
	}
	while (poll(&listener, 1, -1) > 0 && (listener.revents & POLLHUP) == 0)
		answer(listener.fd, offset);
}

static int filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_gettimeofday, 6, 0),
#ifdef SYS_time
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_time, 5, 0),
#else
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_gettimeofday, 5, 0),
#endif
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_gettime, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CLOCK_REALTIME, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CLOCK_REALTIME_COARSE, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	};
	struct sock_fprog program = { sizeof code / sizeof *code, code };

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			    SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
}

int main(int argc, char **argv)
{
	const volatile int64_t *offset;
	pid_t pid = getpid();
	int sockets[2], file, listener;
	char byte;

	if (argc < 3)
		errx(2, "usage: moved-clock FILE PROGRAM [ARGUMENT...]");
	file = open(argv[1], O_RDONLY | O_CLOEXEC);
	offset = mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
	if (file < 0 || offset == MAP_FAILED)
		err(1, "%s", argv[1]);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0)
		err(1, "socketpair");
	/* Twice, so that it is no child of the program */
	if (fork() == 0) {
		if (fork() == 0) {
			close(sockets[0]);
			/* What waits for the end of the program's output must not wait for the helper's */
			for (int fd = 0; fd < 3; fd++)
				dup2(open("/dev/null", O_RDWR | O_CLOEXEC), fd);
			help(pid, sockets[1], offset);
		}
		_exit(0);
	}
	wait(NULL);
	close(sockets[1]);
	if (write(sockets[0], "", 1) != 1 || read(sockets[0], &byte, 1) != 1 || (listener = filter()) < 0)
		err(1, "seccomp");
	if (write(sockets[0], &listener, sizeof listener) != sizeof listener || read(sockets[0], &byte, 1) != 1)
		err(1, "helper");
	close(listener);
	execvp(argv[2], argv + 2);
	err(1, "%s", argv[2]);
}
