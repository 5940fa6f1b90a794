/* SPDX-License-Identifier: MIT */
/*
 * Included before each file of the core: at each atomic operation another thread may get the
 * processor, so that the orders in which owner and releasing threads meet are explored, and
 * replayed.
 */
#ifndef SIM_ATOMICS_H
#define SIM_ATOMICS_H

#include <pthread.h>
#include <stdatomic.h>

void sim_yield(void);
void sim_lock(pthread_mutex_t *mutex);

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_compare_exchange_weak_explicit
#undef atomic_compare_exchange_strong_explicit
/* What <stdatomic.h> makes of them is the compiler's own. */
#ifdef __clang__
#define SIM_ATOMIC(operation)            __c11_atomic_##operation
#define SIM_ATOMIC_N(operation)          __c11_atomic_##operation
#define SIM_COMPARE(o, e, v, weak, s, f) __c11_atomic_compare_exchange_strong(o, e, v, s, f)
#else
#define SIM_ATOMIC(operation)            __atomic_##operation
#define SIM_ATOMIC_N(operation)          __atomic_##operation##_n
#define SIM_COMPARE(o, e, v, weak, s, f) __atomic_compare_exchange_n(o, e, v, weak, s, f)
#endif
#define atomic_load_explicit(o, order)         (sim_yield(), SIM_ATOMIC_N(load)(o, order))
#define atomic_store_explicit(o, v, order)     (sim_yield(), SIM_ATOMIC_N(store)(o, v, order))
#define atomic_exchange_explicit(o, v, order)  (sim_yield(), SIM_ATOMIC_N(exchange)(o, v, order))
#define atomic_fetch_add_explicit(o, v, order) (sim_yield(), SIM_ATOMIC(fetch_add)(o, v, order))
#define atomic_fetch_sub_explicit(o, v, order) (sim_yield(), SIM_ATOMIC(fetch_sub)(o, v, order))
#define atomic_compare_exchange_weak_explicit(o, e, v, s, f) \
	(sim_yield(), SIM_COMPARE(o, e, v, 1, s, f))
#define atomic_compare_exchange_strong_explicit(o, e, v, s, f) \
	(sim_yield(), SIM_COMPARE(o, e, v, 0, s, f))

/* Who waits for a lock lets those go on that may have it. */
#define pthread_mutex_lock(mutex) sim_lock(mutex)

#endif
