// SPDX-License-Identifier: MIT

package zcrx

import (
	"syscall"
	"unsafe"

	"github.com/zcrx/zcrx/go/internal/core"
)

// StreamID names a connection that was added to a receiver. It is never used again for another one.
type StreamID uint64

// Kind is the kind of an event.
type Kind uint8

const (
	Data  Kind = core.EventData  // Buffer holds the next bytes of the stream
	End   Kind = core.EventEnd   // the stream is over, Event.End says how; no event of it follows
	Error Kind = core.EventError // the stream is over, Event.Err says why; no event of it follows
	Added Kind = core.EventAdded // a Group has added a connection here: Event.Arrival tells of it
)

func (k Kind) String() string {
	switch k {
	case Data:
		return "data"
	case End:
		return "end"
	case Error:
		return "error"
	case Added:
		return "added"
	}
	return "none"
}

// EndReason is how a stream ended.
type EndReason uint8

const (
	EndPeer    EndReason = 0               // the peer closed its side
	EndLimit   EndReason = core.EndLimit   // Limit bytes were delivered; the socket may hold more
	EndRemoved EndReason = core.EndRemoved // Receiver.Remove
)

func (r EndReason) String() string {
	switch r {
	case EndPeer:
		return "peer"
	case EndLimit:
		return "limit"
	case EndRemoved:
		return "removed"
	}
	return "unknown"
}

// Event is one result of receiving. The events of a stream come in order; End or Error comes once, last.
//
// In a [Group] there is also an Error whose Stream is 0: a connection that was handed over could not be added. Its [Event.Arrival]
// tells of it, and Err is an [*OpError].
type Event struct {
	Kind   Kind
	End    EndReason // of an End
	Stream StreamID
	Tag    uint64 // as given by the option Tag
	Buffer Buffer // of Data: valid until the function that got the event returns; to keep it, Take it
	Err    error  // of Error: a syscall.Errno such as ECONNRESET
}

// Arrival tells of a connection that a [Group] has added, which is what an Added event is about, or could not add. It is nil for all
// other events.
func (e *Event) Arrival() *Arrival {
	if e.Kind != Added && (e.Kind != Error || e.Stream != 0) {
		return nil
	}
	return (*Arrival)(e.Buffer.data)
}

// setArrival puts it where other events have their bytes: with a field more an Event would not be passed in registers. A
// Buffer without an owner is an empty one.
func (e *Event) setArrival(a *Arrival) { e.Buffer.data = unsafe.Pointer(a) }

// Bytes are the event's data; nil if it has none. Short for e.Buffer.Bytes().
func (e *Event) Bytes() []byte {
	if e.Kind != Data {
		return nil
	}
	return e.Buffer.Bytes()
}

// kindTaken marks an event in a batch that is not for the receiver's own consumer.
const kindTaken = 0

func endError(raw *core.Event) error {
	if raw.Kind != core.EventError {
		return nil
	}
	return syscall.Errno(-raw.Error)
}
