/*
 * launch: starts the app in its own root, as its image's configuration says.
 *
 *   launch --root DIR --uid N --gid N [--groups N,N…] [--cgroup DIR] [--open-files N] --workdir DIR [--privileged] \
 *     [--sibling] -- PROGRAM [ARGUMENT…]
 *
 * The environment is passed on as it is, the program is looked up in its PATH. If a step fails, `errno step\n` goes to
 * descriptor 3 and the exit code is 127; descriptor 3 closes by itself when the program has started.
 *
 * The app is confined (confine.c) unless it is privileged. What the image's own set-user-ID programs may do within that
 * stays possible: no_new_privs is not set.
 *
 * With --cgroup the program is moved into that cgroup (cgroup.c).
 *
 * With --sibling launch ends at once, and the program becomes a child of whoever started launch, who waits for it; `pid N\n`
 * goes to descriptor 3 before anything else. Node tells the end of its own children without real-time signals.
 */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* More than any image asks for; NGROUPS_MAX would allow 65536. */
#define GROUPS_MAX 256

/* Unless told otherwise: the soft limit that PID 1 gave. Node raises its own to the hard limit, which programs that loop over all descriptors do not bear. */
#define FILES_SOFT 65536

struct request {
	const char *root;
	const char *workdir;
	const char *cgroup;
	/* 0: as PID 1 has it. */
	rlim_t open_files;
	uid_t uid;
	gid_t gid;
	gid_t groups[GROUPS_MAX];
	size_t group_count;
	int privileged;
	int sibling;
	char **program;
};

static _Noreturn void refuse_arguments(void)
{
	errno = EINVAL;
	fail("arguments");
}

/* 0 to 4294967294: the last value of the type means "leave as it is" to the kernel. `text` is moved behind the number. */
static unsigned read_id(const char **text)
{
	char *end;
	errno = 0;
	unsigned long number = strtoul(*text, &end, 10);
	if (**text < '0' || **text > '9' || errno || number >= UINT_MAX)
		refuse_arguments();
	*text = end;
	return (unsigned)number;
}

static unsigned read_number(const char *text)
{
	unsigned id = read_id(&text);
	if (*text)
		refuse_arguments();
	return id;
}

static void read_groups(struct request *request, const char *text)
{
	while (*text) {
		if (request->group_count == GROUPS_MAX)
			refuse_arguments();
		request->groups[request->group_count++] = read_id(&text);
		if (*text == ',' && text[1])
			text++;
		else if (*text)
			refuse_arguments();
	}
}

static struct request read_arguments(char **argument)
{
	struct request request = { 0 };
	const char *uid = NULL, *gid = NULL;
	while (*argument && strcmp(*argument, "--")) {
		const char *name = *argument++;
		if (!strcmp(name, "--privileged")) {
			request.privileged = 1;
			continue;
		}
		if (!strcmp(name, "--sibling")) {
			request.sibling = 1;
			continue;
		}
		const char *value = *argument;
		if (!value)
			break;
		argument++;
		if (!strcmp(name, "--root"))
			request.root = value;
		else if (!strcmp(name, "--uid"))
			uid = value;
		else if (!strcmp(name, "--gid"))
			gid = value;
		else if (!strcmp(name, "--groups"))
			read_groups(&request, value);
		else if (!strcmp(name, "--cgroup"))
			request.cgroup = value;
		else if (!strcmp(name, "--open-files"))
			request.open_files = read_number(value);
		else if (!strcmp(name, "--workdir"))
			request.workdir = value;
		else
			refuse_arguments();
	}
	if (!*argument || strcmp(*argument, "--") || !argument[1] || !request.root || !uid || !gid || !request.workdir)
		refuse_arguments();
	request.uid = read_number(uid);
	request.gid = read_number(gid);
	request.program = argument + 1;
	return request;
}

/*
 * From here on two processes: this one ends, the other goes on as a child of whoever started it, who can then wait for it
 * itself. Its process id comes first on descriptor 3.
 */
static void go_on_as_sibling(void)
{
	long pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid < 0)
		fail("clone");
	if (pid > 0)
		_exit(0);
	dprintf(ERROR_FD, "pid %d\n", getpid());
	if (setsid() < 0)
		fail("session");
}

