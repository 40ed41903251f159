/*
 * launch: the parts it is made of. A step that fails ends the program: `fail` says which one, with errno.
 */
#ifndef ENCLAVER_LAUNCH_H
#define ENCLAVER_LAUNCH_H

/* Where odyn hears of it. */
#define ERROR_FD 3

/* fail.c */
_Noreturn void fail(const char *step);

/* cgroup.c: moves this process into the cgroup, which is the whole tree to it and to all that it starts. */
void cgroup_join(const char *cgroup);

/* cgroup.c: in the app's root, mounts that tree where programs look for it. */
void cgroup_show(void);

/* confine.c: in the app's root, makes read-only what would let root act outside of it. */
void confine_mounts(void);

/*
 * confine.c: leaves the capabilities that container engines leave, and closes the ways around odyn that no capability
 * guards. To be called as root, which it needs; what it takes stays taken from all that the app starts.
 */
void confine_process(void);

#endif
