/*
 * redirect: brings every TCP connection that leaves for another address than loopback to one listening socket.
 * The listener is descriptor 3, a TCP socket that takes IPv4 and IPv6.
 *
 * Two routing rules have TCP treat all addresses as this machine's own, and a program in the kernel's lookup of sockets
 * (BPF sk_lookup) gives what comes for them to the listener, where the address asked for is the socket's own one. No
 * address is rewritten, no connection tracked. Other protocols find no route and fail at once with ENETUNREACH.
 *
 * Says `ready\n` on standard output when all is in place and stays until standard input ends: the kernel keeps the
 * program as long as somebody holds it. If a step fails, `errno step\n` goes to standard output; the exit code is 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LISTENER 3
#define LOOPBACK_INTERFACE 1
/* linux/in6.h */
#define IPV6_TRANSPARENT 75
/* A routing table and a place among the rules that nobody else uses: between `local` (0) and `main` (32766). */
#define TABLE 100
#define RULE_PRIORITY 100

static _Noreturn void fail(const char *step)
{
	dprintf(STDOUT_FILENO, "%d %s\n", errno, step);
	_exit(1);
}

/* linux/netlink.h, linux/rtnetlink.h, linux/fib_rules.h: musl has none of them. */
struct message {
	uint32_t length;
	uint16_t type, flags;
	uint32_t sequence, port;
	uint8_t family, target_bits, source_bits, service;
	/* table, protocol, scope, type of a route; table, reserved, reserved, action of a rule */
	uint8_t table, second, third, fourth;
	uint32_t more;
	uint8_t attributes[128];
};
struct attribute {
	uint16_t length, type;
};
#define NEWROUTE 24
#define NEWRULE 32
#define REQUEST_CREATE_ACK (0x001 | 0x400 | 0x004)
#define NETLINK_ROUTE 0
#define ERROR_MESSAGE 2
#define HEADER_LENGTH offsetof(struct message, attributes)
enum { ROUTE_OUTPUT = 4, ROUTE_PREFERRED_SOURCE = 7, RULE_PRIORITY_TYPE = 6, RULE_PROTOCOL = 22 };
enum { ROUTE_STATIC = 4, SCOPE_HOST = 254, TYPE_LOCAL = 2, RULE_TO_TABLE = 1 };

static void add(struct message *message, uint16_t type, const void *value, size_t size)
{
	struct attribute attribute = { (uint16_t)(sizeof attribute + size), type };
	uint8_t *end = (uint8_t *)message + message->length;
	memcpy(end, &attribute, sizeof attribute);
	memcpy(end + sizeof attribute, value, size);
	message->length += (uint32_t)((sizeof attribute + size + 3) & ~(size_t)3);
}

static void ask_kernel(int netlink, const struct message *message, const char *step)
{
	struct {
		uint32_t length;
		uint16_t type, flags;
		uint32_t sequence, port;
		int32_t error;
		uint8_t rest[256];
	} answer;
	if (send(netlink, message, message->length, 0) != (ssize_t)message->length)
		fail(step);
	if (recv(netlink, &answer, sizeof answer, 0) < (ssize_t)offsetof(__typeof__(answer), rest))
		fail(step);
	errno = answer.type == ERROR_MESSAGE ? -answer.error : EPROTO;
	if (errno)
		fail(step);
}

static void add_rule(int netlink, uint8_t family)
{
	struct message rule = { .length = HEADER_LENGTH, .type = NEWRULE, .flags = REQUEST_CREATE_ACK, .family = family,
				.table = TABLE, .fourth = RULE_TO_TABLE };
	uint32_t priority = RULE_PRIORITY;
	uint8_t protocol = IPPROTO_TCP;
	add(&rule, RULE_PRIORITY_TYPE, &priority, sizeof priority);
	add(&rule, RULE_PROTOCOL, &protocol, sizeof protocol);
	ask_kernel(netlink, &rule, "rule");
}

static void add_route(int netlink, uint8_t family, const void *source, size_t size)
{
	struct message route = { .length = HEADER_LENGTH, .type = NEWROUTE, .flags = REQUEST_CREATE_ACK, .family = family,
				 .table = TABLE, .second = ROUTE_STATIC, .third = SCOPE_HOST, .fourth = TYPE_LOCAL };
	uint32_t interface = LOOPBACK_INTERFACE;
	add(&route, ROUTE_OUTPUT, &interface, sizeof interface);
	add(&route, ROUTE_PREFERRED_SOURCE, source, size);
	ask_kernel(netlink, &route, "route");
}

static void set_routes(void)
{
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (netlink < 0)
		fail("netlink");
	struct in_addr source = { htonl(INADDR_LOOPBACK) };
	add_route(netlink, AF_INET, &source, sizeof source);
	add_route(netlink, AF_INET6, &in6addr_loopback, sizeof in6addr_loopback);
	add_rule(netlink, AF_INET);
	add_rule(netlink, AF_INET6);
	close(netlink);
}

