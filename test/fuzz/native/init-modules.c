/* The list of modules in the ramdisk: measured, and still read with bounds. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Seeds: "?virtio_mmio.ko virtio_mmio.device" "nsm.ko" */
static const uint8_t *input;
static size_t input_size;

static FILE *open_list(const char *path, const char *mode)
{
	(void)path;
	(void)mode;
	return input_size ? fmemopen((void *)(uintptr_t)input, input_size, "r") : NULL;
}

static int open_module(const char *path, int flags)
{
	(void)flags;
	if (strlen(path) >= PATH_MAX)
		__builtin_trap();
	return -1;
}

#define fopen open_list
#define open open_module
#include "../../../odyn/init/modules.c"
#undef fopen
#undef open

#include "log-error.h"

int cmdline_parameters(const char *name, char parameters[static CMDLINE_MAX])
{
	snprintf(parameters, CMDLINE_MAX, "%s", name);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input = data;
	input_size = size;
	modules_load("/modules");
	return 0;
}
