/* SPDX-License-Identifier: MIT */
/*
 * Holds: who has a chunk, and for how long. The first as many holds as there are chunks are the
 * chunks' own; the spare ones behind them serve chunks that several streams, or many views, share.
 *
 * What threads share of a hold is its word: an epoch, which tells the views of one time from those
 * of another; how many references the kernel wants back; and a bit for each view that is out. The
 * release of a view clears its bit by one compare-and-exchange. Who clears the last one has the
 * hold, which is then marked as returning, and hands it on in a chain: to the refill ring, where
 * there is one, and to the owner, who makes it idle again.
 *
 * The table is there from open on: no view needs memory.
 */
#ifndef ZRX_HOLD_H
#define ZRX_HOLD_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define ZRX_HOLD_VIEWS      23u /* views that one hold can tell apart in an epoch */
#define ZRX_HOLD_OUT        ((1u << ZRX_HOLD_VIEWS) - 1)
#define ZRX_HOLD_RETURNING  (1u << ZRX_HOLD_VIEWS)
#define ZRX_HOLD_REFERENCE  (1u << 24) /* one of the kernel's references */
#define ZRX_HOLD_REFERENCES 255u
#define ZRX_HOLD_FIRST      (ZRX_HOLD_REFERENCE | 1) /* one view, one reference */
#define ZRX_HOLD_EPOCH      (1ull << 32)

#define ZRX_HOLD_BITS 27u /* of a buffer's slot: which hold; above them: which view */
#define ZRX_HOLDS_MAX (1u << ZRX_HOLD_BITS)

/* Of owner, above the count of views that were begun in this epoch. */
#define ZRX_HOLD_ALONE                                                              \
	(1u << 5) /* charged for its chunk by itself, not with others of its stream \
		     (zrx_chunk.charged) */
#define ZRX_HOLD_WHOLE                                                                         \
	(1u << 6) /* the only hold of its chunk: nothing else is to be put right when it comes \
		     back */
#define ZRX_HOLD_BEGUN      (ZRX_HOLD_ALONE - 1) /* that count */
#define ZRX_HOLD_OWNER_BITS 7u
#define ZRX_HOLD_STREAMS    (UINT32_MAX >> ZRX_HOLD_OWNER_BITS) /* that owner can name */

/* Holds on their way back, linked by next, which is 0 in the last. head and tail are index + 1; 0:
 * empty. */
struct zrx_chain {
	uint32_t head;
	uint32_t tail;
};

/* Buffers to be released, stride bytes apart. */
struct zrx_run {
	const char *at;
	const char *end;
	size_t stride;
};

/* Tables, of each hold: what the usual case needs of it is apart from what it does not. */
struct zrx_holds {
	_Atomic uint64_t *words; /* epoch << 32 | references | returning | views out */
	uint32_t *owners;        /* the owner's to write: its stream, ZRX_HOLD_ALONE, and how many
				    views it began in this epoch */
	uint32_t *next;          /* in a chain: index + 1; 0: the last */
	uint32_t *spare_chunks;  /* of each spare hold: its chunk */
	uint32_t chunks;         /* how many are a chunk's own */
	uint32_t total;
	uint32_t spare_free;  /* the owner's list of used spare ones: index + 1 */
	uint32_t spare_fresh; /* the first that was never used */
	uint32_t spare_left;  /* in both */
};

/* Returns 0, -ENOMEM, or -E2BIG for more chunks than buffers can name. */
int zrx_holds_open(struct zrx_holds *holds, uint64_t chunks, uint32_t chunk_shift);
void zrx_holds_close(struct zrx_holds *holds);

static inline uint32_t zrx_hold_chunk(const struct zrx_holds *holds, uint32_t index)
{
	return index < holds->chunks ? index : holds->spare_chunks[index - holds->chunks];
}

/* What a buffer names: a view of a hold. */
static inline uint32_t zrx_slot(uint32_t index, uint32_t view)
{
	return view << ZRX_HOLD_BITS | index;
}

static inline uint32_t zrx_slot_hold(uint32_t slot)
{
	return slot & (ZRX_HOLDS_MAX - 1);
}

static inline uint32_t zrx_slot_view(uint32_t slot)
{
	return slot >> ZRX_HOLD_BITS;
}

