// SPDX-License-Identifier: MIT

package zcrx

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/zcrx/zcrx/go/internal/core"
)

// Group is several receivers, each with a thread of its own, that share the connections of a server: one for each of several queues
// of a NIC, or several on an engine that copies. Each connection goes to the receiver at whose queue it arrives, else to the one with the
// fewest streams. Its methods may be called by any number of goroutines.
//
//   - [Group.Listen] makes a net.Listener, whose connections are read through the receivers: an http.Server can sit on it.
//   - [Group.Stream] has one connection read so.
//   - [Group.AcceptFrom] and [Group.Add] are for programs that receive events: a [Receiver.Receive] or [Receiver.Events] has to run
//     on each receiver of the group then. The connection comes by an Added event there, before its data.
//
// A Group has to be closed, also if all of its receivers are.
type Group struct {
	handle    core.Group
	receivers []*Receiver
	members   memberTable
	read      atomic.Bool   // there are Streams, or will be
	open      atomic.Int32  // receivers
	over      chan struct{} // closed when no receiver is open
	closing   atomic.Bool

	// The life of the handle: held for reading by whoever uses it.
	life   sync.RWMutex
	closed bool
	last   GroupStats // when it was closed
}

// OpenGroup opens a group. An error is as of [Open], of the first receiver that cannot be opened; EBUSY: there are fewer free queues
// than Count (one is left for other traffic). Nothing is left behind then.
func OpenGroup(options GroupOptions) (*Group, error) {
	size, err := options.batch()
	if err != nil {
		return nil, err
	}
	c := options.core()
	handle, failure := core.OpenGroup(&c)
	if failure.Code != 0 {
		return nil, newOpError(opOpen, failure)
	}
	g := &Group{handle: handle, over: make(chan struct{})}
	for _, receiver := range handle.Receivers() {
		rx := newReceiver(receiver, &options.Options, size)
		rx.group = g
		g.receivers = append(g.receivers, rx)
	}
	g.open.Store(int32(len(g.receivers)))
	for _, rx := range g.receivers {
		rx.start()
	}
	return g, nil
}

// Count is how many receivers the group was opened with.
func (g *Group) Count() int { return len(g.receivers) }

// Receiver is a receiver of the group, from 0 to Count - 1. It works as any other. One that is closed leaves the group: what waits
// for it goes to the others, and on a NIC so do the connections that begin later.
func (g *Group) Receiver(i int) *Receiver { return g.receivers[i] }

// Receivers are those of the group, also those that are closed.
func (g *Group) Receivers() []*Receiver { return slices.Clone(g.receivers) }

// Close closes the receivers that are not closed, each on its own thread, and the group: see [Receiver.Close]. Nothing more is
// accepted by [Group.AcceptFrom]; a listener that was given to [Group.Listen] stays open. Connections that were accepted and not yet
// told of are closed. A second Close returns ErrClosed.
//
// It waits for functions that Receive calls to return. Called by such a function, it does not: it takes effect when that returns, and
// an error is lost.
func (g *Group) Close() error {
	if !g.closing.CompareAndSwap(false, true) {
		return ErrClosed
	}
	inside := g.onOwnThread()
	for _, rx := range g.receivers {
		if rx.onOwnThread() {
			rx.beginClose()
		} else {
			rx.post(rx.beginClose) // it fails where the receiver is closed
		}
	}
	if inside {
		go g.finish()
		return nil
	}
	return g.finish()
}

// finish closes the handle, once no receiver uses it.
func (g *Group) finish() (err error) {
	for _, rx := range g.receivers {
		<-rx.done
		if err == nil {
			err = rx.closeError
		}
	}
	g.life.Lock()
	defer g.life.Unlock()
	g.last = g.readStats()
	g.closed = true
	if failed := closeError(g.handle.Close()); err == nil {
		err = failed
	}
	return err
}

func (g *Group) onOwnThread() bool { return slices.ContainsFunc(g.receivers, (*Receiver).onOwnThread) }

// left is called by each receiver when it is closed. It and isRead are called by those without a group, too.
func (g *Group) left() {
	if g != nil && g.open.Add(-1) == 0 {
		close(g.over)
	}
}

// isRead says whether the receivers have to receive although nobody asked one of them to.
func (g *Group) isRead() bool { return g != nil && g.read.Load() }

// beginReading has all receivers receive from now on: which of them gets a connection is not known before.
func (g *Group) beginReading() {
	if g.read.Swap(true) {
		return
	}
	for _, rx := range g.receivers {
		rx.poke()
	}
}

// Stats reads the counters of the group and of its receivers; after Close, as they were then.
func (g *Group) Stats() GroupStats {
	g.life.RLock()
	defer g.life.RUnlock()
	s := g.last
	if !g.closed {
		s = g.readStats()
	}
	s.Receivers = slices.Clone(s.Receivers)
	s.Sum.Forgotten = 0
	for i, rx := range g.receivers {
		forgotten := rx.counters.forgotten.Load()
		s.Sum.Forgotten += forgotten
		if !rx.isClosed() {
			s.Receivers[i].Forgotten = forgotten
		}
	}
	return s
}

func (g *Group) readStats() GroupStats { return newGroupStats(g.handle.Stats(len(g.receivers))) }

func (rx *Receiver) isClosed() bool {
	rx.life.RLock()
	defer rx.life.RUnlock()
	return rx.closed
}

func newStatsList(list []core.Stats) (out []Stats) {
	for _, c := range list {
		out = append(out, newStats(c))
	}
	return out
}
