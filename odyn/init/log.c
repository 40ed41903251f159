#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char last_error[256] = "no error was recorded";

/* The kernel's own descriptors for PID 1 point to a console node that the mount on /dev has just hidden, or to none. */
void log_open_console(void)
{
	int fd = open("/dev/console", O_RDWR | O_NOCTTY);
	if (fd < 0) {
		log_error(errno, "E_CONSOLE", "open /dev/console");
		return;
	}
	for (int target = 0; target <= 2; target++)
		if (fd != target && dup2(fd, target) < 0)
			log_error(errno, "E_CONSOLE", "dup2 to %d", target);
	if (fd > 2)
		close(fd);
}

void log_error(int error_number, const char *code, const char *format, ...)
{
	char text[160];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	int length;
	if (error_number)
		length = snprintf(last_error, sizeof last_error, "init: %s %s: %s", code, text, strerror(error_number));
	else
		length = snprintf(last_error, sizeof last_error, "init: %s %s", code, text);
	if (length >= (int)sizeof last_error)
		length = sizeof last_error - 1;
	/* One write for the whole line, so that it does not mix with the kernel's own. */
	dprintf(STDERR_FILENO, "%.*s\n", length, last_error);
}

const char *log_last_error(void)
{
	return last_error;
}
