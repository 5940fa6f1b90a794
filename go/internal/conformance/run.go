// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	zcrx "github.com/zcrx/zcrx/go"
)

const (
	late         = 200 * time.Millisecond
	timeoutSlack = time.Minute
	shortest     = 100 * time.Microsecond // timeout_ms=0: a context that is over already receives nothing
	nicShare     = 64 << 20               // what a NIC's own rings hold of an area
	nicRules     = 32                     // so many connections are steered one by one
)

// run is one scenario under way.
type run struct {
	*scenario
	rx     *zcrx.Receiver
	ledger ledger
	keeper *keeper
	peer   *peer
	quiet  bool         // the last receive returned nothing
	thread atomic.Int64 // that receives

	interrupt atomic.Pointer[context.CancelFunc] // what wake_ms cancels
}

func (r *run) open(engine zcrx.Engine) error {
	options := zcrx.Options{
		Engine:        engine,
		AreaBytes:     r.areaBytes,
		BufferBytes:   uint32(r.bufferBytes),
		RingEntries:   uint32(r.ringEntries),
		RefillEntries: uint32(r.refillEntries),
		Batch:         int(r.batch),
	}
	if engine == zcrx.EngineZCRX {
		r.bindTo(&options, os.Getenv("ZRX_RIG_IFACE"))
	}
	var err error
	r.rx, err = zcrx.Open(options)
	if err == nil {
		got := r.rx.Info().Engine
		check(engine == zcrx.EngineAuto || got == engine, "open: engine %v instead of %v", got, engine)
	}
	return err
}

func (r *run) bindTo(options *zcrx.Options, nic string) {
	options.Interface = nic
	if options.AreaBytes > 0 {
		options.AreaBytes += nicShare
	}
	if r.connections > nicRules {
		options.Steer, options.SteerPort = zcrx.SteerPort, r.peer.port()
	}
}

// ---- add ----

func (r *run) addStream(number, limit uint64) {
	s := &r.ledger.streams[number]
	var err error
	s.id, err = r.rx.Add(s.conn, zcrx.Tag(number), zcrx.Limit(limit))
	check(err == nil, "add of stream %d: %v", number, err)
}

func (r *run) removeStream(number uint64) {
	err := r.rx.Remove(r.ledger.streams[number].id)
	check(err == nil, "remove of stream %d: %v", number, err)
	r.ledger.streams[number].removed = true
}

func (r *run) addAccepted(number uint64) {
	s := &r.ledger.streams[number]
	r.addStream(number, r.limit)
	r.ledger.added++
	if r.removeAt == 0 {
		r.removeStream(number)
	}
	if !r.addLate {
		r.peer.goOn(s.conn)
	}
	if r.closeFD {
		s.conn.Close()
		s.conn = nil
	}
}

func (r *run) acceptStreams(first, last uint64) {
	for i := first; i < last; i++ {
		r.ledger.streams[i].conn = r.peer.accept()
		if r.addLate {
			r.peer.goOn(r.ledger.streams[i].conn)
		} else {
			r.addAccepted(i)
		}
	}
	if !r.addLate {
		return
	}
	time.Sleep(late)
	for i := first; i < last; i++ {
		r.addAccepted(i)
	}
}

// ---- receive ----

// lends says that buffers are used as they come, without taking them.
func (r *run) lends() bool {
	return r.hold == "" && r.holdCount == 0 && r.releaseThreads == 0 && r.releaseBatch == 0 && !r.doubleRelease
}

func (r *run) event(e zcrx.Event) error {
	r.quiet = false
	r.thread.Store(int64(syscall.Gettid()))
	offset := r.ledger.take(&e)
	if e.Kind == zcrx.Data && !r.lends() {
		r.keeper.keep(held{e.Buffer.Take(), e.Tag, offset})
	}
	s := &r.ledger.streams[e.Tag]
	if r.removeAt < parked && !s.removed && !s.ended && s.received >= r.removeAt {
		r.removeStream(e.Tag)
	}
	r.removeParked()
	if r.hold == "" {
		r.keeper.release(int(r.holdCount))
	}
	if r.finished() {
		return zcrx.ErrStop
	}
	return nil
}

func (r *run) removeParked() {
	if r.removeAt != parked || r.rx.Stats().Parked == 0 {
		return
	}
	for i := range r.ledger.added {
		if s := &r.ledger.streams[i]; !s.removed && !s.ended {
			r.removeStream(i)
		}
	}
}

func (r *run) finished() bool {
	switch r.until {
	case "ends":
		return r.ledger.ended == r.ledger.added
	case "bytes":
		return r.ledger.bytes >= r.untilBytes
	case "timeout":
		return r.quiet
	}
	return r.quiet && r.rx.Stats().Wakes > 0
}

