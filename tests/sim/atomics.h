/* SPDX-License-Identifier: MIT */
/*
 * Included before each file of the core: at each atomic operation another thread may get the
 * processor, so that the orders in which owner and releasing threads meet are explored, and
 * replayed.
 */
#ifndef SIM_ATOMICS_H
#define SIM_ATOMICS_H

#include <stdatomic.h>

void sim_yield(void);

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_compare_exchange_weak_explicit
#undef atomic_compare_exchange_strong_explicit
#define atomic_load_explicit(object, order) (sim_yield(), __atomic_load_n(object, order))
#define atomic_store_explicit(object, value, order) \
	(sim_yield(), __atomic_store_n(object, value, order))
#define atomic_exchange_explicit(object, value, order) \
	(sim_yield(), __atomic_exchange_n(object, value, order))
#define atomic_fetch_add_explicit(object, value, order) \
	(sim_yield(), __atomic_fetch_add(object, value, order))
#define atomic_fetch_sub_explicit(object, value, order) \
	(sim_yield(), __atomic_fetch_sub(object, value, order))
#define atomic_compare_exchange_weak_explicit(object, expected, value, success, failure) \
	(sim_yield(), __atomic_compare_exchange_n(object, expected, value, 1, success, failure))
#define atomic_compare_exchange_strong_explicit(object, expected, value, success, failure) \
	(sim_yield(), __atomic_compare_exchange_n(object, expected, value, 0, success, failure))

#endif