static inline uint64_t zrx_hold_word(const struct zrx_holds *holds, uint64_t index)
{
	return atomic_load_explicit(&holds->words[index], memory_order_relaxed);
}

static inline uint32_t zrx_hold_references(uint64_t word)
{
	return (uint32_t)word / ZRX_HOLD_REFERENCE;
}

/* Nothing of it is out, nor on its way back: it is the owner's to begin. */
static inline int zrx_hold_idle(uint64_t word)
{
	return !(uint32_t)word;
}

/* The compiler has the value in a register, and does not reckon it a second time. */
#define ZRX_KEEP(value) __asm__("" : "+r"(value))

/*
 * Owner: an idle hold begins with one view. The user hands it to other threads with ordering of his
 * own. Returns the epoch, shifted as in the word.
 */
static inline uint64_t zrx_hold_begin(const struct zrx_holds *holds, uint64_t index, uint64_t idle,
				      uint32_t owner)
{
	uint64_t word = idle + (ZRX_HOLD_EPOCH + ZRX_HOLD_FIRST);

	ZRX_KEEP(word);
	holds->owners[index] = owner | 1;
	atomic_store_explicit(&holds->words[index], word, memory_order_relaxed);
	return word - ZRX_HOLD_FIRST;
}

/* Two numbers of 32 bits that lie one after the other in a struct, as one: a store in place of two.
 */
static inline uint64_t zrx_pair(uint64_t first, uint64_t second_shifted)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return second_shifted + first;
#else
	return (uint64_t)first << 32 | second_shifted >> 32;
#endif
}

/*
 * Owner: take back a hold that has one view and one reference, and is owned so: at once, without a
 * time in which it is returning. Returns 0, and changes nothing, if any of that is not so.
 */
static inline int zrx_hold_take_whole(const struct zrx_holds *holds, uint32_t slot,
				      uint32_t generation, uint32_t owner, uint32_t *index)
{
	uint64_t epoch = (uint64_t)generation << 32, word = epoch | ZRX_HOLD_FIRST;

	/* With a view that is not 0 it is more than the index of any hold. */
	if (slot >= holds->chunks || holds->owners[slot] != owner)
		return 0;
	/* Acquire: what other threads read of it comes before what the kernel writes. */
	if (!atomic_compare_exchange_strong_explicit(&holds->words[slot], &word, epoch,
						     memory_order_acq_rel, memory_order_relaxed))
		return 0;
	*index = slot;
	return 1;
}

/*
 * Owner: one more view in a hold that is out, if its stream is that of owner. Returns its number
 * with *epoch set; or ZRX_HOLD_VIEWS if it cannot have one.
 */
uint32_t zrx_hold_join(const struct zrx_holds *holds, uint32_t index, uint32_t owner,
		       uint64_t *epoch);

/* Owner: one more reference for a view that no other thread has yet. 0: there is no room for it. */
int zrx_hold_refer(const struct zrx_holds *holds, uint32_t index);

/* Owner: a spare hold of a chunk; index, or UINT32_MAX if all are out. It is idle. */
uint32_t zrx_hold_spare(struct zrx_holds *holds, uint32_t chunk);

/* Owner: what came back is idle, and if it is a spare one, free. */
static inline void zrx_hold_rest(struct zrx_holds *holds, uint32_t index)
{
	uint64_t epoch = zrx_hold_word(holds, index) & ~(uint64_t)UINT32_MAX;

	/* Nobody else writes to a hold that is returning: a release finds no view in it. */
	atomic_store_explicit(&holds->words[index], epoch, memory_order_relaxed);
	if (index >= holds->chunks) {
		holds->next[index] = holds->spare_free;
		holds->spare_free = index + 1;
		holds->spare_left++;
	}
}

/* Whether any view can be begun: a receive that cannot be undone asks before it. */
static inline int zrx_holds_room(const struct zrx_holds *holds)
{
	return holds->spare_left != 0;
}

/* A list as taken off an atomic one, with its end found. */
struct zrx_chain zrx_chain_measure(const struct zrx_holds *holds, uint32_t head);

/* Push a chain onto an atomic list of holds. */
void zrx_chain_push(const struct zrx_holds *holds, _Atomic uint32_t *list, struct zrx_chain chain);

#endif
