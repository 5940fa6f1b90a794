// SPDX-License-Identifier: MIT

package zcrx

import (
	"io"
	"net"
	"os"
	"sync"

	"github.com/zcrx/zcrx/go/internal/core"
)

// feed is what the receiver has of a Stream: what came for it. It does not refer to the Stream, so that one that nobody has any more
// is collected. Its buffers count for the connection's window in the core until they are released, so that has the flow control.
type feed struct {
	rx     *Receiver
	ready  chan struct{} // there is something in the queue, or the end
	closed chan struct{}
	let    chan struct{} // go of: the stream is closed and the kernel holds no reference to the socket

	// The owner's thread alone.
	id       StreamID
	attached bool
	arriving []core.Buffer
	reason   error
	flags    EndReason // if reason is io.EOF

	// Shared by the owner's thread and the reader.
	mutex    sync.Mutex
	queue    []core.Buffer
	end      error     // after the queue; nil: not yet
	how      EndReason // if end is io.EOF
	isClosed bool

	// The reader alone, under its lock.
	reader  sync.Mutex
	reading []core.Buffer // taken from the queue
	at      int           // the first of them that is not read
	spent   int           // those before at that are released
	unused  int           // bytes of those between the two
}

func newFeed(rx *Receiver) *feed {
	return &feed{rx: rx, ready: make(chan struct{}, 1), closed: make(chan struct{}), let: make(chan struct{})}
}

// ---- the owner's thread ----

// attach adds the connection.
func (f *feed) attach(src source, o streamOptions) (err error) {
	f.id, err = f.rx.addEntry(entry{source: src, feed: f}, o)
	f.attached = err == nil
	return err
}

// accept collects an event of a batch; publish, called at the end of the batch, makes it visible to the reader.
func (f *feed) accept(raw *core.Event) {
	if len(f.arriving) == 0 && f.reason == nil {
		f.rx.touched = append(f.rx.touched, f)
	}
	switch raw.Kind {
	case core.EventData:
		f.arriving = append(f.arriving, raw.Buffer)
	case core.EventError:
		f.attached = false
		f.reason = &net.OpError{Op: opRead, Net: "tcp", Err: os.NewSyscallError("zcrx", endError(raw))}
	default:
		f.attached = false
		f.reason = io.EOF
		f.flags = EndReason(raw.Flags)
	}
}

// publish queues what accept collected.
func (f *feed) publish() {
	f.mutex.Lock()
	f.queue = append(f.queue, f.arriving...)
	if f.reason != nil {
		f.end = f.reason
		f.how = f.flags
	}
	discard := f.isClosed
	f.mutex.Unlock()
	f.arriving = f.arriving[:0]
	f.reason = nil
	if discard {
		f.discard()
		if !f.attached {
			f.letGo()
		}
	}
	f.notify()
}

func (f *feed) letGo() {
	select {
	case <-f.let:
	default:
		close(f.let)
	}
}

func (f *feed) notify() {
	select {
	case f.ready <- struct{}{}:
	default:
	}
}

// detach ends the stream when its receiver is closed. Queued data can still be read.
func (f *feed) detach(err error) {
	f.attached = false
	f.letGo()
	f.mutex.Lock()
	if f.end == nil {
		f.end = err
	}
	f.mutex.Unlock()
	f.notify()
}

// remove has the kernel let go of the socket; the end event then tells that it has.
func (f *feed) remove() error {
	if f.attached {
		f.rx.handle.Remove(uint64(f.id)) // it only fails where the end is on its way
	} else {
		f.letGo()
	}
	return nil
}

// ---- any thread ----

// close marks the feed as closed, once.
func (f *feed) close() (first bool) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.isClosed {
		return false
	}
	f.isClosed = true
	close(f.closed)
	return true
}

// abandon closes the feed of a Stream that the garbage collector found without a Close. It does not wait for the owner's thread.
func abandon(f *feed) {
	if f.close() {
		f.rx.post(f.remove)
	}
	f.clear()
}

// discard releases the queue of a closed stream.
func (f *feed) discard() {
	f.mutex.Lock()
	queue := f.queue
	f.queue = nil
	f.mutex.Unlock()
	if len(queue) > 0 {
		core.ReleaseBuffers(queue)
	}
}

// clear releases all buffers of a closed stream. If a read is in progress, the end of it calls clear again.
func (f *feed) clear() {
	if f.reader.TryLock() {
		f.drop(len(f.reading))
		f.reading, f.at, f.spent = nil, 0, 0
		f.reader.Unlock()
		f.discard()
	}
}

// ---- the reader ----

// Buffers that are read are released together by one call into C: after so many of them, or so many bytes, which the engine
// then writes to again while they are in the processor's cache; and before a wait.
const (
	releaseBatch = 16
	releaseBytes = 64 << 10
)

// advance goes to the next buffer.
func (f *feed) advance() {
	f.unused += int(f.reading[f.at].Length)
	f.at++
	if f.at-f.spent >= releaseBatch || f.unused >= releaseBytes {
		f.drop(f.at)
	}
}

// drop releases the buffers before the given place that are not released yet.
func (f *feed) drop(before int) {
	if buffers := f.reading[f.spent:before]; len(buffers) > 0 {
		f.spent, f.unused = before, 0
		core.ReleaseBuffers(buffers)
	}
}

// take has the queue for reading. It tells how the stream ended, if it has, which is after what is queued; and whether it is closed.
func (f *feed) take() (end error, closed bool) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.at, f.spent, f.unused = 0, 0, 0
	f.queue, f.reading = f.reading[:0], f.queue
	return f.end, f.isClosed
}
