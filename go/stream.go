// SPDX-License-Identifier: MIT

package zcrx

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"sync"
	"time"
	"unsafe"

	"github.com/zcrx/zcrx/go/internal/core"
)

// Stream reads one connection. Its methods may be called by any goroutine; reads wait for each other.
//
// Received data is queued up to the option [Window]. Then no more is received until some of it is read, and TCP
// slows the peer down, as it does for a socket that is not read.
//
// Reads return io.EOF only when the connection has ended, or its [Limit] is reached; [Stream.End] tells which. When the receiver is
// closed first, they return [ErrClosed].
//
// A Stream has to be closed, as a net.Conn has: the garbage collector does not free the bytes that it has queued.
type Stream struct {
	rx       *Receiver
	source   source
	window   int // bytes to hold at most
	buffers  int // likewise, buffers
	deadline *deadline
	ready    chan struct{} // there is something in the queue, or the end
	closed   chan struct{}
	let      chan struct{} // go of: the stream is closed and the kernel holds no reference to the socket

	// The owner's thread alone.
	id       StreamID
	attached bool
	removing bool
	limit    uint64 // bytes still to come; 0: no limit
	arriving []core.Buffer
	reason   error
	flags    EndReason // if reason is io.EOF

	// Shared by the owner's thread and the reader.
	mutex       sync.Mutex
	queue       []core.Buffer
	end         error     // after the queue; nil: not yet
	how         EndReason // if end is io.EOF
	heldBytes   int       // queued, or being read
	heldBuffers int
	paused      bool
	isClosed    bool

	// The reader alone, under its lock.
	reader    sync.Mutex
	reading   []core.Buffer // taken from the queue
	at        int           // the first of them that is not read
	offset    int           // in that one
	spent     int           // those before at that are released
	unreading bool          // the last call was ReadByte
}

var errNoView = fmt.Errorf("zcrx: the CPU cannot read a dma-buf, so a Stream cannot; receive Events: %w", ErrUnsupported)

// Stream adds a TCP connection that is read by the stream's own methods instead of [Receiver.Receive]. As with
// [Receiver.Add] the connection stays the caller's; Close of the stream does not close it.
func (rx *Receiver) Stream(conn net.Conn, options ...StreamOption) (*Stream, error) {
	if rx.info.Area == AreaDMABuf {
		return nil, errNoView
	}
	src, err := connSource(conn)
	if err != nil {
		return nil, err
	}
	o := gather(options)
	s := &Stream{
		rx:       rx,
		source:   src,
		window:   o.window,
		limit:    o.limit,
		deadline: newDeadline(),
		ready:    make(chan struct{}, 1),
		closed:   make(chan struct{}),
		let:      make(chan struct{}),
	}
	if s.window <= 0 {
		s.window = int(rx.info.AreaBytes / 4)
	}
	// A small write of the peer may use a whole chunk, so buffers are limited as well as bytes.
	s.buffers = max(1, int(rx.info.AreaBytes/uint64(rx.info.BufferBytes)/4))
	if err := rx.do(s.attach); err != nil {
		return nil, err
	}
	return s, nil
}

// ---- the owner's thread ----

func (s *Stream) attach() error {
	id, err := s.rx.addEntry(entry{source: s.source, stream: s}, s.limit)
	if err != nil {
		return err
	}
	s.id = id
	s.attached = true
	s.removing = false
	return nil
}

// accept collects an event of a batch; publish, called at the end of the batch, makes it visible to the reader.
func (s *Stream) accept(raw *core.Event) {
	if len(s.arriving) == 0 && s.reason == nil {
		s.rx.touched = append(s.rx.touched, s)
	}
	if raw.Kind == core.EventData {
		s.arriving = append(s.arriving, raw.Buffer)
		if s.limit > 0 {
			s.limit -= uint64(raw.Buffer.Length)
		}
		return
	}
	s.attached = false
	switch {
	case raw.Kind == core.EventError:
		s.reason = &net.OpError{Op: opRead, Net: "tcp", Err: os.NewSyscallError("zcrx", endError(raw))}
	case raw.Flags == core.EndRemoved:
		s.reason = errPaused
	default:
		s.reason = io.EOF
		s.flags = EndReason(raw.Flags)
	}
}

// errPaused is stored as the end of a stream that was removed because its window was full, and will be added again.
var errPaused = errors.New("zcrx: paused")

