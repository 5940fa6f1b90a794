/* SPDX-License-Identifier: MIT */
/*
 * The simulated kernel with a fuzzer in the place of chance: the input says what is in the rings,
 * when it comes, and in which order buffers are released. The first byte chooses engine and seed.
 */
#include "scenario.h"
#include "sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length)
{
	if (!length)
		return 0;
	sim_follow(input + 1, length - 1);
	sim_scenario(input[0]);
	return 0;
}
