// Load and floor of the log benchmark.
//   load lines N BYTES one|two   N lines of BYTES with their LF: all to stdout, or in turn to stdout and stderr
//   load to PATH COMMAND...      COMMAND with its stdout connected to the Unix socket at PATH
//   load from PATH COMMAND...    COMMAND with its stdin the first connection to PATH; says "ready" on stderr before
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int lines(long count, size_t bytes, int two) {
    // With one stream as the C library buffers for a pipe; with two each line is written by itself, so that they do take turns
    static char buffer[4096];
    setvbuf(stdout, buffer, two ? _IONBF : _IOFBF, sizeof buffer);
    char *line = malloc(bytes + 32);
    if (line == NULL) fail("malloc");
    memset(line, 'x', bytes);
    line[bytes - 1] = '\n';
    for (long i = 0; i < count; i++) {
        char number[32];
        int digits = snprintf(number, sizeof number, "line %ld ", i);
        if ((size_t)digits < bytes) memcpy(line, number, (size_t)digits);
        FILE *stream = two && i % 2 == 1 ? stderr : stdout;
        if (fwrite(line, 1, bytes, stream) != bytes) fail("write");
    }
    if (fflush(stdout) != 0 || fflush(stderr) != 0) fail("write");
    return 0;
}

static int unix_socket(const char *path, struct sockaddr_un *address) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof address->sun_path) exit(2);
    strcpy(address->sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) fail("socket");
    return fd;
}

static int to(const char *path, char **command) {
    struct sockaddr_un address;
    int fd = unix_socket(path, &address);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("connect");
    dup2(fd, 1);
    execvp(command[0], command);
    fail("exec");
    return 1;
}

static int from(const char *path, char **command) {
    struct sockaddr_un address;
    int fd = unix_socket(path, &address);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1) != 0) fail("listen");
    fputs("ready\n", stderr);
    int connection = accept(fd, NULL, NULL);
    if (connection < 0) fail("accept");
    dup2(connection, 0);
    execvp(command[0], command);
    fail("exec");
    return 1;
}

int main(int argc, char **argv) {
    if (argc == 5 && strcmp(argv[1], "lines") == 0)
        return lines(atol(argv[2]), (size_t)atol(argv[3]), strcmp(argv[4], "two") == 0);
    if (argc > 3 && strcmp(argv[1], "to") == 0) return to(argv[2], argv + 3);
    if (argc > 3 && strcmp(argv[1], "from") == 0) return from(argv[2], argv + 3);
    fputs("see the head of load.c\n", stderr);
    return 2;
}
