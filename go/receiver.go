// SPDX-License-Identifier: MIT

package zcrx

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/zcrx/zcrx/go/internal/core"
)

// Receiver is one ring, one area and one refill ring, with an operating system thread of its own on which all that the
// kernel wants from one thread is done. Its methods may be called by any number of goroutines.
//
// A Receiver has to be closed: its thread and its memory are not the garbage collector's.
type Receiver struct {
	handle   core.Receiver
	counters *counters
	info     Info
	ownRules bool // each connection has a flow rule that Add sets; before that its bytes do not come to the queue
	group    *Group

	// The life of the handle: held for reading by whoever uses it off the owner's thread.
	life   sync.RWMutex
	closed bool
	last   Stats // when it was closed

	closeError error // of the core's close; set before done is closed

	// What other goroutines ask of the owner's thread.
	mutex    sync.Mutex
	commands []command
	refuse   bool        // no more commands
	poked    atomic.Bool // there may be something to do before the next receive
	asleep   atomic.Bool // in C, or about to be: a poke has to wake it
	gone     atomic.Bool // the thread ends, and its number may be another's
	work     chan struct{}
	done     chan struct{}

	// The owner's thread alone.
	thread   int
	closing  bool
	batch    []core.Event
	entries  []entry
	free     []uint64     // entries to use again
	readers  int          // entries that are a Stream's
	backlog  []core.Event // received while nobody called Receive
	inHand   []core.Event // at the consumer
	consumer *consumer
	touched  []*feed              // by the batch in hand
	failure  error                // the ring is broken
	joined   map[*member]struct{} // that its group has added here
	unwanted map[uint64]struct{}  // streams that are removed, and of which nobody is told

	arrivals arrivals  // not told yet
	yielded  time.Time // when other goroutines were last let run
}

// entry is one added connection. The tag that C knows is its index.
type entry struct {
	id     StreamID
	tag    uint64
	source source // kept, so that the garbage collector does not close it
	feed   *feed  // a Stream's; nil: its events are Receive's
}

type command struct {
	run  func() error
	done chan error
}

// Open opens a receiver.
func Open(options Options) (*Receiver, error) {
	size, err := options.batch()
	if err != nil {
		return nil, err
	}
	c := options.core()
	handle, failure := core.Open(&c)
	if failure.Code != 0 {
		return nil, newOpError(opOpen, failure)
	}
	rx := newReceiver(handle, &options, size)
	rx.start()
	return rx, nil
}

func newReceiver(handle core.Receiver, options *Options, size int) *Receiver {
	return &Receiver{
		handle:   handle,
		counters: new(counters),
		info:     newInfo(handle.Info()),
		ownRules: options.Steer == SteerConnection && !options.NICPrepared,
		work:     make(chan struct{}, 1),
		done:     make(chan struct{}),
		batch:    core.NewEvents(size),
	}
}

// start returns when the owner's thread is known.
func (rx *Receiver) start() {
	started := make(chan struct{})
	go rx.run(started)
	<-started
}

// Close closes the receiver and puts the NIC back. Buffers that were taken stay valid until they are released; added
// connections stay open, and what is still in their sockets stays there. Receive, Events, and whatever a Stream is
// waiting for, return ErrClosed. A second Close does, too. An *[OpError] with EBUSY says that the kernel does not let go of a
// NIC's queue; the receiver is closed all the same.
//
// Called by the function that Receive calls, it takes effect when that returns.
func (rx *Receiver) Close() error {
	err := rx.do(rx.beginClose)
	if err == nil && !rx.onOwnThread() {
		<-rx.done
		err = rx.closeError
	}
	return err
}

// beginClose runs on the owner's thread.
func (rx *Receiver) beginClose() error {
	if rx.closing {
		return ErrClosed
	}
	rx.closing = true
	return nil
}

// closeError says what the core's close returned. That the end of the ring is deferred to the last buffer is no error.
func closeError(code int) error {
	if code >= 0 {
		return nil
	}
	return &OpError{
		Op:      opClose,
		Stage:   core.StageName(core.StageQueue),
		Errno:   syscall.Errno(-code),
		Message: "the kernel has not let go of the NIC's queue: the area's memory is leaked",
		Hint:    "zcrx nic restore puts the NIC back, once the queue is free",
	}
}

