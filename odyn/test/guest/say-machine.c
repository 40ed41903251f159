/*
 * An app of one request: says on what kind of machine it runs, on its output and to who connects to port 8080, and ends
 * with code 7.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

int main(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(8080) };
	struct utsname name;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	if (listener < 0 || uname(&name) || bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1)) {
		perror("say-machine");
		return 1;
	}
	printf("an app on %s\n", name.machine);
	fflush(stdout);
	int client = accept(listener, NULL, NULL);
	if (client < 0 || dprintf(client, "%s\n", name.machine) < 0) {
		perror("say-machine");
		return 1;
	}
	close(client);
	return 7;
}
