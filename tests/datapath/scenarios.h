/* SPDX-License-Identifier: MIT */
/* What is tried. Each runs in a process of its own, and leaves the NIC as it found it. */
#ifndef DATAPATH_SCENARIOS_H
#define DATAPATH_SCENARIOS_H

#include <stdint.h>

/* areas.c */
void area_of_pages(void);
void area_of_huge_pages(void);
void area_in_dmabuf(void);
void rx_buf_len_8k(void);
void rx_buf_len_16k(void);
void rx_buf_len_32k(void);

/* grow.c */
void area_grows(void);
void area_grows_large(void);
void area_grows_dry(void);

/* flows.c */
void steered_and_unsteered(void);
void queue_of_another(void);
void two_receivers(void);

/* shortage.c */
void buffers_held(void);
void copies_starve(void);

/* sizing.c */
void sizes_by_default(void);
extern int sizing_whole;     /* every size with every other */
extern uint32_t sizing_ring; /* of those only with this one; 0: all */

/* stalled.c */
void stalled_neighbours(void);
extern unsigned stalled_repetitions;

/* shares.c */
void shares_by_connection(void);
void shares_by_port(void);

/* held.c */
void views_held_across_close(void);
void views_held_small_ring(void);
void port_left_at_close(void);
void prepared_and_closed(void);
extern unsigned held_repetitions;

/* faults.c */
void packets_lost(void);
void packets_late(void);
void packets_without_buffer(void);
void packets_unsplit(void);
void packets_misdirected(void);
void lengths_wrong(void);
void link_flaps(void);
void interface_down_and_up(void);
void interface_renamed(void);
void device_reset(void);
void ring_resized(void);

/* proof.c */
void proof_of_zero_copy(void);
void proof_of_copies(void);
void proof_of_unsplit(void);
void proof_of_starvation(void);
void proof_of_silence(void);

/* killed.c */
void receiver_killed(void);

extern unsigned receiver_kills; /* how often */

/* groups.c */
void group_by_port(void);
void group_by_connection(void);
void group_shared_by_port(void);
void group_shared_by_connection(void);
void group_shared_held(void);
void group_of_another_port(void);
void group_too_large(void);

/* numa.c */
void numa_of_nic(void);
void numa_beyond_node(void);
void numa_of_copies(void);

/* group_changes.c */
void group_killed(void);
void group_leaving(void);
void group_joining(void);

#endif
