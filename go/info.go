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
	return newStats(rx.handle.Stats())
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

// Info tells what was opened.
func (rx *Receiver) Info() Info { return rx.info }

func newRefused(refusals []core.Refusal) map[Engine]error {
	refused := make(map[Engine]error)
	for _, refusal := range refusals {
		refused[Engine(refusal.Engine)] = newOpError(opOpen, refusal.Why)
	}
	return refused
}
