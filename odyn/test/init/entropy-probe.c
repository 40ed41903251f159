/*
 * Runs what init does for random numbers; exit code 1 when it would not go on. With an argument, the two devices are played
 * here, in the place of the C library's ioctl: the NSM gives the bytes 0, 1, 2 … cut or changed as the argument says, and
 * what comes to the kernel's pool is written down.
 */
#include "../../init/init.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NSM_IOCTL_RAW 0xC0200A00u
#define RNDADDENTROPY 0x40085203u

static const char *mode;

static int play_nsm(uint64_t *fields)
{
	static const char head[] = "\xa1\x69" "GetRandom" "\xa1\x66" "random" "\x59\x01\x00";
	unsigned char *answer = (unsigned char *)(uintptr_t)fields[2];
	printf("NSM %.*s %d\n", (int)fields[1] - 1, (const char *)(uintptr_t)fields[0] + 1, (int)fields[3]);
	memcpy(answer, head, sizeof head - 1);
	for (int i = 0; i < 256; i++)
		answer[sizeof head - 1 + (size_t)i] = (unsigned char)i;
	fields[3] = sizeof head - 1 + 256;
	if (!strcmp(mode, "short"))
		fields[3] = 100;
	if (!strcmp(mode, "error"))
		answer[2] = 'X';
	return 0;
}

static int play_pool(const int *fields)
{
	const unsigned char *bytes = (const unsigned char *)(fields + 2);
	int same = 1;
	for (int i = 0; i < fields[1]; i++)
		same = same && bytes[i] == i;
	printf("POOL %d bits, %d bytes%s\n", fields[0], fields[1], same ? "" : ", others");
	if (strcmp(mode, "refused"))
		return 0;
	errno = EPERM;
	return -1;
}

int ioctl(int fd, int request, ...)
{
	va_list rest;
	va_start(rest, request);
	void *argument = va_arg(rest, void *);
	va_end(rest);
	if (mode && (unsigned)request == NSM_IOCTL_RAW)
		return play_nsm(argument);
	if (mode && (unsigned)request == RNDADDENTROPY)
		return play_pool(argument);
	long result = syscall(SYS_ioctl, fd, request, argument);
	return (int)result;
}

int main(int count, char **arguments)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	mode = count > 1 ? arguments[1] : NULL;
	return entropy_seed() ? 1 : 0;
}