// receiveOnce is one Receive, until the scenario is finished, the timeout is over, or wake_ms interrupts it.
func (r *run) receiveOnce() {
	begun := time.Now()
	ctx, cancel := context.WithCancel(context.Background())
	if r.timeoutMS >= 0 {
		ctx, cancel = context.WithTimeout(context.Background(), max(shortest, time.Duration(r.timeoutMS)*time.Millisecond))
	}
	defer cancel()
	r.interrupt.Store(&cancel)
	r.quiet = true
	err := r.rx.Receive(ctx, r.event)
	check(err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded), "receive: %v", err)
	if took := time.Since(begun); r.until == "timeout" && r.quiet {
		timeout := time.Duration(r.timeoutMS) * time.Millisecond
		check(took >= timeout && took < timeout+timeoutSlack, "receive waited %v, timeout %v", took, timeout)
	}
	r.removeParked()
}

func (r *run) receiveAll() {
	group := r.connections
	if r.connectEach {
		group = 1
	}
	for first := uint64(0); first < r.connections; first += group {
		r.acceptStreams(first, first+group)
		for r.quiet = false; !r.finished(); {
			r.receiveOnce()
		}
		if r.connectEach {
			r.closeConnections()
		}
	}
	r.ledger.checkStreams()
}

// disturb wakes or signals the receiving thread until the function it returns is called.
func (r *run) disturb() (stop func()) {
	ms := max(r.wakeMS, r.signalMS)
	if ms == 0 {
		return func() {}
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	ticker := time.NewTicker(time.Duration(ms) * time.Millisecond)
	done := make(chan struct{})
	var disturber sync.WaitGroup
	start(&disturber, func() {
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			if cancel := r.interrupt.Load(); r.wakeMS > 0 && cancel != nil {
				(*cancel)()
			}
			if thread := r.thread.Load(); r.signalMS > 0 && thread != 0 {
				err := syscall.Tgkill(syscall.Getpid(), int(thread), syscall.SIGUSR1)
				check(err == nil, "signal: %v", err)
			}
		}
	})
	return func() {
		close(done)
		disturber.Wait()
		ticker.Stop()
		signal.Stop(signals)
	}
}

// ---- the rest ----

func (r *run) recvRest() {
	buffer := make([]byte, 65536)
	for i := range r.ledger.streams[:r.ledger.added] {
		s := &r.ledger.streams[i]
		for {
			n, err := s.conn.Read(buffer)
			good := payloadCheck(buffer[:n], r.seed, uint64(i), s.received)
			check(good == n, "stream %d: wrong byte at %d by Read", i, s.received+uint64(good))
			s.received += uint64(n)
			if err == io.EOF {
				break
			}
			check(err == nil, "stream %d: Read after its end: %v", i, err)
		}
	}
}

func (r *run) receiveRest() {
	r.ledger.ended = 0
	for i := range r.ledger.streams[:r.ledger.added] {
		r.ledger.streams[i].ended = false
		r.addStream(uint64(i), 0)
	}
	err := r.rx.Receive(context.Background(), func(e zcrx.Event) error {
		r.ledger.take(&e)
		if r.ledger.ended == r.ledger.added {
			return zcrx.ErrStop
		}
		return nil
	})
	check(err == nil, "receive of the rest: %v", err)
}

func (r *run) doRest() {
	switch r.rest {
	case "recv":
		r.recvRest()
	case "add":
		r.receiveRest()
	default:
		return
	}
	r.ledger.checkRest()
}

// ---- close ----

func (r *run) closeConnections() {
	for i := range r.ledger.streams {
		if s := &r.ledger.streams[i]; s.conn != nil {
			s.conn.Close()
			s.conn = nil
		}
	}
}

func (r *run) finish() {
	pastClose := r.hold == "closed"
	r.keeper.stopWatching()
	if !pastClose {
		r.keeper.drain()
	}
	r.doRest()
	if r.closeFD {
		r.peer.wait()
	}
	r.ledger.checkStats(r.rx.Stats(), r.keeper.count())
	err := r.rx.Close()
	check(err == nil, "close: %v", err)
	if pastClose {
		time.Sleep(time.Duration(r.closedMS) * time.Millisecond)
	}
	r.keeper.end()
	r.closeConnections()
	if !r.closeFD {
		r.peer.wait()
	}
}

var current atomic.Pointer[run]

func runOnce(s *scenario, engine zcrx.Engine, sender []string) error {
	before := countHoldings()
	r := &run{scenario: s, ledger: ledger{scenario: s, streams: make([]stream, s.connections)}, peer: listen()}
	if err := r.open(engine); err != nil {
		return err
	}
	current.Store(r)
	r.keeper = newKeeper(s, r.rx)
	r.peer.start(s, sender)
	stop := r.disturb()
	r.receiveAll()
	stop()
	r.finish()
	current.Store(nil)
	before.compare()
	return nil
}
