/*
 * PID 1 of the enclave: prepares the machine, starts odyn, buries orphans, and ends the machine when odyn ends.
 * It must never return: a PID 1 that ends is a kernel panic.
 */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Where Nitro has the parent instance; a local emulator names another one on the command line it appends. */
#define NITRO_PARENT_CID 3

/* Room for as many connections as a proxy meets; the soft limit is one that programs which close "all" descriptors bear. */
#define FILES_SOFT 65536
#define FILES_HARD 1048576

#define SEARCH_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static long long boot_microseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

/* In a user namespace of its own any app would have every capability again; container engines close them, too. */
static int close_user_namespaces(void)
{
	int fd = open("/proc/sys/user/max_user_namespaces", O_WRONLY | O_CLOEXEC);
	int result = fd < 0 || write(fd, "0", 1) != 1;
	if (result)
		log_error(errno, "E_NAMESPACES", "max_user_namespaces");
	if (fd >= 0)
		close(fd);
	return -result;
}

static int prepare(void)
{
	struct rlimit files = { .rlim_cur = FILES_SOFT, .rlim_max = FILES_HARD };
	umask(022);
	if (mount_system(""))
		return -1;
	log_open_console();
	if (close_user_namespaces() || mount_resize_root() || mount_system("/rootfs") || modules_load("/modules") ||
	    entropy_seed() || net_loopback_up())
		return -1;
	if (sethostname("enclave", strlen("enclave"))) {
		log_error(errno, "E_HOSTNAME", "sethostname");
		return -1;
	}
	if (setrlimit(RLIMIT_NOFILE, &files)) {
		log_error(errno, "E_RLIMIT", "open files");
		return -1;
	}
	return heartbeat_send(cmdline_number("enclaver.parent_cid", NITRO_PARENT_CID));
}

/*
 * The app's output pipes. They are named ones because a program may open /dev/stdout by name (many images send their
 * log files there): that works for a pipe and not for the socket pairs Node makes.
 */
static int make_pipes(void)
{
	if (mkfifo("/run/app.stdout", 0600) || mkfifo("/run/app.stderr", 0600)) {
		log_error(errno, "E_PIPE", "app output");
		return -1;
	}
	return 0;
}

static void protect_from_oom_killer(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	/* Of two culprits the app is to go: odyn has to live to say why. The launcher takes this back for the app. */
	if (fd < 0 || write(fd, "-900", 4) != 4)
		log_error(errno, "E_OOM", "oom_score_adj");
	if (fd >= 0)
		close(fd);
}

static pid_t start_odyn(long long started)
{
	char init_started[64], odyn_exec[64];
	pid_t child = fork();
	if (child < 0)
		log_error(errno, "E_FORK", "odyn");
	if (child)
		return child;
	sigset_t none;
	sigemptyset(&none);
	setsid();
	protect_from_oom_killer();
	sigprocmask(SIG_SETMASK, &none, NULL);
	snprintf(init_started, sizeof init_started, "ENCLAVER_INIT_STARTED_US=%lld", started);
	snprintf(odyn_exec, sizeof odyn_exec, "ENCLAVER_ODYN_EXEC_US=%lld", boot_microseconds());
	/*
	 * SIGUSR1 would open Node's debugger on a port of loopback. V8's young generation is let no larger than a processor's cache:
	 * buffers of TLS are warm when they are used again, and the memory is given back. One heap of malloc, as the services have it: each
	 * thread of Node would else have one of its own. None of this is the app's: its environment is made of the image's.
	 */
	execve("/odyn/node",
	       (char *[]){ "/odyn/node", "--disable-sigusr1", "--max-semi-space-size=1", "/odyn/odyn.js", NULL },
	       (char *[]){ SEARCH_PATH, "MALLOC_ARENA_MAX=1", init_started, odyn_exec, NULL });
	log_error(errno, "E_EXEC", "/odyn/node");
	_exit(127);
}

/*
 * With ACPI (QEMU) a power-off is a shutdown that the host can tell from a panic. Without (Nitro) it would halt the
 * processors and leave the enclave hanging; there a reset is what ends it.
 */
static _Noreturn void end_machine(void)
{
	if (!access("/sys/firmware/acpi", F_OK))
		reboot(RB_POWER_OFF);
	reboot(RB_AUTOBOOT);
	log_error(errno, "E_REBOOT", "reboot");
	for (;;)
		pause();
}

static _Noreturn void end_fatal(const char *error)
{
	/* Nothing of the app goes on without odyn between it and the world. */
	kill(-1, SIGKILL);
	crash_status_serve(error);
	end_machine();
}

int main(void)
{
	long long started = boot_microseconds();
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (getpid() != 1) {
		dprintf(STDERR_FILENO, "init: E_PID1 this program only runs as process 1\n");
		return 1;
	}
	if (prepare() || make_pipes())
		end_fatal(log_last_error());
	pid_t odyn = start_odyn(started);
	if (odyn < 0)
		end_fatal(log_last_error());
	int status = reap_until(odyn);
	if (status == 0)
		end_machine();
	char error[96];
	if (status < 0)
		snprintf(error, sizeof error, "odyn crashed: its wait status is lost");
	else if (WIFSIGNALED(status))
		snprintf(error, sizeof error, "odyn crashed: killed by signal %d (%s)%s", WTERMSIG(status),
			 strsignal(WTERMSIG(status)),
			 WTERMSIG(status) == SIGKILL && out_of_memory_ended(odyn) ? ", out of memory" : "");
	else
		snprintf(error, sizeof error, "odyn crashed: exit code %d", WEXITSTATUS(status));
	log_error(0, "E_ODYN", "%s", error);
	end_fatal(error);
}
