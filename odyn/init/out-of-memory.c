#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* More than the kernel's log has room for. */
#define RECORDS_MAX 65536

/* One record of /dev/kmsg for each read: `priority,number,time,flags;text`. The priority of what others write there is 8 or more. */
int out_of_memory_ended(pid_t pid)
{
	char record[1024], victim[48];
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return 0;
	/* mm/oom_kill.c, for the whole machine and for a cgroup. */
	snprintf(victim, sizeof victim, "Killed process %d (", (int)pid);
	int found = 0;
	for (int count = 0; !found && count < RECORDS_MAX; count++) {
		ssize_t length = read(fd, record, sizeof record - 1);
		/* EPIPE: overwritten meanwhile; EINVAL: longer than there is room for, and none of these. */
		if (length < 0 && (errno == EPIPE || errno == EINVAL))
			continue;
		if (length <= 0)
			break;
		record[length] = 0;
		const char *text = strchr(record, ';');
		found = record[0] < '8' && record[1] == ',' && text && strstr(text, "ut of memory") && strstr(text, victim);
	}
	close(fd);
	return found;
}
