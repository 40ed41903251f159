/*
 * A driver that is put before the C library's ioctl, to see the bytes that come to the kernel: it writes down the number and
 * the struct of each request to the NSM, and answers as ANSWER says: `echo`, or the length of the answer that it claims.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NSM_MAGIC 0x0A

int ioctl(int fd, unsigned long number, ...)
{
	va_list rest;
	va_start(rest, number);
	void *argument = va_arg(rest, void *);
	va_end(rest);
	if ((number >> 8 & 0xff) != NSM_MAGIC) {
		int (*next)(int, unsigned long, void *) = (int (*)(int, unsigned long, void *))dlsym(RTLD_NEXT, "ioctl");
		return next(fd, number, argument);
	}
	uint64_t fields[4];
	memcpy(fields, argument, sizeof fields);
	dprintf(2, "IOCTL %lx %lu %lu\n", number, (unsigned long)fields[1], (unsigned long)fields[3]);
	const char *answer = getenv("ANSWER");
	if (!strcmp(answer, "echo")) {
		memcpy((void *)(uintptr_t)fields[2], (void *)(uintptr_t)fields[0], fields[1]);
		fields[3] = fields[1];
	} else {
		fields[3] = strtoull(answer, NULL, 0);
	}
	memcpy(argument, fields, sizeof fields);
	return 0;
}
