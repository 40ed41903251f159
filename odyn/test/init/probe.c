/*
 * Says in JSON in what state a program finds itself that was started by launch. First argument, for more:
 *   wait     waits for input after that
 *   orphan   leaves a process behind that ends a little later; says its number
 *   by-name  writes to /dev/stdout and /dev/stderr, opened by these names
 *   escape   tries what a confined program must not be able to do, on process `argument 2` and the system;
 *            says the errno of each try, 0 where it succeeded
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int write_by_name(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND);
	if (fd < 0 || dprintf(fd, "to %s\n", path) < 0) {
		perror(path);
		return 1;
	}
	return 0;
}

static int leave_orphan(void)
{
	pid_t child = fork();
	if (child == 0) {
		usleep(100000);
		_exit(7);
	}
	printf("%d\n", child);
	return child < 0;
}

static void tried(const char *name, long result)
{
	printf("\"%s\":%d,", name, result < 0 ? errno : 0);
}

#ifdef __x86_64__
/* As a 32-bit program calls the kernel. */
static long call_32(long number, long first, long second)
{
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second), "d"(0) : "memory", "r8", "r9", "r10", "r11");
	errno = result < 0 ? (int)-result : 0;
	return result;
}
#endif

static int try_to_escape(pid_t other)
{
	char path[64];
	static char ring[120];
	printf("{");
	tried("vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
	tried("vsock, upper half set", syscall(SYS_socket, (1L << 32) | AF_VSOCK, SOCK_STREAM, 0));
	tried("tcp", socket(AF_INET, SOCK_STREAM, 0));
	tried("io_uring", syscall(425, 1, ring));
#ifdef __x86_64__
	tried("vsock, x32", syscall(0x40000000 | SYS_socket, AF_VSOCK, SOCK_STREAM, 0));
	tried("vsock, 32 bits", call_32(359, AF_VSOCK, SOCK_STREAM));
	tried("socketcall", call_32(102, 1, 0));
	tried("tcp, 32 bits", call_32(359, AF_INET, SOCK_STREAM));
#endif
	tried("trace", ptrace(PTRACE_SEIZE, other, NULL, NULL));
	snprintf(path, sizeof path, "/proc/%d/mem", other);
	tried("memory", open(path, O_RDWR));
	snprintf(path, sizeof path, "/proc/%d/root/", other);
	tried("root", open(path, O_RDONLY));
	tried("descriptor", syscall(438 /* pidfd_getfd */, syscall(434 /* pidfd_open */, other, 0), 0, 0));
	tried("sysctl", open("/proc/sys/kernel/core_pattern", O_WRONLY));
	tried("sysfs", open("/sys/kernel/profiling", O_WRONLY));
	tried("writable /proc", mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND, NULL));
	tried("unmount /proc", umount("/proc/sys"));
	tried("chown", chown("/i-am-the-root", 1, 1));
	unsigned long long bounding = 0;
	for (int i = 0; i < 64; i++)
		bounding |= prctl(PR_CAPBSET_READ, i) == 1 ? 1ULL << i : 0;
	printf("\"capabilities\":%llu}\n", bounding);
	return 0;
}

static void print_list(const char *name, int from, int to, int (*has)(int))
{
	printf("\"%s\":[", name);
	for (int i = from, n = 0; i < to; i++)
		if (has(i))
			printf("%s%d", n++ ? "," : "", i);
	printf("],");
}

static int is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int is_blocked(int number)
{
	sigset_t mask;
	sigprocmask(SIG_BLOCK, NULL, &mask);
	return sigismember(&mask, number) == 1;
}

static int is_ignored(int number)
{
	struct sigaction action;
	return !sigaction(number, NULL, &action) && action.sa_handler == SIG_IGN;
}

static void print_state(int count, char **arguments)
{
	uid_t real, effective, saved;
	gid_t groups[300];
	char folder[PATH_MAX];
	struct rlimit files;
	getresuid(&real, &effective, &saved);
	printf("{\"uids\":[%u,%u,%u],", real, effective, saved);
	getresgid(&real, &effective, &saved);
	printf("\"gids\":[%u,%u,%u],\"groups\":[", real, effective, saved);
	int group_count = getgroups(300, groups);
	for (int i = 0; i < group_count; i++)
		printf("%s%u", i ? "," : "", groups[i]);
	printf("],\"cwd\":\"%s\",\"leader\":%s,", getcwd(folder, sizeof folder), getpgrp() == getpid() ? "true" : "false");
	printf("\"inRoot\":%s,\"umask\":%u,", access("/i-am-the-root", F_OK) ? "false" : "true", umask(0));
	print_list("open", 0, 1024, is_open);
	print_list("blocked", 1, NSIG, is_blocked);
	print_list("ignored", 1, NSIG, is_ignored);
	getrlimit(RLIMIT_NOFILE, &files);
	printf("\"files\":[%llu,%llu],", (unsigned long long)files.rlim_cur, (unsigned long long)files.rlim_max);
	printf("\"greeting\":\"%s\",", getenv("GREETING") ? getenv("GREETING") : "");
	printf("\"arguments\":[");
	for (int i = 1; i < count; i++)
		printf("%s\"%s\"", i > 1 ? "," : "", arguments[i]);
	printf("]}\n");
	fflush(stdout);
}

int main(int count, char **arguments)
{
	const char *more = count > 1 ? arguments[1] : "";
	if (!strcmp(more, "orphan"))
		return leave_orphan();
	if (!strcmp(more, "by-name"))
		return write_by_name("/dev/stdout") | write_by_name("/dev/stderr");
	if (!strcmp(more, "escape"))
		return try_to_escape(atoi(arguments[2]));
	print_state(count, arguments);
	if (!strcmp(more, "wait"))
		return getchar() == EOF ? 1 : 0;
	return 0;
}
