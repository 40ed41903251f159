/* The kernel's interface to the Nitro Secure Module: linux/nsm.h, since 6.8, which the headers of Debian 12 lack. */
#ifndef ENCLAVER_NSM_DEVICE_H
#define ENCLAVER_NSM_DEVICE_H

#include <stdint.h>
#include <sys/ioctl.h>

/* Both sides of a request are buffers, whose addresses and lengths go into one struct. */
struct nsm_raw {
  uint64_t request_address;
  uint64_t request_length;
  uint64_t response_address;
  uint64_t response_length; /* in, the room; out, what is used */
};
#define NSM_IOCTL_RAW _IOWR(0x0A, 0, struct nsm_raw)

/* drivers/misc/nsm.c. With less room than this the driver cuts an answer short and says nothing. */
#define NSM_REQUEST_MAX 0x1000
#define NSM_RESPONSE_MAX 0x3000

#endif
