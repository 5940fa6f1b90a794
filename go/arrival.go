// SPDX-License-Identifier: MIT

package zcrx

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/zcrx/zcrx/go/internal/core"
)

// Arrival tells of a connection that a [Group] has added to a receiver, or could not add.
type Arrival struct {
	// Conn is the connection: what was given to [Group.Add], or what was accepted. It is written and closed by the program, and
	// read by nobody while it is added. It is nil for AddFile and AddFD, and for an accepted one that could not be added, which
	// is closed.
	Conn net.Conn
	// Accepted: it came by [Group.AcceptFrom]; Conn is the program's, who has to close it, after its last event or before.
	Accepted bool
	// Copied: it arrives at a queue that is no receiver's of the group, and is served by copies.
	Copied bool
	// Listener: of an Error: it is the listening socket itself that failed; nothing more is accepted from it.
	Listener bool
}

// arrivals are those of events that are on their way to the program: an event of C's has no room for what Go tells.
type arrivals struct {
	mutex sync.Mutex
	last  uint64
	of    map[uint64]told // by what is in their events' Buffer.Offset
}

type told struct {
	arrival *Arrival
	err     error
}

// isArrival says whether the event is about adding, and not of a stream.
func isArrival(raw *core.Event) bool {
	return raw.Kind == core.EventAdded || raw.Kind == core.EventError && raw.Stream == 0
}

func (a *arrivals) put(raw *core.Event, t told) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.of == nil {
		a.of = make(map[uint64]told)
	}
	a.last++
	a.of[a.last] = t
	raw.Buffer.Offset = a.last
}

// tell fills in the Event for the program, whose the connection is from then on.
func (a *arrivals) tell(raw *core.Event, e *Event) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	t := a.of[raw.Buffer.Offset]
	delete(a.of, raw.Buffer.Offset)
	e.setArrival(t.arrival)
	e.Err = t.err
}

// close closes accepted connections of which the program was not told. They stay here: a loop over Events may be about to
// get one, closed.
func (a *arrivals) close() {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	for _, t := range a.of {
		if t.arrival.Accepted && t.arrival.Conn != nil {
			t.arrival.Conn.Close()
		}
	}
}

// ---- the owner's thread ----

// routeMember is [Receiver.route] for an event of what the group has added.
func (rx *Receiver) routeMember(raw *core.Event) {
	m := rx.group.members.find(raw.Tag)
	switch {
	case isArrival(raw) && raw.Kind == core.EventAdded:
		rx.join(m, raw)
	case isArrival(raw):
		rx.rebuff(m, raw)
	case !m.listens:
		if rx.pass(&m.entry, raw) {
			rx.part(m)
		}
	case rx.isUnwanted(raw):
		core.ReleaseEvents([]core.Event{*raw})
		raw.Kind, raw.Buffer.Area = kindTaken, 0
	default:
		raw.Tag = m.tag
	}
}

// join makes a member a stream of this receiver.
func (rx *Receiver) join(m *member, raw *core.Event) {
	arrival := &Arrival{
		Conn:     m.conn,
		Accepted: raw.Flags&core.AddedAccepted != 0,
		Copied:   raw.Flags&core.AddedCopied != 0,
	}
	raw.Flags = 0
	raw.Tag = m.tag
	if m.listens {
		rx.joinAccepted(arrival, raw)
		return
	}
	if rx.joined == nil {
		rx.joined = make(map[*member]struct{})
	}
	rx.joined[m] = struct{}{}
	m.id = StreamID(raw.Stream)
	if m.feed == nil {
		rx.arrivals.put(raw, told{arrival: arrival})
		return
	}
	raw.Kind = kindTaken
	rx.readers++
	m.feed.rx, m.feed.id, m.feed.attached = rx, m.id, true
	m.added <- nil
}

// joinAccepted makes a net.Conn of an accepted connection's descriptor. Where that cannot be, the stream is removed.
func (rx *Receiver) joinAccepted(arrival *Arrival, raw *core.Event) {
	conn, err := adopt(raw.Error)
	arrival.Conn = conn
	if err == nil {
		rx.arrivals.put(raw, told{arrival: arrival})
		return
	}
	rx.handle.Remove(raw.Stream)
	if rx.unwanted == nil {
		rx.unwanted = make(map[uint64]struct{})
	}
	rx.unwanted[raw.Stream] = struct{}{}
	failed := &OpError{Op: opAdd, Stage: stageSocket, Message: "an accepted connection cannot be used: " + err.Error()}
	errors.As(err, &failed.Errno)
	if failed.Errno == syscall.EMFILE || failed.Errno == syscall.ENFILE {
		failed.Hint = "raise the limit of open files: ulimit -n"
	}
	raw.Kind, raw.Stream = core.EventError, 0
	rx.arrivals.put(raw, told{arrival: &Arrival{Accepted: true}, err: failed})
}

// adopt makes a connection of a descriptor, which it closes, as net.Listener's Accept makes them.
func adopt(fd int32) (net.Conn, error) {
	file := os.NewFile(uintptr(fd), "accepted")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetNoDelay(true)
		tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true})
	}
	return conn, nil
}

// rebuff tells of what could not be added.
func (rx *Receiver) rebuff(m *member, raw *core.Event) {
	arrival := &Arrival{
		Conn:     m.conn,
		Accepted: raw.Flags&core.AddedAccepted != 0,
		Listener: raw.Flags&core.AddedListener != 0,
	}
	err := rx.whyRefused(raw, arrival)
	raw.Flags = 0
	raw.Tag = m.tag
	if !m.listens {
		rx.group.members.drop(m)
	}
	if m.feed == nil {
		rx.arrivals.put(raw, told{arrival, err})
		return
	}
	raw.Kind = kindTaken
	m.added <- err
}

func (rx *Receiver) whyRefused(raw *core.Event, arrival *Arrival) error {
	errno := syscall.Errno(-raw.Error)
	if arrival.Listener {
		return &OpError{
			Op: opListen, Stage: stageSocket, Errno: errno, Message: "the listening socket failed: nothing more is accepted from it",
			Hint: "listen again, and pass the new socket to AcceptFrom",
		}
	}
	// The message names a descriptor, which may be that of another one of this batch; the rest is of the error.
	last := rx.handle.LastError()
	if last.Code != raw.Error {
		last = core.Error{Code: raw.Error, Stage: core.StageSocket}
	}
	last.Message = "the connection was handed over, and could not be added"
	return newOpError(opAdd, last)
}

// isUnwanted says whether an event is of a stream that nobody was told of.
func (rx *Receiver) isUnwanted(raw *core.Event) bool {
	_, is := rx.unwanted[raw.Stream]
	if is && raw.Kind != core.EventData {
		delete(rx.unwanted, raw.Stream)
	}
	return is
}

// part forgets a member whose stream has ended.
func (rx *Receiver) part(m *member) {
	if m.feed != nil {
		rx.readers--
	}
	delete(rx.joined, m)
	rx.group.members.drop(m)
}

// detachMembers ends the streams when the receiver is closed.
func (rx *Receiver) detachMembers(reason error) {
	for m := range rx.joined {
		if m.feed != nil {
			m.feed.detach(reason)
		}
		rx.group.members.drop(m)
	}
	rx.joined = nil
}
