// SPDX-License-Identifier: MIT

package zcrx

import (
	"fmt"
	"math"
	"os"
	"time"

	"github.com/zcrx/zcrx/go/internal/core"
)

// Engine is how bytes get into the area.
type Engine uint32

const (
	// EngineAuto is EngineZCRX if an interface is named and everything it needs is there, else
	// EngineMultishot, else EngineRecv. [Receiver.Info] tells which, and why no better one.
	EngineAuto Engine = core.EngineAuto
	// EngineZCRX binds a queue of the interface to the area: the NIC writes payload into it, nothing copies.
	// Needs Linux 6.15, CAP_NET_ADMIN, and a driver with queue management and header/data split.
	EngineZCRX Engine = core.EngineZCRX
	// EngineZCRXNoDev is the kernel's zcrx without a device: one copy. For tests. Needs Linux 7.1, CAP_NET_ADMIN.
	EngineZCRXNoDev Engine = core.EngineZCRXNoDev
	// EngineMultishot is io_uring's multishot receive into the area: one copy. Needs Linux 6.0.
	EngineMultishot Engine = core.EngineMultishot
	// EngineRecv is epoll and recv into the area: one copy. Any Linux.
	EngineRecv Engine = core.EngineRecv
)

// String is the engine's name, as [ParseEngine] takes it.
func (e Engine) String() string {
	if name := core.EngineName(uint32(e)); name != "" {
		return name
	}
	return fmt.Sprintf("Engine(%d)", uint32(e))
}

// MarshalText gives the engine's name.
func (e Engine) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText is [ParseEngine]; so an Engine can be a command line flag (flag.TextVar).
func (e *Engine) UnmarshalText(text []byte) (err error) {
	*e, err = ParseEngine(string(text))
	return err
}

// ParseEngine returns the engine of this name: auto, zcrx, zcrx-nodev, multishot or recv.
func ParseEngine(name string) (Engine, error) {
	engine, code := core.EngineByName(name)
	if code != 0 {
		return 0, fmt.Errorf("zcrx: no engine %q; there are auto, zcrx, zcrx-nodev, multishot, recv", name)
	}
	return Engine(engine), nil
}

// Area is what kind of memory the area is made of.
type Area uint32

const (
	AreaAuto    Area = core.AreaAuto    // explicit huge pages, else transparent ones, else pages
	AreaHugeTLB Area = core.AreaHugeTLB // explicit huge pages (vm.nr_hugepages), or an error
	AreaTHP     Area = core.AreaTHP     // memory advised to be huge
	AreaPages   Area = core.AreaPages   // pages of the system's size
	AreaDMABuf  Area = core.AreaDMABuf  // Options.DMABuf
)

// Steer is which flows are led to the queue (EngineZCRX).
type Steer uint32

const (
	SteerConnection Steer = core.SteerConnection // one rule for each connection, when it is added
	SteerPort       Steer = core.SteerPort       // one rule for Options.SteerPort, at open
	SteerNone       Steer = core.SteerNone       // the caller steers
)

// DefaultBatch is how many events one call into C brings, unless Options.Batch says otherwise.
const DefaultBatch = 128

// Options say how to open a receiver. The zero value of each field is its default.
type Options struct {
	Engine          Engine
	RequireZeroCopy bool // refuse every engine that copies

	Interface string  // netdev, for EngineZCRX
	Queue     *uint32 // its receive queue; nil: a free one is chosen
	// NICPrepared says that an administrator has set the NIC up: nothing is touched, only checked. Without it
	// the NIC is set up by Open and put back by Close.
	NICPrepared bool
	Steer       Steer
	SteerPort   uint16 // local TCP port, for SteerPort

	// AreaBytes is the size of the area at open, a multiple of the page size. Default 64 MiB; on a NIC's queue what that takes by
	// itself, and room for windows: see [DemandNIC].
	AreaBytes uint64
	// AreaMaxBytes is how far the area may grow when a receiver runs out of it; 0: not at all. Address space is reserved
	// for it at open, memory is not. On EngineZCRX and EngineZCRXNoDev it needs Linux 7.3. Not with AreaDMABuf.
	AreaMaxBytes uint64
	// SmallArea opens on a NIC's queue although AreaBytes is below what that takes by itself: for tests, and for who knows better.
	SmallArea bool
	// WindowBytes is the window of connections that are added without one: see [Window].
	WindowBytes uint64

	Area             Area
	DMABuf           *os.File // for AreaDMABuf; stays the caller's
	BufferBytes      uint32   // largest buffer, a power of two; default: a page on EngineZCRX, else 64 KiB
	RingEntries      uint32   // completions the ring can hold; default 4096
	RefillEntries    uint32   // default: one for each chunk of the area
	RefillRingKernel bool     // refill ring in memory that the kernel allocates

	// BusyPoll is how long a receive that would sleep polls the NIC first, in whole microseconds, at most a second; 0: it does
	// not. Engines with a ring, Linux 6.9: Info.BusyPollUs tells whether it does.
	BusyPoll time.Duration
	// Processor is the one to which the receiver's thread is pinned when it first receives; nil: none.
	Processor *int

	Batch int // events that one call into C brings, 1 to 65536; default DefaultBatch
}