// Add adds a TCP connection; its events come from [Receiver.Receive] or [Receiver.Events]. It stays the caller's, who may
// close it at any time; but the receiver holds its own reference to the socket until the stream ends, so
// that a Close alone sends no FIN before. While it is added, read it by no other means. Writing is free.
func (rx *Receiver) Add(conn net.Conn, options ...StreamOption) (StreamID, error) {
	s, err := connSource(conn)
	if err != nil {
		return 0, err
	}
	return rx.addSource(s, options)
}

// AddFile is [Receiver.Add] of a socket that is an os.File.
func (rx *Receiver) AddFile(file *os.File, options ...StreamOption) (StreamID, error) {
	s, err := fileSource(file)
	if err != nil {
		return 0, err
	}
	return rx.addSource(s, options)
}

// AddFD is [Receiver.Add] of a socket's descriptor, which is duplicated and stays the caller's.
func (rx *Receiver) AddFD(fd int, options ...StreamOption) (StreamID, error) {
	return rx.addSource(fdSource(fd), options)
}

func (rx *Receiver) addSource(s source, options []StreamOption) (id StreamID, err error) {
	o := gather(options)
	err = rx.do(func() error {
		id, err = rx.addEntry(entry{tag: o.Tag, source: s}, o)
		return err
	})
	return id, err
}

// Remove ends a stream early: what the kernel has delivered still comes, then one End with EndRemoved (or the end that
// came first). Bytes that are still in the socket stay there.
func (rx *Receiver) Remove(id StreamID) error {
	return rx.do(func() error { return rx.checked(opRemove, rx.handle.Remove(uint64(id))) })
}

// Pause leaves a connection alone until [Receiver.Resume]: nothing more is asked of the kernel for it, what comes stays in its
// socket, and TCP slows the peer down. There is no event, and the stream stays. Bytes that the kernel has already delivered still come. The
// peer's end, or an error, comes after Resume.
//
// It fails with EALREADY if the connection is paused so already, and with [ErrNoStream] after the stream's end. A connection at its
// [Window] rests by itself: that is no Pause, and needs no Resume.
func (rx *Receiver) Pause(id StreamID) error {
	return rx.do(func() error { return rx.checked(opPause, rx.handle.Pause(uint64(id))) })
}

// Resume lets a connection go on after [Receiver.Pause]: at once, or, if it is at its [Window], when enough is released. It fails with
// EALREADY if it is not paused, and with [ErrNoStream] after the stream's end.
func (rx *Receiver) Resume(id StreamID) error {
	return rx.do(func() error { return rx.checked(opResume, rx.handle.Resume(uint64(id))) })
}

// StreamStats reads the figures of one connection. It fails with [ErrNoStream] after the stream's end.
func (rx *Receiver) StreamStats(id StreamID) (stats StreamStats, err error) {
	err = rx.do(func() error {
		stats, err = rx.streamStats(id)
		return err
	})
	return stats, err
}

// streamStats runs on the owner's thread.
func (rx *Receiver) streamStats(id StreamID) (StreamStats, error) {
	s, code := rx.handle.StreamStats(uint64(id))
	if code != 0 {
		return StreamStats{}, &OpError{
			Op: opStreamStats, Stage: stageStream, Errno: syscall.Errno(-code), Message: "no such stream, or it has ended",
		}
	}
	return newStreamStats(s), nil
}

// checked makes an error of what a call about a stream returned, on the owner's thread.
func (rx *Receiver) checked(op string, code int) error {
	if code == 0 {
		return nil
	}
	return newOpError(op, rx.handle.LastError())
}

// addEntry runs on the owner's thread.
func (rx *Receiver) addEntry(e entry, o streamOptions) (StreamID, error) {
	index := uint64(len(rx.entries))
	if n := len(rx.free); n > 0 {
		index = rx.free[n-1]
	}
	o.Tag = index
	var handle uint64
	var code int
	err := e.source.control(func(fd uintptr) { handle, code = rx.handle.Add(fd, &o) })
	if err != nil {
		return 0, err
	}
	if code != 0 {
		return 0, newOpError(opAdd, rx.handle.LastError())
	}
	if index == uint64(len(rx.entries)) {
		rx.entries = append(rx.entries, entry{})
	} else {
		rx.free = rx.free[:len(rx.free)-1]
	}
	e.id = StreamID(handle)
	rx.entries[index] = e
	if e.feed != nil {
		rx.readers++
	}
	return e.id, nil
}

// dropEntry runs on the owner's thread, when the stream has ended.
func (rx *Receiver) dropEntry(index uint64) {
	e := &rx.entries[index]
	if e.feed != nil {
		rx.readers--
	}
	*e = entry{}
	rx.free = append(rx.free, index)
}
