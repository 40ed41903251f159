#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int load(const char *path, const char *parameters)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	long result = syscall(SYS_finit_module, fd, parameters, 0);
	int error_number = errno;
	close(fd);
	errno = error_number;
	return result && error_number != EEXIST ? -1 : 0;
}

/*
 * One file name per line; a leading `?` marks a module without which the enclave can go on. After a blank, the name of
 * the module's parameter on the kernel's command line: `virtio_mmio.device`.
 */
int modules_load(const char *directory)
{
	char path[PATH_MAX], line[2 * NAME_MAX], parameters[CMDLINE_MAX];
	snprintf(path, sizeof path, "%s/order", directory);
	FILE *list = fopen(path, "re");
	if (!list) {
		if (errno == ENOENT)
			return 0;
		log_error(errno, "E_MODULE", "open %s", path);
		return -1;
	}
	int result = 0;
	while (!result && fgets(line, sizeof line, list)) {
		line[strcspn(line, "\n")] = '\0';
		int optional = line[0] == '?';
		char *parameter = line + optional;
		const char *name = strsep(&parameter, " ");
		if (!*name)
			continue;
		parameters[0] = '\0';
		if (parameter && cmdline_parameters(parameter, parameters)) {
			result = -1;
			break;
		}
		snprintf(path, sizeof path, "%s/%s", directory, name);
		if (load(path, parameters)) {
			log_error(errno, "E_MODULE", "%s%s", name, optional ? " (optional)" : "");
			result = optional ? 0 : -1;
		}
	}
	fclose(list);
	return result;
}
