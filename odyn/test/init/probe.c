/*
 * Says in JSON in what state a program finds itself that was started by launch. First argument, for more:
 *   wait     waits for input after that
 *   orphan   leaves a process behind that ends a little later; says its number
 *   by-name  writes to /dev/stdout and /dev/stderr, opened by these names
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
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
	printf("\"files\":%llu,\"greeting\":\"%s\",", (unsigned long long)files.rlim_cur, getenv("GREETING") ? getenv("GREETING") : "");
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
	print_state(count, arguments);
	if (!strcmp(more, "wait"))
		return getchar() == EOF ? 1 : 0;
	return 0;
}
