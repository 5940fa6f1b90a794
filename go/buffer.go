// SPDX-License-Identifier: MIT

package zcrx

import (
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/zcrx/zcrx/go/internal/core"
)

// Buffer is a view of received bytes inside the area. It is a small value: copies of it are the same view.
//
// The buffer of an [Event] is lent: it is valid until the function that got the event returns. [Buffer.Take] makes
// it the caller's until [Buffer.Release], from any goroutine, whatever happens to its connection, stream or
// receiver. Using a Buffer after that panics; it never shows other data.
//
// A slice that [Buffer.Bytes] returned must not be used after Release: that cannot be detected.
//
// A taken Buffer that the garbage collector finds without a Release is counted in [Stats].Forgotten. If its bytes were never
// asked for, its memory is given back; else a slice of it may still be in use, and the memory stays out for good.
type Buffer struct {
	data  unsafe.Pointer // nil where the memory has no CPU view
	owner *owner
	mark  uint64 // length and generation: so an Event is small enough to be passed in registers
}

func mark(length, generation uint32) uint64 { return uint64(length)<<32 | uint64(generation) }

func (b *Buffer) length() uint32     { return uint32(b.mark >> 32) }
func (b *Buffer) generation() uint32 { return uint32(b.mark) }

// owner answers whether a Buffer is still valid: while the generations are the same. For lent buffers there is one
// owner for a whole delivery, for taken ones each has one, out of a pool.
type owner struct {
	generation uint32 // read atomically; written so by ReleaseAll, plainly by the thread that lends
	lent       *core.Event
	counters   *counters
	taken      *taken       // nil: lent
	shown      *atomic.Bool // Bytes was called: in taken, or, for lent buffers, of any of them
}

// taken is what the cleanup of an owner needs; it does not keep the owner alive.
type taken struct {
	raw      core.Buffer
	out      bool
	shown    atomic.Bool // a slice of the memory may be in use; atomic because goroutines may call Bytes at once
	counters *counters
}

// counters are what Go counts itself; they outlive the receiver.
type counters struct {
	forgotten atomic.Uint64
}

var owners = sync.Pool{New: newOwner}

func newOwner() any {
	o := &owner{taken: new(taken)}
	o.shown = &o.taken.shown
	runtime.AddCleanup(o, reclaim, o.taken)
	return o
}

// reclaim runs when an owner is unreachable: no Buffer has it, nor the pool. The garbage collector does not follow slices of
// the area, which is not its memory: such a slice may be in use although the Buffer is gone.
func reclaim(t *taken) {
	if !t.out {
		return
	}
	t.counters.forgotten.Add(1)
	if !t.shown.Load() {
		core.ReleaseBuffers([]core.Buffer{t.raw})
	}
}

// takeRaw makes a taken buffer; shown says whether a slice of its memory may have been given out before.
func takeRaw(raw core.Buffer, c *counters, shown bool) Buffer {
	o := owners.Get().(*owner)
	o.taken.raw = raw
	o.taken.counters = c
	o.taken.shown.Store(shown)
	o.taken.out = true
	return Buffer{raw.View(), o, mark(raw.Length, atomic.LoadUint32(&o.generation))}
}

func (b *Buffer) check() {
	if b.owner == nil || atomic.LoadUint32(&b.owner.generation) != b.generation() {
		b.stale()
	}
}

func (b *Buffer) stale() {
	if b.owner == nil {
		panic("zcrx: empty Buffer")
	}
	if b.owner.taken != nil {
		panic("zcrx: Buffer used after Release")
	}
	panic("zcrx: lent Buffer used after its event; Take it")
}

// Bytes are the received bytes. They must not be written, nor used after Release. Memory without a CPU view (AreaDMABuf)
// has none: see Offset.
func (b Buffer) Bytes() []byte {
	b.check()
	if b.data != nil && !b.owner.shown.Load() {
		b.owner.shown.Store(true)
	}
	return unsafe.Slice((*byte)(b.data), b.viewed())
}

// viewed is how many bytes there are to see.
func (b *Buffer) viewed() uint32 {
	if b.data == nil {
		return 0
	}
	return b.length()
}

// Len is the number of bytes.
func (b Buffer) Len() int {
	b.check()
	return int(b.length())
}

// Offset is where in the area the bytes are: with AreaDMABuf, where in the dma-buf.
func (b Buffer) Offset() uint64 {
	b.check()
	raw := b.raw()
	return raw.Offset + uint64(raw.Length-b.length()) // what Read took of it is at its beginning
}

func (b *Buffer) raw() *core.Buffer {
	if b.owner.taken != nil {
		return &b.owner.taken.raw
	}
	return &b.owner.lent.Buffer
}

// Take makes a lent buffer the caller's, who has to Release it. A buffer that is the caller's already stays so.
func (b Buffer) Take() Buffer {
	b.check()
	if b.owner.taken != nil {
		return b
	}
	lent := b.owner.lent
	if lent.Buffer.Area == 0 {
		panic("zcrx: lent Buffer taken twice")
	}
	own := takeRaw(lent.Buffer, b.owner.counters, b.owner.shown.Load())
	lent.Buffer.Area = 0 // passed over when the batch is released
	return own
}

// Release gives a taken buffer's memory back, from any goroutine, in any order. A lent buffer needs none. A second
// release, by whichever copy, is refused with ErrReleased and changes nothing.
func (b Buffer) Release() error {
	return ReleaseAll(b)
}

var scratch = sync.Pool{New: func() any { return new([]core.Buffer) }}

// ReleaseAll is Release of many buffers in one crossing into C. All that can be released are; the error, if any, is the first.
func ReleaseAll(buffers ...Buffer) error {
	raw := scratch.Get().(*[]core.Buffer)
	list := (*raw)[:0]
	var err error
	for _, b := range buffers {
		if b.owner == nil || b.owner.taken == nil || !b.owner.giveUp(b.generation()) {
			err = ErrReleased
			continue
		}
		list = append(list, b.owner.taken.raw)
		b.owner.taken.out = false
		owners.Put(b.owner)
	}
	if len(list) > 0 && core.ReleaseBuffers(list) != 0 {
		err = ErrReleased
	}
	*raw = list
	scratch.Put(raw)
	return err
}

// giveUp ends a generation; of two that try at once, one does.
func (o *owner) giveUp(generation uint32) bool {
	return atomic.CompareAndSwapUint32(&o.generation, generation, generation+1)
}
