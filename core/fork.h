/* SPDX-License-Identifier: MIT */
/*
 * A forked child inherits descriptors and memory. It must not keep a ring alive that its parent
 * closes, nor touch shared rings: in the child, each area's descriptors are closed and it is
 * marked.
 */
#ifndef ZRX_FORK_H
#define ZRX_FORK_H

struct zrx_area;
struct zrx_stream;

/* Returns 0 or a negative errno. */
int zrx_fork_watch(struct zrx_area *area);

/*
 * No fork happens between these two: descriptors of a watched area are opened, recorded and closed
 * inside, or a child could inherit one unnoticed, or close a number that means something else by
 * then.
 */
void zrx_fork_hold(void);
void zrx_fork_allow(void);

/*
 * Close a stream's own descriptor; it has none then. Not between the two above: the close of a
 * socket that lingers (SO_LINGER) may take as long as it lingers, and other receivers wait for
 * nothing so long. A fork waits until the descriptor is off the table.
 */
void zrx_fork_close_stream(struct zrx_stream *stream);

/* While held. */
void zrx_fork_unwatch(struct zrx_area *area);

#endif
