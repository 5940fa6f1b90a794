// SPDX-License-Identifier: MIT

package zcrx

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"runtime"
	"time"
	"unsafe"
)

// Stream reads one connection. Its methods may be called by any goroutine; reads wait for each other.
//
// Received data is queued until it is read, up to the connection's [Window]; buffers that [Stream.Next] gave out count too, until they are
// released. Then no more is received, and TCP slows the peer down, as it does for a socket that is not read. Other connections of
// the receiver go on.
//
// Reads return io.EOF only when the connection has ended, or its [Limit] is reached; [Stream.End] tells which. When the receiver is
// closed first, they return [ErrClosed].
//
// A Stream has to be closed, as a net.Conn has. One that the garbage collector finds without is closed then: what it has queued is
// released, and the connection is let go.
type Stream struct {
	feed      *feed
	deadline  *deadline
	offset    int  // what is read of the buffer in hand; under the reader's lock
	unreading bool // the last call was ReadByte; likewise
}

var errNoView = fmt.Errorf("zcrx: the CPU cannot read a dma-buf, so a Stream cannot; receive Events: %w", ErrUnsupported)

// Stream adds a TCP connection that is read by the stream's own methods instead of [Receiver.Receive]. As with
// [Receiver.Add] the connection stays the caller's, who may close it at any time; Close of the stream does not close it.
func (rx *Receiver) Stream(conn net.Conn, options ...StreamOption) (*Stream, error) {
	if rx.info.Area == AreaDMABuf {
		return nil, errNoView
	}
	src, err := connSource(conn)
	if err != nil {
		return nil, err
	}
	f := newFeed(rx)
	o := gather(options)
	if err := rx.do(func() error { return f.attach(src, o) }); err != nil {
		return nil, err
	}
	s := &Stream{feed: f, deadline: newDeadline()}
	runtime.AddCleanup(s, abandon, f)
	return s, nil
}

// End tells how the stream ended: [EndPeer] or [EndLimit]. It is false before the end has come from the kernel, which is before
// the reader gets io.EOF, and for a stream that ended by an error: a reset, or a receiver that was closed ([ErrClosed]).
func (s *Stream) End() (how EndReason, ended bool) {
	s.feed.mutex.Lock()
	defer s.feed.mutex.Unlock()
	return s.feed.how, s.feed.end == io.EOF
}

// Stats reads the figures of the connection. It fails with [ErrNoStream] after the stream's end.
func (s *Stream) Stats() (StreamStats, error) { return s.feed.rx.StreamStats(s.feed.id) }

// SetReadDeadline bounds reads that wait, also those that wait already. The zero time is no bound.
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.deadline.set(t)
	return nil
}

// Close ends the stream; a read that waits returns net.ErrClosed. The connection stays open, and may be read by other means
// when Close has returned; bytes that were queued are lost.
func (s *Stream) Close() error {
	f := s.feed
	if !f.close() {
		return ErrClosed
	}
	err := f.rx.do(f.remove)
	if err == nil && !f.rx.onOwnThread() {
		<-f.let
	}
	f.clear()
	runtime.KeepAlive(s)
	return nil // a closed receiver has closed the stream
}

// enter begins a read, and leave ends it. A read after the deadline fails at once, as for a net.Conn.
func (s *Stream) enter() error {
	s.feed.reader.Lock()
	s.unreading = false
	if s.deadline.isOver() {
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (s *Stream) leave() {
	f := s.feed
	if f.at == len(f.reading) { // all are read: release them now rather than at the next read
		f.drop(f.at)
	}
	f.reader.Unlock()
	select {
	case <-f.closed:
		f.clear()
	default:
	}
}

// current returns what is left of the buffer to read; it waits for one if need be. At the end it returns the reason.
func (s *Stream) current() ([]byte, error) {
	for f := s.feed; ; {
		if f.at < len(f.reading) {
			if rest := f.reading[f.at].Bytes()[s.offset:]; len(rest) > 0 {
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

// next goes to the next buffer.
func (s *Stream) next() {
	s.feed.advance()
	s.offset = 0
}

// refill takes the queue, and waits while it is empty. It fails after the deadline even if there is data: otherwise WriteTo
// would not end while the peer sends.
func (s *Stream) refill() error {
	f := s.feed
	f.drop(len(f.reading))
	if s.deadline.isOver() {
		return os.ErrDeadlineExceeded
	}
	for {
		end, closed := f.take()
		switch {
		case closed:
			return ErrClosed
		case len(f.reading) > 0:
			return nil
		case end != nil:
			return end
		case f.rx.onOwnThread():
			return ErrBusy // nobody else would receive
		}
		select {
		case <-f.ready:
		case <-f.closed:
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
	f := s.feed
	for n < len(p) {
		rest, err := s.current()
		if err != nil {
			return n, err
		}
		copied := copy(p[n:], rest)
		n += copied
		s.offset += copied
		if copied == len(rest) {
			s.next()
		}
		if f.at == len(f.reading) {
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
	s.feed.reader.Lock()
	defer s.feed.reader.Unlock()
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
	f := s.feed
	f.drop(f.at)
	b := takeRaw(f.reading[f.at], f.rx.counters, false)
	b.data = unsafe.Pointer(unsafe.SliceData(rest))
	b.mark = mark(uint32(len(rest)), b.generation())
	f.at++
	f.spent++ // it is b's
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
