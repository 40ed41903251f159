/* The last words of an enclave: an error text, which may quote the app's end, as one line of JSON; and the console's line. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

/* Where the console's lines go */
static int sink;
#undef STDERR_FILENO
#define STDERR_FILENO sink

#include "../../../odyn/init/crash-status.c"
#include "../../../odyn/init/log.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!sink)
		sink = open("/dev/null", O_WRONLY);
	char *text = malloc(size + 1), json[512];
	memcpy(text, data, size);
	text[size] = '\0';
	log_error(size % 2 ? ENOENT : 0, "E_FUZZ", "%s", text);
	json_text(json, sizeof json, log_last_error());
	json_text(json, sizeof json, text);
	/* Every quote is escaped, nothing ends the string or the line early */
	for (const char *at = json; *at; at++) {
		if (*at == '\\' && !*++at)
			__builtin_trap();
		else if (*at == '"' && at[-1] != '\\')
			__builtin_trap();
		else if (*at >= 0 && *at < ' ')
			__builtin_trap();
	}
	free(text);
	return 0;
}
