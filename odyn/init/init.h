/*
 * init: PID 1 of the enclave. The parts it is made of, one file each.
 *
 * Rules that hold everywhere here: a function returns 0, or -1 after it has said on the console what went wrong;
 * nothing is allocated; every wait has a bound.
 */
#ifndef ENCLAVER_INIT_H
#define ENCLAVER_INIT_H

#include <stdint.h>
#include <sys/types.h>

/* log.c: console lines `init: E_CODE text: reason`, the last one kept for the status port. */
void log_open_console(void);
void log_error(int error_number, const char *code, const char *format, ...) __attribute__((format(printf, 3, 4)));
const char *log_last_error(void);

/* mount.c: the pseudo file systems below `root` ("" for init's own root, "/rootfs" for the app's). */
int mount_system(const char *root);

/* mount.c: lets the root grow to half of the memory. */
int mount_resize_root(void);

/* modules.c: loads what the list names, in its order. No list means that the kernel has everything built in. */
int modules_load(const char *directory);

/* entropy.c: seeds the kernel's random numbers from the NSM, where there is one, and refuses to go on without. */
int entropy_seed(void);

/* net.c: brings `lo` up; the kernel then gives it 127.0.0.1 and ::1. */
int net_loopback_up(void);

/* cmdline.c: value of an unsigned number `name=` on the kernel command line, `fallback` if absent or not a number. */
unsigned cmdline_number(const char *name, unsigned fallback);

/* Room for the kernel command line: COMMAND_LINE_SIZE of x86 and arm64 is 2048. */
#define CMDLINE_MAX 2049

/*
 * cmdline.c: every `<module>.<parameter>=<value>` of the command line, given as `name`, as `<parameter>=<value> `, in
 * their order: what modprobe hands to a module.
 */
int cmdline_parameters(const char *name, char parameters[static CMDLINE_MAX]);

/* heartbeat.c: tells the parent that the kernel is up, as Nitro expects of every PID 1. */
int heartbeat_send(unsigned parent_cid);

/* reap.c: waits for `child` to end, buries every other child meanwhile; gives the wait status. */
int reap_until(pid_t child);

/* out-of-memory.c: whether the kernel's log says that it ended this process for want of memory. */
int out_of_memory_ended(pid_t pid);

/* crash-status.c: answers on the status port that this enclave is lost. */
void crash_status_serve(const char *error);

#endif
