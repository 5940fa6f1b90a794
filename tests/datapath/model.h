/* SPDX-License-Identifier: MIT */
/*
 * The modelled NICs, asked from inside the guest: what is to go wrong, and what did. The requests
 * are those of tests/rig/nicmodel/control.py. This side's port has number 1.
 */
#ifndef DATAPATH_MODEL_H
#define DATAPATH_MODEL_H

#include <stdint.h>

/* What stands between the outer braces of a request. The models must be able to do it. */
__attribute__((format(printf, 1, 2))) void model_ask(const char *format, ...);

/* One of the model's counters; 0 if it does not know it. */
uint64_t model_cable_counter(const char *name);
uint64_t model_port_counter(const char *name);
uint64_t model_faults_taken(const char *name);

#endif
