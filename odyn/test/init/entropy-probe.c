/* Runs what init does for random numbers; exit code 1 when it would not go on. */
#include "../../init/init.h"

int main(void)
{
	return entropy_seed() ? 1 : 0;
}
