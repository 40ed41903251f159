/* What a driver may give for an answer of the NSM: bytes, and a length that it claims. */
#define _GNU_SOURCE
#include <stdint.h>
#include <string.h>

static const uint8_t *input;
static size_t input_size;
static int play(int fd, int request, void *argument);

#include "../../../odyn/native/nsm-device.h"
#define ioctl(fd, request, argument) play(fd, (int)request, (void *)(uintptr_t)(argument))
#include "../../../odyn/init/entropy.c"

/* The first two bytes are the length that is claimed, the rest is what was written. */
static int play(int fd, int request, void *argument)
{
	(void)fd;
	(void)request;
	struct nsm_raw *message = argument;
	uint16_t claimed = 0;
	size_t size = input_size < sizeof claimed ? 0 : input_size - sizeof claimed;
	if (size || input_size == sizeof claimed)
		memcpy(&claimed, input, sizeof claimed);
	if (size > message->response_length)
		size = message->response_length;
	memcpy((void *)(uintptr_t)message->response_address, input + sizeof claimed, size);
	message->response_length = claimed;
	return 0;
}

#include "log-error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rand_pool_info pool;
	if (size < 2)
		return 0;
	input = data;
	input_size = size;
	if (!ask_nsm(0, &pool) && (pool.entropy_count != 8 * 256 || pool.buf_size != 256))
		__builtin_trap();
	return 0;
}