func (o *Options) core() core.Options {
	c := core.Options{
		Engine:        uint32(o.Engine),
		Interface:     o.Interface,
		AreaBytes:     o.AreaBytes,
		AreaKind:      uint32(o.Area),
		BufferBytes:   o.BufferBytes,
		RingEntries:   o.RingEntries,
		RefillEntries: o.RefillEntries,
		Steer:         uint32(o.Steer),
		SteerPort:     uint32(o.SteerPort),
		WindowBytes:   o.WindowBytes,
		AreaMaxBytes:  o.AreaMaxBytes,
		DMABuf:        -1,
		BusyPollUs:    microseconds(o.BusyPoll),
	}
	if o.RequireZeroCopy {
		c.Flags |= core.RequireZeroCopy
	}
	if o.RefillRingKernel {
		c.Flags |= core.RefillRingKernel
	}
	if o.SmallArea {
		c.Flags |= core.SmallArea
	}
	if o.Queue != nil {
		c.Flags |= core.Queue
		c.Queue = *o.Queue
	}
	if o.Processor != nil {
		c.Flags |= core.Processor
		c.Processor = number(*o.Processor)
	}
	if o.NICPrepared {
		c.NICMode = core.NICPrepared
	}
	if o.DMABuf != nil {
		c.DMABuf = int32(o.DMABuf.Fd())
	}
	return c
}

// number is what C gets of an int. What does not fit is out of every range, so that the core refuses it by the option's name.
func number(n int) uint32 {
	if n < 0 || uint64(n) > math.MaxUint32 {
		return math.MaxUint32
	}
	return uint32(n)
}

// microseconds rounds up: a little is not nothing.
func microseconds(d time.Duration) uint32 {
	if d < 0 || d > math.MaxInt64-time.Microsecond {
		return math.MaxUint32
	}
	return number(int((d + time.Microsecond - 1) / time.Microsecond))
}

func (o *Options) batch() (int, error) {
	switch {
	case o.Batch == 0:
		return DefaultBatch, nil
	case o.Batch < 0 || o.Batch > 65536:
		return 0, fmt.Errorf("zcrx: open: Options.Batch is %d; take 1 to 65536", o.Batch)
	}
	return o.Batch, nil
}

// StreamOption says how to add a connection.
type StreamOption func(*streamOptions)

type streamOptions = core.StreamOptions

// Limit ends the stream after exactly so many bytes, and leaves the rest in the socket.
func Limit(bytes uint64) StreamOption { return func(o *streamOptions) { o.Limit = bytes } }

// Tag is repeated in every event of the stream: the index of the caller's own record of it, say.
func Tag(tag uint64) StreamOption { return func(o *streamOptions) { o.Tag = tag } }

// Window is how many bytes of the area the connection's buffers may hold: those that the program has, and those that wait for a
// [Stream] to be read. Whole chunks count (Info.BufferBytes), and one is the least. At its window a connection is left alone, and TCP slows
// the peer down; it goes on by itself when enough is released. Nothing of it is an event. Default: Options.WindowBytes, and where that
// is 0 twice what is free of the area beyond five eighths of it, at any time (a fourth, where there is one connection), and two chunks at
// least. So as many consumers as a fourth of the chunks may stall and what is free does not run out.
func Window(bytes uint64) StreamOption { return func(o *streamOptions) { o.WindowBytes = bytes } }

func gather(options []StreamOption) (o streamOptions) {
	for _, option := range options {
		option(&o)
	}
	return o
}