static void close_other_descriptors(void)
{
	/* Absent when the starter does not care for the reason: then there is nothing to mark. */
	if (fcntl(ERROR_FD, F_SETFD, FD_CLOEXEC) && errno != EBADF)
		fail("error pipe");
	if (syscall(SYS_close_range, ERROR_FD + 1, UINT_MAX, 0))
		fail("close descriptors");
}

/* Node ignores SIGPIPE, and what is ignored stays ignored across exec: shell pipelines would then never end. */
static void reset_signals(void)
{
	sigset_t none;
	sigemptyset(&none);
	for (int number = 1; number < NSIG; number++)
		/* Not to be changed: SIGKILL, SIGSTOP and those the C library keeps to itself. */
		if (signal(number, SIG_DFL) == SIG_ERR && errno != EINVAL)
			fail("signals");
	if (sigprocmask(SIG_SETMASK, &none, NULL))
		fail("signals");
}

/* odyn is protected from the kernel's out-of-memory killer; the app is its first candidate. */
static void reset_oom_score(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		fail("oom score");
	close(fd);
}

static void enter_root(const char *root)
{
	if (unshare(CLONE_NEWNS))
		fail("unshare");
	/* Nothing of what follows may be seen outside, or undone from there. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		fail("private mounts");
	/* pivot_root cannot leave an initramfs; moving a mount over it can, and needs the folder to be a mount. */
	if (mount(root, root, NULL, MS_BIND | MS_REC, NULL))
		fail("bind root");
	if (chdir(root))
		fail("enter root");
	if (mount(".", "/", NULL, MS_MOVE, NULL))
		fail("move root");
	if (chroot(".") || chdir("/"))
		fail("chroot");
}

/* As root, before the user changes: container engines make the folder and enter it where the user could do neither. */
static void enter_workdir(const char *workdir)
{
	char path[PATH_MAX];
	size_t length = strlen(workdir);
	if (length == 0 || length >= sizeof path) {
		errno = length ? ENAMETOOLONG : ENOENT;
		fail("workdir");
	}
	memcpy(path, workdir, length + 1);
	for (char *slash = path + 1; *slash && (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			fail("workdir");
		*slash = '/';
	}
	if ((mkdir(path, 0755) && errno != EEXIST) || chdir(path))
		fail("workdir");
}

/* A program that opens /dev/stdout by name is checked against the owner of the pipe, which odyn made. */
static void own_output_pipes(uid_t uid, gid_t gid)
{
	struct stat info;
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fstat(fd, &info))
			fail("output");
		if (S_ISFIFO(info.st_mode) && fchown(fd, uid, gid))
			fail("output");
	}
}

static void set_limits(rlim_t open_files)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files))
		fail("limits");
	if (open_files)
		files = (struct rlimit){ .rlim_cur = open_files, .rlim_max = open_files };
	else if (files.rlim_cur > FILES_SOFT)
		files.rlim_cur = FILES_SOFT;
	if (setrlimit(RLIMIT_NOFILE, &files))
		fail("limits");
}

int main(int count, char **arguments)
{
	struct request request = read_arguments(arguments + (count > 0));
	close_other_descriptors();
	if (request.sibling)
		go_on_as_sibling();
	reset_signals();
	reset_oom_score();
	set_limits(request.open_files);
	umask(022);
	if (getpgrp() != getpid() && setpgid(0, 0))
		fail("process group");
	if (request.cgroup)
		cgroup_join(request.cgroup);
	enter_root(request.root);
	/* Before it is made read-only */
	if (request.cgroup)
		cgroup_show();
	if (!request.privileged)
		confine_mounts();
	enter_workdir(request.workdir);
	own_output_pipes(request.uid, request.gid);
	if (setgroups(request.group_count, request.groups))
		fail("groups");
	if (setresgid(request.gid, request.gid, request.gid))
		fail("gid");
	if (!request.privileged)
		confine_process();
	if (setresuid(request.uid, request.uid, request.uid))
		fail("uid");
	execvp(request.program[0], request.program);
	fail("exec");
}
