#include "init.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>

/* The caller has these signals blocked, so none is lost between a look at the children and the next wait. */
int reap_until(pid_t child)
{
	sigset_t awaited;
	sigemptyset(&awaited);
	sigaddset(&awaited, SIGCHLD);
	sigaddset(&awaited, SIGTERM);
	sigaddset(&awaited, SIGINT);
	for (;;) {
		int status;
		pid_t ended;
		while ((ended = waitpid(-1, &status, WNOHANG)) > 0)
			if (ended == child)
				return status;
		if (ended < 0 && errno == ECHILD) {
			log_error(errno, "E_WAIT", "odyn is gone");
			return -1;
		}
		/* EINTR, or anything else it could fail with: look at the children again. */
		int number = sigwaitinfo(&awaited, NULL);
		if (number == SIGTERM || number == SIGINT)
			kill(child, SIGTERM);
	}
}
