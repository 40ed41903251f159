/*
 * The kernel's AF_VSOCK interface (linux/vm_sockets.h). Written out because musl's headers do not have it and kernel
 * headers differ between build machines; the interface itself is frozen.
 */
#ifndef ENCLAVER_VM_SOCKET_H
#define ENCLAVER_VM_SOCKET_H

#include <sys/socket.h>

#define VMADDR_CID_ANY 0xffffffffU
/* Linger of a connect, a `struct timeval`; on 64-bit machines the old and the new form of the option are the same. */
#define SO_VM_SOCKETS_CONNECT_TIMEOUT 6

struct sockaddr_vm {
	sa_family_t svm_family;
	unsigned short svm_reserved1;
	unsigned int svm_port;
	unsigned int svm_cid;
	unsigned char svm_flags;
	unsigned char svm_zero[3];
};

_Static_assert(sizeof(struct sockaddr_vm) == sizeof(struct sockaddr), "sockaddr_vm has the size of sockaddr");

#endif
