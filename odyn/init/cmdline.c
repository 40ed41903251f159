#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The last occurrence counts, as for the kernel's own parameters: a virtual machine monitor can only append. */
unsigned cmdline_number(const char *name, unsigned fallback)
{
	/* COMMAND_LINE_SIZE of x86 and arm64 is 2048. */
	char text[2049];
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		log_error(errno, "E_CMDLINE", "open /proc/cmdline");
		return fallback;
	}
	ssize_t length = read(fd, text, sizeof text - 1);
	close(fd);
	if (length < 0) {
		log_error(errno, "E_CMDLINE", "read /proc/cmdline");
		return fallback;
	}
	text[length] = '\0';
	unsigned result = fallback;
	size_t name_length = strlen(name);
	char *rest = text;
	for (char *word; (word = strsep(&rest, " \n"));) {
		if (strncmp(word, name, name_length) || word[name_length] != '=')
			continue;
		const char *value = word + name_length + 1;
		char *end;
		unsigned long number = strtoul(value, &end, 10);
		if (*value < '0' || *value > '9' || *end || number > UINT_MAX)
			log_error(0, "E_CMDLINE", "%s: not a number from 0 to %u, using %u", word, UINT_MAX, result);
		else
			result = (unsigned)number;
	}
	return result;
}
