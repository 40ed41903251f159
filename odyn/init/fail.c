/* How launch ends when a step fails: the exit code is what a shell has for a program that it cannot start. */
#include "launch.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define EXIT_NOT_STARTED 127

_Noreturn void fail(const char *step)
{
	dprintf(ERROR_FD, "%d %s\n", errno, step);
	_exit(EXIT_NOT_STARTED);
}
