// SPDX-License-Identifier: MIT

package zcrx

import (
	"syscall"

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
)

func (k Kind) String() string {
	switch k {
	case Data:
		return "data"
	case End:
		return "end"
	case Error:
		return "error"
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
type Event struct {
	Kind   Kind
	End    EndReason // of an End
	Stream StreamID
	Tag    uint64 // as given by the option Tag
	Buffer Buffer // of Data: valid until the function that got the event returns; to keep it, Take it
	Err    error  // of Error: a syscall.Errno such as ECONNRESET
}

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
