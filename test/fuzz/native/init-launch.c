/* The words that launch is started with: the image's user, groups and folder are among them. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Seeds: "--root" "--uid" "--gid" "--groups" "--workdir" "--cgroup" "--open-files" "--privileged" "--sibling" "--" "1,2" "4294967294" */
static jmp_buf left;

#define _exit(code) longjmp(left, 1)
#define main launch_main
#include "../../../odyn/init/launch.c"
#include "../../../odyn/init/fail.c"
#undef main
#undef _exit

void cgroup_join(const char *cgroup) { (void)cgroup; }
void cgroup_show(void) {}
void confine_mounts(void) {}
void confine_process(void) {}

/* Words end with a line feed each. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int is_quiet;
	if (!is_quiet)
		is_quiet = dup2(open("/dev/null", O_WRONLY), ERROR_FD);
	char *text = malloc(size + 1), *words[600] = { NULL }, *rest = text;
	memcpy(text, data, size);
	text[size] = '\0';
	for (size_t count = 0; rest && count < 599; count++)
		words[count] = strsep(&rest, "\n");
	if (!setjmp(left)) {
		struct request request = read_arguments(words);
		/* What it takes is whole */
		if (!request.root || !request.workdir || !request.program[0] || request.group_count > GROUPS_MAX)
			__builtin_trap();
	}
	free(text);
	return 0;
}
