/*
 * Random numbers for everything that comes after, Node's own keys included: the Nitro Secure Module gives true random
 * bytes, which are mixed into the kernel's pool and counted. Without the device (no Nitro) the kernel has what the
 * processor gives it.
 */
#include "../native/nsm-device.h"
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* linux/random.h */
struct rand_pool_info {
	int entropy_count;
	int buf_size;
	unsigned char buf[256];
};
#define RNDADDENTROPY _IOW('R', 0x03, int[2])

/* CBOR "GetRandom", and the head of {"GetRandom": {"random": 256 bytes}}: what the device gives (nsm-api, src/api/mod.rs). */
static const char REQUEST[] = "\x69" "GetRandom";
static const char ANSWER[] = "\xa1\x69" "GetRandom" "\xa1\x66" "random" "\x59\x01\x00";
#define ANSWER_HEAD (sizeof ANSWER - 1)

static int ask_nsm(int nsm, struct rand_pool_info *pool)
{
	static unsigned char response[NSM_RESPONSE_MAX];
	struct nsm_raw message = {
		.request_address = (uintptr_t)REQUEST,
		.request_length = sizeof REQUEST - 1,
		.response_address = (uintptr_t)response,
		.response_length = sizeof response,
	};
	if (ioctl(nsm, (int)NSM_IOCTL_RAW, &message)) {
		log_error(errno, "E_ENTROPY", "GetRandom of the NSM");
		return -1;
	}
	if (message.response_length != ANSWER_HEAD + sizeof pool->buf || memcmp(response, ANSWER, ANSWER_HEAD)) {
		log_error(EPROTO, "E_ENTROPY", "GetRandom of the NSM");
		return -1;
	}
	pool->entropy_count = 8 * (int)sizeof pool->buf;
	pool->buf_size = sizeof pool->buf;
	memcpy(pool->buf, response + ANSWER_HEAD, sizeof pool->buf);
	explicit_bzero(response, sizeof response);
	return 0;
}

static int add_to_pool(const struct rand_pool_info *pool)
{
	int fd = open("/dev/random", O_WRONLY | O_CLOEXEC);
	int result = fd < 0 ? -1 : ioctl(fd, (int)RNDADDENTROPY, pool);
	if (result)
		log_error(errno, "E_ENTROPY", "RNDADDENTROPY");
	if (fd >= 0)
		close(fd);
	return result;
}

int entropy_seed(void)
{
	struct rand_pool_info pool;
	int nsm = open("/dev/nsm", O_RDWR | O_CLOEXEC);
	if (nsm < 0 && errno == ENOENT)
		return 0;
	if (nsm < 0) {
		log_error(errno, "E_ENTROPY", "/dev/nsm");
		return -1;
	}
	int result = ask_nsm(nsm, &pool) || add_to_pool(&pool) ? -1 : 0;
	explicit_bzero(&pool, sizeof pool);
	close(nsm);
	return result;
}