// publish queues what accept collected, and removes the connection from the receiver while the window is full.
func (s *Stream) publish() {
	s.mutex.Lock()
	for i := range s.arriving {
		s.heldBytes += int(s.arriving[i].Length)
	}
	s.heldBuffers += len(s.arriving)
	s.queue = append(s.queue, s.arriving...)
	discard := s.isClosed
	full := s.heldBytes >= s.window || s.heldBuffers >= s.buffers
	paused := s.reason == errPaused
	if paused {
		s.paused = true
	} else if s.reason != nil {
		s.end = s.reason
		s.how = s.flags
	}
	resume := paused && !full && !discard
	s.mutex.Unlock()
	s.arriving = s.arriving[:0]
	s.reason = nil
	switch {
	case discard:
		s.discard()
		if !s.attached {
			s.letGo()
		}
	case resume:
		s.resume()
	case full && s.attached && !s.removing:
		s.removing = s.rx.handle.Remove(uint64(s.id)) == 0
	}
	s.notify()
}

func (s *Stream) letGo() {
	select {
	case <-s.let:
	default:
		close(s.let)
	}
}

func (s *Stream) notify() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// resume adds the connection again after a pause.
func (s *Stream) resume() error {
	s.mutex.Lock()
	again := s.paused && !s.isClosed
	s.paused = false
	s.mutex.Unlock()
	if !again {
		return nil
	}
	if err := s.attach(); err != nil {
		s.finish(err)
	}
	return nil
}

// finish ends the stream with an error, unless it has ended already.
func (s *Stream) finish(err error) {
	s.mutex.Lock()
	if s.end == nil {
		s.end = err
	}
	s.mutex.Unlock()
	s.notify()
}

// detach ends the stream when its receiver is closed. Queued data can still be read.
func (s *Stream) detach(err error) {
	s.attached = false
	s.letGo()
	s.finish(err)
}

// discard releases the queue of a closed stream.
func (s *Stream) discard() {
	s.mutex.Lock()
	queue := s.queue
	s.queue = nil
	s.mutex.Unlock()
	if len(queue) > 0 {
		core.ReleaseBuffers(queue)
	}
}

// ---- the reader ----

// End tells how the stream ended: [EndPeer] or [EndLimit]. It is false before the end has come from the kernel, which is before
// the reader gets io.EOF, and for a stream that ended by an error: a reset, or a receiver that was closed ([ErrClosed]).
func (s *Stream) End() (how EndReason, ended bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.how, s.end == io.EOF
}

// SetReadDeadline bounds reads that wait, also those that wait already. The zero time is no bound.
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.deadline.set(t)
	return nil
}

// Close ends the stream; a read that waits returns net.ErrClosed. The connection stays open, and may be read by other means
// when Close has returned; bytes that were queued are lost.
func (s *Stream) Close() error {
	s.mutex.Lock()
	again := s.isClosed
	s.isClosed = true
	s.mutex.Unlock()
	if again {
		return ErrClosed
	}
	close(s.closed)
	err := s.rx.do(func() error {
		if !s.attached {
			s.letGo()
		} else if !s.removing {
			s.removing = s.rx.handle.Remove(uint64(s.id)) == 0
		}
		return nil
	})
	if err == nil && !s.rx.onOwnThread() {
		<-s.let
	}
	s.clear()
	return nil // a closed receiver has closed the stream
}

// clear releases all buffers of a closed stream. If a read is in progress, leave calls clear again.
func (s *Stream) clear() {
	if s.reader.TryLock() {
		s.drop(len(s.reading) - s.spent)
		s.reading, s.at, s.spent = nil, 0, 0
		s.reader.Unlock()
		s.discard()
	}
}

