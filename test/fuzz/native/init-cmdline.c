/* The kernel's command line as init reads it, and the list of modules with parameters of it: what Nitro and QEMU append. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Seeds: "enclaver.parent_cid=2 enclaver.nsm=vsock" "virtio_mmio.device=4K@0xd0000000:5" */
static int input;

static int open_input(const char *path, int flags)
{
	(void)path;
	(void)flags;
	lseek(input, 0, SEEK_SET);
	return dup(input);
}

#define open open_input
#include "../../../odyn/init/cmdline.c"
#undef open

#include "log-error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!input)
		input = memfd_create("cmdline", 0);
	char parameters[CMDLINE_MAX];
	if (ftruncate(input, 0) || pwrite(input, data, size, 0) != (ssize_t)size)
		__builtin_trap();
	cmdline_number("enclaver.parent_cid", 3);
	if (cmdline_parameters("virtio_mmio.device", parameters))
		__builtin_trap();
	/* What a module is given is a string, and no longer than the line */
	if (strlen(parameters) > size + 1)
		__builtin_trap();
	return 0;
}
