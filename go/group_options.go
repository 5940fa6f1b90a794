// SPDX-License-Identifier: MIT

package zcrx

import "github.com/zcrx/zcrx/go/internal/core"

// Pin is to which processors the threads of a group are pinned. The affinity of interrupts is read, never written.
type Pin uint32

const (
	PinNone Pin = iota // to none
	// PinApart pins each to a processor of its own, of the NIC's NUMA node where there is one, that does not serve the interrupt
	// of its queue (of any of the group's, where there are enough).
	PinApart
	// PinQueue pins each to the processor that serves the interrupt of its queue, as it is at open; as PinApart where that is
	// not told.
	PinQueue
)

// GroupOptions say how to open a group. The zero value of each field is its default.
type GroupOptions struct {
	// Options are those of each receiver: sizes count for each. With EngineAuto the first decides which engine all have. With Queue they
	// take the queues from that one on. With SteerPort the NIC spreads the connections to that port over the queues; where its
	// driver cannot, they are led to them one by one. DMABuf is refused, and Processor with more than one receiver: see Pin.
	Options

	// Count is how many receivers there are, at most 256. Default: as many as processors that this process may use, at most 16, and
	// on a NIC as many of them as there are free queues.
	Count int
	Pin   Pin
	// InboxEntries is how many connections may wait for a receiver that is not received from, at most 65536. Default: 1024.
	InboxEntries int
	// SharedQueue: all receivers of EngineZCRX take from one queue, and from one area, of which each may use an equal part: for
	// NICs with fewer queues than threads (Linux 6.19, FeatureSharedQueue). Engines that copy have nothing to share. EINVAL
	// with PinQueue, and with AreaMaxBytes.
	SharedQueue bool
}

func (o *GroupOptions) core() core.GroupOptions {
	c := core.GroupOptions{
		Count:        number(o.Count),
		InboxEntries: number(o.InboxEntries),
		Receiver:     o.Options.core(),
	}
	switch o.Pin {
	case PinNone:
	case PinApart:
		c.Flags = core.GroupPin
	case PinQueue:
		c.Flags = core.GroupPinQueue
	default:
		c.Flags = 1 << 31 // the core refuses it
	}
	if o.SharedQueue {
		c.Flags |= core.GroupSharedQueue
	}
	return c
}