/* linux/bpf.h */
struct instruction {
	uint8_t code;
	uint8_t registers;
	int16_t offset;
	int32_t operand;
};
#define OP(code, target, source, offset, operand) { (code), (uint8_t)((target) | (source) << 4), (offset), (operand) }
#define COPY(target, source) OP(0xbf, target, source, 0, 0)
#define SET(target, value) OP(0xb7, target, 0, 0, value)
#define AND(target, value) OP(0x57, target, 0, 0, value)
#define ADD(target, value) OP(0x07, target, 0, 0, value)
#define LOAD(target, source, offset) OP(0x61, target, source, offset, 0)
#define STORE(target, offset, value) OP(0x62, target, 0, offset, value)
#define LOAD_MAP(target, fd) OP(0x18, target, 1, 0, fd), OP(0, 0, 0, 0, 0)
/* Instruction `at` goes on at instruction `then`. */
#define GO(at, then) OP(0x05, 0, 0, (then) - (at) - 1, 0)
#define IF_EQUAL(at, target, value, then) OP(0x15, target, 0, (then) - (at) - 1, value)
#define IF_NOT_EQUAL(at, target, value, then) OP(0x55, target, 0, (then) - (at) - 1, value)
#define CALL(function) OP(0x85, 0, 0, 0, function)
#define END OP(0x95, 0, 0, 0, 0)
enum { MAP_LOOKUP = 1, SOCKET_RELEASE = 86, SOCKET_ASSIGN = 124 };
enum { DROP, PASS };
/* struct bpf_sk_lookup */
enum { FAMILY = 8, PROTOCOL = 12, LOCAL_4 = 40, LOCAL_6 = 44 };
enum { MAP_CREATE, MAP_UPDATE = 2, PROGRAM_LOAD = 5, LINK_CREATE = 28 };
enum { SOCKMAP = 15, PROGRAM_SK_LOOKUP = 30, ATTACH_SK_LOOKUP = 36 };

/* The kernel takes shorter structures than its own for zero in the rest. */
static int bpf(long command, void *attributes, size_t size, const char *step)
{
	long result = syscall(SYS_bpf, command, attributes, size);
	if (result < 0)
		fail(step);
	return (int)result;
}

static int map_of_listener(void)
{
	struct {
		uint32_t type, key_size, value_size, entries;
	} create = { SOCKMAP, sizeof(uint32_t), sizeof(uint64_t), 1 };
	int map = bpf(MAP_CREATE, &create, sizeof create, "socket map");
	uint32_t key = 0;
	uint64_t value = LISTENER;
	struct {
		uint64_t map, key, value, flags;
	} update = { (uint64_t)map, (uintptr_t)&key, (uintptr_t)&value, 0 };
	bpf(MAP_UPDATE, &update, sizeof update, "listener");
	return map;
}

enum { CHECK_6 = 9, ASSIGN = 17, REFUSED = 33, PASSED = 35 };

static int load_program(int map)
{
	const struct instruction program[] = {
		COPY(6, 1),
		LOAD(2, 6, PROTOCOL),
		[2] = IF_NOT_EQUAL(2, 2, IPPROTO_TCP, PASSED),
		LOAD(2, 6, FAMILY),
		[4] = IF_NOT_EQUAL(4, 2, AF_INET, CHECK_6),
		/* 127.0.0.0/8: addresses are in network order, both architectures little-endian */
		LOAD(2, 6, LOCAL_4),
		AND(2, 0xff),
		[7] = IF_EQUAL(7, 2, 127, PASSED),
		[8] = GO(8, ASSIGN),
		/* ::1 */
		[CHECK_6] = LOAD(2, 6, LOCAL_6),
		[10] = IF_NOT_EQUAL(10, 2, 0, ASSIGN),
		LOAD(2, 6, LOCAL_6 + 4),
		[12] = IF_NOT_EQUAL(12, 2, 0, ASSIGN),
		LOAD(2, 6, LOCAL_6 + 8),
		[14] = IF_NOT_EQUAL(14, 2, 0, ASSIGN),
		LOAD(2, 6, LOCAL_6 + 12),
		[16] = IF_EQUAL(16, 2, 0x01000000, PASSED),
		/* The map's only entry, under key 0 */
		[ASSIGN] = STORE(10, -4, 0),
		COPY(2, 10),
		ADD(2, -4),
		LOAD_MAP(1, map),
		CALL(MAP_LOOKUP),
		[23] = IF_EQUAL(23, 0, 0, REFUSED),
		COPY(7, 0),
		COPY(1, 6),
		COPY(2, 7),
		SET(3, 0),
		CALL(SOCKET_ASSIGN),
		COPY(8, 0),
		COPY(1, 7),
		CALL(SOCKET_RELEASE),
		[32] = IF_EQUAL(32, 8, 0, PASSED),
		[REFUSED] = SET(0, DROP),
		END,
		[PASSED] = SET(0, PASS),
		END,
	};
	static const char license[] = "Apache-2.0";
	struct {
		uint32_t type, count;
		uint64_t instructions, license;
		uint32_t log_level, log_size;
		uint64_t log;
		uint32_t kernel, flags;
		char name[16];
		uint32_t interface, attach_type;
	} load = { .type = PROGRAM_SK_LOOKUP, .count = sizeof program / sizeof *program,
		   .instructions = (uintptr_t)program, .license = (uintptr_t)license, .name = "enclaver_egress",
		   .attach_type = ATTACH_SK_LOOKUP };
	return bpf(PROGRAM_LOAD, &load, sizeof load, "program");
}

/* Its answers come from addresses that are not this machine's. */
static void let_answer_for_others(void)
{
	int yes = 1;
	if (setsockopt(LISTENER, IPPROTO_IP, IP_TRANSPARENT, &yes, sizeof yes) ||
	    setsockopt(LISTENER, IPPROTO_IPV6, IPV6_TRANSPARENT, &yes, sizeof yes))
		fail("listener");
}

int main(void)
{
	char end;
	let_answer_for_others();
	int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (own < 0)
		fail("network namespace");
	struct {
		uint32_t program, target, attach_type, flags;
	} link = { (uint32_t)load_program(map_of_listener()), (uint32_t)own, ATTACH_SK_LOOKUP, 0 };
	bpf(LINK_CREATE, &link, sizeof link, "link");
	set_routes();
	dprintf(STDOUT_FILENO, "ready\n");
	while (read(STDIN_FILENO, &end, 1) > 0)
		;
	return 0;
}
