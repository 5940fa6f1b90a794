// SPDX-License-Identifier: MIT

package zcrx

import (
	"math"

	"github.com/zcrx/zcrx/go/internal/core"
)

// Unknown is the value of counters that the kernel does not tell.
const Unknown uint64 = math.MaxUint64

// Stall is why streams wait.
type Stall uint32

const (
	StallNone    Stall = core.StallNone
	StallBuffers Stall = core.StallBuffers // every chunk is out: release buffers, or open with a larger area
	StallCopies  Stall = core.StallCopies  // the kernel must copy, and the NIC holds all free chunks: steer, or enlarge the area
)

func (s Stall) String() string {
	switch s {
	case StallNone:
		return "none"
	case StallBuffers:
		return "buffers"
	case StallCopies:
		return "copies"
	}
	return "unknown"
}

// Stats are counters since Open, unless said otherwise.
type Stats struct {
	Stall             Stall  // now
	Bytes             uint64 // delivered
	Buffers           uint64 // delivered
	Released          uint64 // buffers given back
	Outstanding       uint64 // buffers out, now
	Streams           uint64 // added and not ended, now
	Parked            uint64 // streams waiting for buffers, now
	Parks             uint64 // times a stream had to wait for buffers
	RearmsRingFull    uint64 // requests started again: the completion ring was full
	RearmsNoBuffer    uint64 // ... the kernel had no buffer
	RearmsSilent      uint64 // ... it may have stopped without saying so
	RearmsInterrupted uint64 // ... interrupted, or ended early for no stated reason
	Backlog           uint64 // released buffers waiting for room in the refill ring, now
	BacklogHigh       uint64 // the most there ever were
	Flushes           uint64 // refill ring drained on request
	CopiedBytes       uint64 // by the kernel into the area; Unknown where it does not tell
	CopiedBuffers     uint64 // likewise
	AllocFailures     uint64 // times the driver found no chunk; Unknown where it does not tell
	Waits             uint64 // receives that asked the kernel
	Wakes             uint64 // receives that were woken
	Forgotten         uint64 // taken buffers that were never released: the garbage collector gave them back
}

// Stats reads the counters; after Close, as they were then.
func (rx *Receiver) Stats() Stats {
	rx.life.RLock()
	defer rx.life.RUnlock()
	s := rx.last
	if !rx.closed {
		s = rx.readStats()
	}
	s.Forgotten = rx.counters.forgotten.Load()
	return s
}

func (rx *Receiver) readStats() Stats {
	s := rx.handle.Stats()
	return Stats{
		Stall:             Stall(s.Stall),
		Bytes:             s.Bytes,
		Buffers:           s.Buffers,
		Released:          s.Released,
		Outstanding:       s.Outstanding,
		Streams:           s.Streams,
		Parked:            s.Parked,
		Parks:             s.Parks,
		RearmsRingFull:    s.RearmsRingFull,
		RearmsNoBuffer:    s.RearmsNoBuffer,
		RearmsSilent:      s.RearmsSilent,
		RearmsInterrupted: s.RearmsInterrupted,
		Backlog:           s.Backlog,
		BacklogHigh:       s.BacklogHigh,
		Flushes:           s.Flushes,
		CopiedBytes:       s.CopiedBytes,
		CopiedBuffers:     s.CopiedBuffers,
		AllocFailures:     s.AllocFailures,
		Waits:             s.Waits,
		Wakes:             s.Wakes,
	}
}

// Feature is something that newer kernels can.
type Feature uint32

const (
	FeatureFlush        Feature = core.FeatureFlush        // the refill ring drained on request, 6.19
	FeatureEvents       Feature = core.FeatureEvents       // zcrx events and statistics, 7.2
	FeatureRxBufLen     Feature = core.FeatureRXBufLen     // buffers above a page, 7.0
	FeatureNoDev        Feature = core.FeatureNoDev        // EngineZCRXNoDev, 7.1
	FeatureDMABuf       Feature = core.FeatureDMABuf       // dma-buf areas, 6.16
	FeatureIncremental  Feature = core.FeatureIncremental  // provided buffers consumed bit by bit, 6.12
	FeatureDeferTaskrun Feature = core.FeatureDeferTaskrun // completions made on the owner's thread, 6.1
)

// Info is what was opened.
type Info struct {
	Engine        Engine // never EngineAuto
	ZeroCopy      bool   // payload of steered and split traffic is not copied
	Features      Feature
	Interface     string // empty: none
	Queue         uint32
	Area          Area // never AreaAuto
	AreaBytes     uint64
	BufferBytes   uint32 // largest buffer; also the chunk that the kernel manages
	RingEntries   uint32 // of the completion ring; 0 for EngineRecv
	RefillEntries uint32 // of the refill ring; 0 for EngineRecv
	// Refused tells for each engine that is better than the one in use why it is not.
	Refused map[Engine]error
}

// Info tells what was opened.
func (rx *Receiver) Info() Info { return rx.info }

func newInfo(i core.Info) Info {
	return Info{
		Engine:        Engine(i.Engine),
		ZeroCopy:      i.ZeroCopy,
		Features:      Feature(i.Features),
		Interface:     i.Interface,
		Queue:         i.Queue,
		Area:          Area(i.AreaKind),
		AreaBytes:     i.AreaBytes,
		BufferBytes:   i.BufferBytes,
		RingEntries:   i.RingEntries,
		RefillEntries: i.RefillEntries,
		Refused:       newRefused(i.Refused),
	}
}

func newRefused(refusals []core.Refusal) map[Engine]error {
	refused := make(map[Engine]error)
	for _, refusal := range refusals {
		refused[Engine(refusal.Engine)] = newOpError(opOpen, refusal.Why)
	}
	return refused
}
