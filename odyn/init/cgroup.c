/* The bounds of the app: odyn has made a cgroup (version 2) with them. */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

/* From outside of the root, which does not have to show the tree. The namespace begins where the program is by then. */
void cgroup_join(const char *cgroup)
{
	char path[PATH_MAX];
	if (snprintf(path, sizeof path, "%s/cgroup.procs", cgroup) >= (int)sizeof path) {
		errno = ENAMETOOLONG;
		fail("cgroup");
	}
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		fail("cgroup");
	close(fd);
	if (unshare(CLONE_NEWCGROUP))
		fail("cgroup namespace");
}

/*
 * Runtimes read their bounds there: they have to find those of the program, not the machine's. The kernel does not mount a
 * file system over itself, so what shows the whole tree goes first.
 */
void cgroup_show(void)
{
	if (umount2("/sys/fs/cgroup", MNT_DETACH) && errno != EINVAL && errno != ENOENT)
		fail("cgroup unmount");
	if (mount("cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) && errno != ENOENT)
		fail("cgroup mount");
}
