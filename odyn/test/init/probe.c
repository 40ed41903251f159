/* Says in JSON in what state a program finds itself that was started by launch. With the argument `wait`: waits for input after that. */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int count, char **arguments)
{
	uid_t real, effective, saved;
	gid_t groups[300];
	char folder[PATH_MAX];
	sigset_t mask;
	struct rlimit files;
	getresuid(&real, &effective, &saved);
	printf("{\"uids\":[%u,%u,%u],", real, effective, saved);
	getresgid(&real, &effective, &saved);
	printf("\"gids\":[%u,%u,%u],\"groups\":[", real, effective, saved);
	int group_count = getgroups(300, groups);
	for (int i = 0; i < group_count; i++)
		printf("%s%u", i ? "," : "", groups[i]);
	printf("],\"cwd\":\"%s\",\"leader\":%s,", getcwd(folder, sizeof folder), getpgrp() == getpid() ? "true" : "false");
	printf("\"inRoot\":%s,", access("/i-am-the-root", F_OK) ? "false" : "true");
	printf("\"umask\":%u,\"open\":[", umask(0));
	for (int fd = 0, n = 0; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf("%s%d", n++ ? "," : "", fd);
	printf("],\"blocked\":[");
	sigprocmask(SIG_BLOCK, NULL, &mask);
	for (int number = 1, n = 0; number < NSIG; number++)
		if (sigismember(&mask, number) == 1)
			printf("%s%d", n++ ? "," : "", number);
	printf("],\"ignored\":[");
	for (int number = 1, n = 0; number < NSIG; number++) {
		struct sigaction action;
		if (!sigaction(number, NULL, &action) && action.sa_handler == SIG_IGN)
			printf("%s%d", n++ ? "," : "", number);
	}
	getrlimit(RLIMIT_NOFILE, &files);
	printf("],\"files\":%llu,\"arguments\":[", (unsigned long long)files.rlim_cur);
	for (int i = 1; i < count; i++)
		printf("%s\"%s\"", i > 1 ? "," : "", arguments[i]);
	printf("]}\n");
	fflush(stdout);
	if (count > 1 && !strcmp(arguments[1], "wait"))
		return getchar() == EOF ? 1 : 0;
	return 0;
}