// enter begins a read, and leave ends it. A read after the deadline fails at once, as for a net.Conn.
func (s *Stream) enter() error {
	s.reader.Lock()
	s.unreading = false
	if s.deadline.isOver() {
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (s *Stream) leave() {
	if s.at == len(s.reading) { // all are read: release them now rather than at the next read
		s.drop(s.at - s.spent)
	}
	s.reader.Unlock()
	select {
	case <-s.closed:
		s.clear()
	default:
	}
}

// current returns what is left of the buffer to read; it waits for one if need be. At the end it returns the reason.
func (s *Stream) current() ([]byte, error) {
	for {
		if s.at < len(s.reading) {
			if rest := s.reading[s.at].Bytes()[s.offset:]; len(rest) > 0 {
				return rest, nil
			}
			s.next()
			continue
		}
		if err := s.refill(); err != nil {
			return nil, err
		}
	}
}

// next goes to the next buffer; the one before is released with others.
func (s *Stream) next() {
	s.at++
	s.offset = 0
	if s.at-s.spent >= releaseBatch {
		s.drop(s.at - s.spent)
	}
}

// releaseBatch buffers are released by one call into C, or fewer before a wait.
const releaseBatch = 16

// drop releases the next count buffers that are not released yet.
func (s *Stream) drop(count int) {
	if count == 0 {
		return
	}
	buffers := s.reading[s.spent : s.spent+count]
	s.spent += count
	s.credit(buffers)
	core.ReleaseBuffers(buffers)
}

// credit accounts for buffers that the stream does not hold any more, and has the connection read again after a pause.
func (s *Stream) credit(buffers []core.Buffer) {
	s.mutex.Lock()
	for i := range buffers {
		s.heldBytes -= int(buffers[i].Length)
	}
	s.heldBuffers -= len(buffers)
	resume := s.paused && s.heldBytes <= s.window/2 && s.heldBuffers <= s.buffers/2
	s.mutex.Unlock()
	if resume {
		s.rx.post(s.resume)
	}
}

// refill takes the queue, and waits while it is empty. It fails after the deadline even if there is data: otherwise WriteTo
// would not end while the peer sends.
func (s *Stream) refill() error {
	s.drop(len(s.reading) - s.spent)
	s.at, s.spent, s.reading = 0, 0, s.reading[:0]
	if s.deadline.isOver() {
		return os.ErrDeadlineExceeded
	}
	for {
		s.mutex.Lock()
		s.queue, s.reading = s.reading[:0], s.queue
		end := s.end
		closed := s.isClosed
		s.mutex.Unlock()
		switch {
		case closed:
			return ErrClosed
		case len(s.reading) > 0:
			return nil
		case end != nil:
			return end
		case s.rx.onOwnThread():
			return ErrBusy // nobody else would receive
		}
		select {
		case <-s.ready:
		case <-s.closed:
		case <-s.deadline.over():
			return os.ErrDeadlineExceeded
		}
	}
}

// Read copies received data into p: the only copy besides the engine's own.
func (s *Stream) Read(p []byte) (n int, err error) {
	defer s.leave()
	if err := s.enter(); err != nil || len(p) == 0 {
		return 0, err
	}
	for n < len(p) {
		rest, err := s.current()
		if err != nil {
			return n, err
		}
		copied := copy(p[n:], rest)
		n += copied
		s.offset += copied
		if s.offset == len(s.reading[s.at].Bytes()) {
			s.next()
		}
		if s.at == len(s.reading) {
			break // more would have to be waited for
		}
	}
	return n, nil
}

// ReadByte makes a Stream an io.ByteReader.
func (s *Stream) ReadByte() (byte, error) {
	defer s.leave()
	if err := s.enter(); err != nil {
		return 0, err
	}
	rest, err := s.current()
	if err != nil {
		return 0, err
	}
	s.offset++ // the buffer stays, even if that was its last byte: UnreadByte may follow
	s.unreading = true
	return rest[0], nil
}

// UnreadByte undoes a ReadByte that was the call before.
func (s *Stream) UnreadByte() error {
	s.reader.Lock()
	defer s.reader.Unlock()
	if !s.unreading {
		return errors.New("zcrx: UnreadByte without a ReadByte before")
	}
	s.unreading = false
	s.offset--
	return nil
}

// WriteTo passes the views themselves to w.Write, until the stream's end. io.Copy uses it.
func (s *Stream) WriteTo(w io.Writer) (n int64, err error) {
	defer s.leave()
	if err := s.enter(); err != nil {
		return 0, err
	}
	for {
		rest, err := s.current()
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		written, err := w.Write(rest)
		n += int64(written)
		s.offset += written
		if err == nil && written < len(rest) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return n, err
		}
		s.next()
	}
}

// Next returns the next bytes as a buffer that is the caller's, who has to Release it; io.EOF at the end. What Read left of a
// buffer comes first.
func (s *Stream) Next() (Buffer, error) {
	defer s.leave()
	if err := s.enter(); err != nil {
		return Buffer{}, err
	}
	rest, err := s.current()
	if err != nil {
		return Buffer{}, err
	}
	s.drop(s.at - s.spent)
	b := takeRaw(s.reading[s.at], s.rx.counters, false)
	b.data = unsafe.Pointer(unsafe.SliceData(rest))
	b.mark = mark(uint32(len(rest)), b.generation())
	s.credit(s.reading[s.at : s.at+1])
	s.at++
	s.spent++
	s.offset = 0
	return b, nil
}

// Buffers iterates over the stream's bytes to its end as [Stream.Next] does: each buffer is the caller's, who has to Release it.
// The error, if the stream does not end by itself, comes last.
func (s *Stream) Buffers() iter.Seq2[Buffer, error] {
	return func(yield func(Buffer, error) bool) {
		for {
			b, err := s.Next()
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(Buffer{}, err)
				return
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}
