#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int read_line(char *text)
{
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		log_error(errno, "E_CMDLINE", "open /proc/cmdline");
		return -1;
	}
	ssize_t length = read(fd, text, CMDLINE_MAX - 1);
	close(fd);
	if (length < 0) {
		log_error(errno, "E_CMDLINE", "read /proc/cmdline");
		return -1;
	}
	text[length] = '\0';
	return 0;
}

/* What follows `name=` in a word; NULL in any other word. */
static const char *value_of(const char *word, const char *name)
{
	size_t length = strlen(name);
	return strncmp(word, name, length) || word[length] != '=' ? NULL : word + length + 1;
}

/* The last occurrence counts, as for the kernel's own parameters: a virtual machine monitor can only append. */
unsigned cmdline_number(const char *name, unsigned fallback)
{
	char text[CMDLINE_MAX];
	if (read_line(text))
		return fallback;
	unsigned result = fallback;
	char *rest = text;
	for (char *word; (word = strsep(&rest, " \n"));) {
		const char *value = value_of(word, name);
		if (!value)
			continue;
		char *end;
		unsigned long number = strtoul(value, &end, 10);
		if (*value < '0' || *value > '9' || *end || number > UINT_MAX)
			log_error(0, "E_CMDLINE", "%s: not a number from 0 to %u, using %u", word, UINT_MAX, result);
		else
			result = (unsigned)number;
	}
	return result;
}

int cmdline_parameters(const char *name, char parameters[static CMDLINE_MAX])
{
	char text[CMDLINE_MAX];
	if (read_line(text))
		return -1;
	const char *dot = strrchr(name, '.');
	size_t module_length = dot ? (size_t)(dot - name) + 1 : 0, used = 0;
	parameters[0] = '\0';
	char *rest = text;
	for (char *word; (word = strsep(&rest, " \n"));) {
		/* Never longer than the line they come from */
		if (value_of(word, name))
			used += (size_t)snprintf(parameters + used, CMDLINE_MAX - used, "%s ", word + module_length);
	}
	return 0;
}
