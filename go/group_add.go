// SPDX-License-Identifier: MIT

package zcrx

import (
	"net"
	"os"
	"runtime"

	"github.com/zcrx/zcrx/go/internal/core"
)

// Add hands a TCP connection over to the receiver at whose queue it arrives, or to the one that has the fewest streams. That receiver's
// next Receive or Events adds it and says so by an Added event, or by an Error with Stream 0. Its other events follow. It stays the
// caller's, as for [Receiver.Add]. It does not wait.
//
// It fails with ENOBUFS if that receiver, or each of them, has InboxEntries connections waiting: it is not received from; and with
// [ErrClosed] if the group, or each of its receivers, is closed.
func (g *Group) Add(conn net.Conn, options ...StreamOption) error {
	s, err := connSource(conn)
	if err != nil {
		return err
	}
	return g.handOver(&member{entry: entry{source: s}, conn: conn}, gather(options))
}

// AddFile is [Group.Add] of a socket that is an os.File.
func (g *Group) AddFile(file *os.File, options ...StreamOption) error {
	s, err := fileSource(file)
	if err != nil {
		return err
	}
	return g.handOver(&member{entry: entry{source: s}}, gather(options))
}

// AddFD is [Group.Add] of a socket's descriptor, which is duplicated and stays the caller's.
func (g *Group) AddFD(fd int, options ...StreamOption) error {
	return g.handOver(&member{entry: entry{source: fdSource(fd)}}, gather(options))
}

// AcceptFrom has the receivers accept the connections of a listening TCP socket, on their own threads and while they receive. Each comes by
// an Added event with Accepted, to one of them; all have the options, and so the [Tag]. Where descriptors or memory are short,
// connections wait in the socket's backlog.
//
// The listener stays the caller's, and is not to be accepted from by other means. Its Close does not end this: the group holds its own
// reference until it is closed, or its last receiver is. It has to be without Multipath TCP (net.ListenConfig). A group accepts from 16
// listeners at most.
func (g *Group) AcceptFrom(listener net.Listener, options ...StreamOption) error {
	s, err := sourceOf(opListen, listener)
	if err != nil {
		return err
	}
	return g.use(&member{entry: entry{source: s}, listens: true}, opListen, gather(options), core.Group.Listen)
}

// Listen makes a listener whose connections are read through the receivers of the group: see [Listener.Accept], which takes the next
// connection from the listener and adds it as [Group.Add] does. So connections that the program does not accept wait in the
// socket's backlog. From here on all receivers of the group receive, whether somebody else has them do so or not.
//
// Closing it closes the listener only: the receivers serve the connections that there are until they are closed.
func (g *Group) Listen(listener net.Listener, options ...StreamOption) *Listener {
	g.beginReading()
	return &Listener{Listener: listener, adder: g, options: options}
}

// Stream is [Receiver.Stream] at the receiver at whose queue the connection arrives, or at the one with the fewest streams. It waits
// until that has added it, so it fails with [ErrBusy] if it is called by a function that Receive calls on a receiver of the group.
func (g *Group) Stream(conn net.Conn, options ...StreamOption) (*Stream, error) {
	if g.onOwnThread() {
		return nil, ErrBusy
	}
	src, err := connSource(conn)
	if err != nil {
		return nil, err
	}
	f := newFeed(nil) // its receiver is known when it is added
	m := &member{entry: entry{source: src, feed: f}, conn: conn, added: make(chan error, 1)}
	g.beginReading()
	if err := g.handOver(m, gather(options)); err != nil {
		return nil, err
	}
	if err := g.wait(m); err != nil {
		return nil, err
	}
	s := &Stream{feed: f, deadline: newDeadline()}
	runtime.AddCleanup(s, abandon, f)
	return s, nil
}

// wait waits until a member is added, or cannot be.
func (g *Group) wait(m *member) error {
	select {
	case err := <-m.added:
		return err
	case <-g.over:
	}
	select { // it may have been added before
	case err := <-m.added:
		return err
	default:
		return ErrClosed
	}
}

func (g *Group) leavesReadable(err error) bool { return g.receivers[0].leavesReadable(err) }

func (g *Group) handOver(m *member, o streamOptions) error { return g.use(m, opAdd, o, core.Group.Add) }

// use calls the core about a member's descriptor.
func (g *Group) use(m *member, op string, o streamOptions, call func(core.Group, uintptr, *core.StreamOptions) core.Error) error {
	m.tag = o.Tag
	g.members.put(m)
	o.Tag = m.coreTag
	var failure core.Error
	err := ErrClosed
	g.life.RLock()
	if !g.closing.Load() { // finish, which closes the handle, waits for those who have seen it false
		err = m.source.control(func(fd uintptr) { failure = call(g.handle, fd, &o) })
	}
	g.life.RUnlock()
	if err == nil && failure.Code != 0 {
		err = newOpError(op, failure)
	}
	if err != nil {
		g.members.drop(m)
	}
	return err
}
