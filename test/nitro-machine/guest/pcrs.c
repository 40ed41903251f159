/*
 * Asks the NSM for the registers that are locked from boot, and for the first that is the application's. One line each:
 *   PCR<n> <96 hex digits> locked|unlocked
 */
#include "../../../odyn/native/nsm-device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LAST_PCR 16
#define PCR_BYTES 48

/* CBOR {"DescribePCR": {"index": n}}, n below 24 in one byte */
static const char REQUEST[] = "\xa1\x6b" "DescribePCR" "\xa1\x65" "index";
/* {"DescribePCR": {"lock": true or false, "data": 48 bytes}}: real hardware sends lock first, QEMU data */
static const char ANSWER[] = "\xa1\x6b" "DescribePCR" "\xa2";
static const char LOCK[] = "\x64" "lock";
static const char DATA[] = "\x64" "data" "\x58\x30";
#define CBOR_FALSE 0xf4
#define CBOR_TRUE 0xf5

struct pcr {
	int lock;
	const unsigned char *data;
};

/* Gives what follows if `literal` stands at `at`, without its NUL, and NULL if not. */
static const unsigned char *after(const unsigned char *at, const char *literal)
{
	size_t length = strlen(literal);
	return memcmp(at, literal, length) ? NULL : at + length;
}

/* The buffer is larger than the longest answer, so that no comparison reads past it. */
static int read_answer(const unsigned char *answer, uint64_t length, struct pcr *pcr)
{
	const unsigned char *at = after(answer, ANSWER), *next;
	*pcr = (struct pcr){ .lock = -1 };
	for (int fields = 0; at && fields < 2; fields++) {
		if ((next = after(at, LOCK)) && (*next == CBOR_TRUE || *next == CBOR_FALSE)) {
			pcr->lock = *next == CBOR_TRUE;
			at = next + 1;
		} else if ((next = after(at, DATA))) {
			pcr->data = next;
			at = next + PCR_BYTES;
		} else {
			at = NULL;
		}
	}
	return at && at == answer + length && pcr->lock >= 0 && pcr->data ? 0 : -1;
}

static int print_pcr(int nsm, unsigned index)
{
	unsigned char request[sizeof REQUEST], response[NSM_RESPONSE_MAX] = { 0 };
	struct pcr pcr;
	memcpy(request, REQUEST, sizeof REQUEST - 1);
	request[sizeof REQUEST - 1] = (unsigned char)index;
	struct nsm_raw message = {
		.request_address = (uintptr_t)request,
		.request_length = sizeof request,
		.response_address = (uintptr_t)response,
		.response_length = sizeof response,
	};
	if (ioctl(nsm, (int)NSM_IOCTL_RAW, &message)) {
		printf("PCR%u failed: %s\n", index, strerror(errno));
		return 1;
	}
	if (read_answer(response, message.response_length, &pcr)) {
		printf("PCR%u another answer:", index);
		for (uint64_t i = 0; i < message.response_length && i < sizeof response; i++)
			printf(" %02x", response[i]);
		printf("\n");
		return 1;
	}
	printf("PCR%u ", index);
	for (unsigned i = 0; i < PCR_BYTES; i++)
		printf("%02x", pcr.data[i]);
	printf(" %s\n", pcr.lock ? "locked" : "unlocked");
	return 0;
}

int main(void)
{
	int nsm = open("/dev/nsm", O_RDWR | O_CLOEXEC);
	if (nsm < 0) {
		printf("/dev/nsm: %s\n", strerror(errno));
		return 1;
	}
	int result = 0;
	for (unsigned index = 0; index <= LAST_PCR; index++)
		result |= print_pcr(nsm, index);
	close(nsm);
	return result;
}
