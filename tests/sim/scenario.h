/* SPDX-License-Identifier: MIT */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include <stdint.h>

/* One run, from open to the last release. Aborts when the contract is broken. */
void sim_scenario(uint64_t seed);

#endif
