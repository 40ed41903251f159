/*
 * What keeps an app, also one that is root, within the egress policy: the parent is reached by vsock alone, and only
 * odyn may dial it. An app that could open vsock sockets, act on odyn or on the kernel would be past the policy.
 */
#include "launch.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * What container engines leave by default (numbers of linux/capability.h). Root without the others can neither trace
 * odyn nor change mounts, modules, routes or the clock.
 */
enum { CHOWN, DAC_OVERRIDE, FOWNER = 3, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE = 10, NET_RAW = 13,
       SYS_CHROOT = 18, MKNOD = 27, AUDIT_WRITE = 29, SETFCAP = 31 };
#define BIT(capability) (1ULL << (capability))
static const uint64_t kept = BIT(CHOWN) | BIT(DAC_OVERRIDE) | BIT(FOWNER) | BIT(FSETID) | BIT(KILL) | BIT(SETGID) |
			     BIT(SETUID) | BIT(SETPCAP) | BIT(NET_BIND_SERVICE) | BIT(NET_RAW) | BIT(SYS_CHROOT) |
			     BIT(MKNOD) | BIT(AUDIT_WRITE) | BIT(SETFCAP);

/* Their files are root's to write, and some of them have the kernel start programs, outside of the app's root. */
static const char *const read_only[] = {
	"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/sys/fs/cgroup", "/sys",
};

void confine_mounts(void)
{
	const unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
	for (size_t i = 0; i < sizeof read_only / sizeof *read_only; i++) {
		const char *path = read_only[i];
		if (access(path, F_OK))
			continue;
		if (mount(path, path, NULL, MS_BIND | MS_REC, NULL) ||
		    mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | flags, NULL))
			fail("read-only mounts");
	}
}

static void drop_capabilities(void)
{
	for (unsigned long capability = 0; capability < 64; capability++) {
		int held = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
		/* Past the last one that this kernel knows */
		if (held < 0 && errno == EINVAL)
			return;
		if (held < 0 || (held && !(kept & BIT(capability)) && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)))
			fail("capabilities");
	}
}

/* linux/audit.h and the tables of system calls: a 64-bit kernel runs 32-bit programs, too, by other numbers. */
#if defined(__x86_64__)
#define ARCH_64 0xc000003e
#define ARCH_32 0x40000003
#define SOCKET_32 359
#elif defined(__aarch64__)
#define ARCH_64 0xc00000b7
#define ARCH_32 0x40000028
#define SOCKET_32 281
#else
#error "no system call numbers for this architecture"
#endif
/* Hides its arguments from a filter; C libraries of the last ten years do without. */
#define SOCKETCALL_32 102
/* The same number everywhere. Its operations pass by filters, and one of them opens sockets. */
#define IO_URING_SETUP 425
/* x32, a second numbering of x86_64, begins here; nothing else does. */
#define NUMBERS_END 0x40000000

/* linux/filter.h and linux/seccomp.h */
struct instruction {
	uint16_t code;
	uint8_t yes, no;
	uint32_t operand;
};
struct program {
	unsigned short length;
	const struct instruction *instructions;
};
#define NUMBER 0
#define ARCH 4
#define FIRST_ARGUMENT 16
#define LOAD(offset) { 0x20, 0, 0, (offset) }
#define EQUAL 0x15
#define AT_LEAST 0x35
/* Instruction `at` goes on at instruction `then` or `otherwise`. */
#define IF(at, test, value, then, otherwise) { (test), (then) - (at) - 1, (otherwise) - (at) - 1, (value) }
#define ALLOW { 0x06, 0, 0, 0x7fff0000 }
#define REFUSE(error) { 0x06, 0, 0, 0x00050000 | (error) }

enum { CHECK_32 = 6, CHECK_FAMILY = 11, ALLOWED = 13, NO_CALL, NO_RING, NO_FAMILY };

/* An int is in the first half of its 64-bit argument: both architectures are little-endian. */
static const struct instruction filter[] = {
	LOAD(ARCH),
	[1] = IF(1, EQUAL, ARCH_64, 2, CHECK_32),
	LOAD(NUMBER),
	[3] = IF(3, AT_LEAST, NUMBERS_END, NO_CALL, 4),
	[4] = IF(4, EQUAL, SYS_socket, CHECK_FAMILY, 5),
	[5] = IF(5, EQUAL, IO_URING_SETUP, NO_RING, ALLOWED),
	[CHECK_32] = IF(6, EQUAL, ARCH_32, 7, NO_CALL),
	LOAD(NUMBER),
	[8] = IF(8, EQUAL, SOCKETCALL_32, NO_CALL, 9),
	[9] = IF(9, EQUAL, IO_URING_SETUP, NO_RING, 10),
	[10] = IF(10, EQUAL, SOCKET_32, CHECK_FAMILY, ALLOWED),
	[CHECK_FAMILY] = LOAD(FIRST_ARGUMENT),
	[12] = IF(12, EQUAL, AF_VSOCK, NO_FAMILY, ALLOWED),
	[ALLOWED] = ALLOW,
	[NO_CALL] = REFUSE(ENOSYS),
	[NO_RING] = REFUSE(EPERM),
	[NO_FAMILY] = REFUSE(EAFNOSUPPORT),
};

void confine_process(void)
{
	const struct program program = { sizeof filter / sizeof *filter, filter };
	drop_capabilities();
	/* Root may do this without no_new_privs, so that the image's own set-user-ID programs keep working. */
	if (prctl(PR_SET_SECCOMP, 2 /* SECCOMP_MODE_FILTER */, &program, 0, 0))
		fail("system call filter");
}
