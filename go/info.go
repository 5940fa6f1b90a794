// SPDX-License-Identifier: MIT

package zcrx

import (
	"math"

	"github.com/zcrx/zcrx/go/internal/core"
)

// Unknown is the value of counters that the kernel does not tell.
const Unknown uint64 = math.MaxUint64

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

// Info tells what was opened.
func (rx *Receiver) Info() Info { return rx.info }

func newRefused(refusals []core.Refusal) map[Engine]error {
	refused := make(map[Engine]error)
	for _, refusal := range refusals {
		refused[Engine(refusal.Engine)] = newOpError(opOpen, refusal.Why)
	}
	return refused
}
