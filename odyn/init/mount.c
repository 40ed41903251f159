#include "init.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

struct entry {
	const char *type;
	const char *target;
	unsigned long flags;
	const char *options;
	/* EMPTY_ONLY: image content in this folder stays visible instead of being covered. */
	enum { ALWAYS, EMPTY_ONLY, IF_KNOWN } when;
	/* 0 keeps owner and mode that the folder has in the image. */
	mode_t mode;
};

/*
 * Every file here is memory: the root itself is a tmpfs of at most half of it (the kernel's default). /tmp gets the
 * same bound because images expect the same room there as on their root; /dev/shm a quarter (no less than the 64 MB of
 * container engines on 256 MB of memory); /run holds pid files and sockets.
 *
 * nsdelegate: who sees a cgroup as the whole tree may divide it but not widen its bounds, nor leave it.
 *
 * Programs unpack libraries into /tmp and map them, so it is not noexec. /dev and /dev/shm are, as container
 * engines have them.
 */
static const struct entry table[] = {
	{ "devtmpfs", "/dev", MS_NOSUID | MS_NOEXEC, "mode=0755", ALWAYS, 0 },
	{ "devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=0620,gid=5,ptmxmode=0666", ALWAYS, 0 },
	{ "tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=25%,mode=1777", ALWAYS, 0 },
	{ "proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, ALWAYS, 0 },
	{ "sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, ALWAYS, 0 },
	{ "cgroup2", "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, "nsdelegate", IF_KNOWN, 0 },
	{ "tmpfs", "/run", MS_NOSUID | MS_NODEV, "size=10%", EMPTY_ONLY, 0 },
	{ "tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "size=50%", EMPTY_ONLY, 01777 },
};

/* Links that devtmpfs does not make and that shells and log settings of images rely on. */
static const char *const links[][2] = {
	{ "/proc/self/fd", "/dev/fd" },
	{ "/proc/self/fd/0", "/dev/stdin" },
	{ "/proc/self/fd/1", "/dev/stdout" },
	{ "/proc/self/fd/2", "/dev/stderr" },
};

/* 1, 0, or -1 with errno. */
static int is_empty(const char *path)
{
	DIR *directory = opendir(path);
	if (!directory)
		return -1;
	int empty = 1;
	for (struct dirent *item; empty && (item = readdir(directory));)
		empty = !strcmp(item->d_name, ".") || !strcmp(item->d_name, "..");
	closedir(directory);
	return empty;
}

static int mount_entry(const char *root, const struct entry *entry)
{
	char path[PATH_MAX];
	struct stat info;
	snprintf(path, sizeof path, "%s%s", root, entry->target);
	if (mkdir(path, 0755) && errno != EEXIST && entry->when != IF_KNOWN) {
		log_error(errno, "E_MOUNT", "mkdir %s", path);
		return -1;
	}
	/* A link in the image (/run -> var/run) would send the mount to another place, at worst outside of the root. */
	if (lstat(path, &info)) {
		if (entry->when == IF_KNOWN)
			return 0;
		log_error(errno, "E_MOUNT", "stat %s", path);
		return -1;
	}
	if (!S_ISDIR(info.st_mode)) {
		if (entry->when == EMPTY_ONLY)
			return 0;
		log_error(ENOTDIR, "E_MOUNT", "%s", path);
		return -1;
	}
	mode_t mode = entry->mode ? entry->mode : info.st_mode & 07777;
	if (entry->when == EMPTY_ONLY) {
		int empty = is_empty(path);
		if (empty < 0)
			log_error(errno, "E_MOUNT", "read %s", path);
		if (empty != 1)
			return empty;
	}
	if (mount(entry->type, path, entry->type, entry->flags, entry->options)) {
		/* A kernel with CONFIG_DEVTMPFS_MOUNT may have put it there before us. */
		if (errno == EBUSY)
			return 0;
		if (errno == ENODEV && entry->when == IF_KNOWN)
			return 0;
		log_error(errno, "E_MOUNT", "%s on %s", entry->type, path);
		return -1;
	}
	if (entry->when == EMPTY_ONLY && (chown(path, info.st_uid, info.st_gid) || chmod(path, mode))) {
		log_error(errno, "E_MOUNT", "owner and mode of %s", path);
		return -1;
	}
	return 0;
}

/*
 * The kernel sized the root as half of the memory that was free beside the packed ramdisks. They are gone by now:
 * half of what there is leaves the app more room to write.
 */
int mount_resize_root(void)
{
	if (mount(NULL, "/", NULL, MS_REMOUNT, "size=50%")) {
		log_error(errno, "E_MOUNT", "resize /");
		return -1;
	}
	return 0;
}

int mount_system(const char *root)
{
	char path[PATH_MAX];
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (mount_entry(root, &table[i]))
			return -1;
	for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
		snprintf(path, sizeof path, "%s%s", root, links[i][1]);
		/* devtmpfs is one file system however often it is mounted: the second root finds the links made. */
		if (symlink(links[i][0], path) && errno != EEXIST) {
			log_error(errno, "E_MOUNT", "link %s", path);
			return -1;
		}
	}
	return 0;
}
