// SPDX-License-Identifier: MIT

package zcrx

import (
	"runtime"
	"syscall"
	"time"

	"github.com/zcrx/zcrx/go/internal/core"
)

// The owner's thread executes commands, and receives while there is a consumer or a Stream, or its group has Streams.

func (rx *Receiver) run(started chan<- struct{}) {
	// Never unlocked, so that the thread ends with the goroutine: no other goroutine ever runs on it, and the
	// thread's number says whether a call comes from within.
	runtime.LockOSThread()
	if onMainThread() {
		// It does not end with its goroutine, and would stay pinned. While it is held here, the other goroutine gets another one.
		elsewhere := make(chan struct{})
		go rx.run(elsewhere)
		<-elsewhere
		runtime.UnlockOSThread()
		close(started)
		return
	}
	rx.thread = threadID()
	close(started)
	defer rx.shutdown() // also when a consumer's function ends the goroutine
	for {
		if rx.poked.Load() {
			rx.poked.Store(false)
			rx.obey()
		}
		if rx.closing {
			return
		}
		switch {
		case rx.consumerIsIdle() && rx.consumer.cancelled.Load():
			rx.finishConsumer(outcome{cancelled: true})
		case rx.consumerIsIdle() && len(rx.backlog) > 0:
			rx.serveBacklog()
		case rx.consumerIsIdle() || rx.readers > 0 || rx.group.isRead():
			rx.receive()
		default:
			<-rx.work
		}
	}
}

// consumerIsIdle says whether there is a consumer that can be served. One of Events cannot while its loop has a batch.
func (rx *Receiver) consumerIsIdle() bool { return rx.consumer != nil && !rx.consumer.busy }

func (rx *Receiver) onOwnThread() bool { return threadID() == rx.thread && !rx.gone.Load() }

// do runs a function on the owner's thread and waits for it. Within a consumer's function that is at once.
func (rx *Receiver) do(run func() error) error {
	if rx.onOwnThread() {
		return run()
	}
	return <-rx.post(run)
}

// post has a function run on the owner's thread before it receives again. The channel has room for the result.
func (rx *Receiver) post(run func() error) <-chan error {
	c := command{run: run, done: make(chan error, 1)}
	rx.mutex.Lock()
	if rx.refuse {
		rx.mutex.Unlock()
		c.done <- ErrClosed
		return c.done
	}
	rx.commands = append(rx.commands, c)
	rx.mutex.Unlock()
	rx.poke()
	return c.done
}

func (rx *Receiver) obey() {
	rx.mutex.Lock()
	commands := rx.commands
	rx.commands = nil
	rx.mutex.Unlock()
	for _, c := range commands {
		c.done <- c.run()
	}
}

// poke makes the owner's thread check for commands, and wakes it if it sleeps in C. poked and asleep are sequentially
// consistent: either the owner reads poked as true before it sleeps (receive), or this reads asleep as true.
func (rx *Receiver) poke() {
	rx.poked.Store(true)
	select {
	case rx.work <- struct{}{}:
	default:
	}
	if !rx.asleep.Load() {
		return
	}
	rx.life.RLock()
	if !rx.closed {
		rx.handle.Wake()
	}
	rx.life.RUnlock()
}

// receive makes one call into C, and passes its events to Streams and to the consumer.
func (rx *Receiver) receive() {
	rx.asleep.Store(true)
	if rx.poked.Load() {
		rx.asleep.Store(false)
		return
	}
	count := rx.handle.Receive(rx.batch, -1)
	rx.asleep.Store(false)
	if count < 0 {
		rx.failed(syscall.Errno(-count))
		return
	}
	events := rx.batch[:count]
	rx.route(events)
	rx.backlog = append(rx.backlog, rx.serve(events)...)
	rx.yield()
}

// yieldAfter is how long the owner's goroutine runs before it calls Gosched. Go's runtime preempts a goroutine that has run for
// 10 ms: its monitor thread then wakes every 20 µs and retakes the processor during each call into C, which cost a
// fifth of the processor time.
const yieldAfter = 8 * time.Millisecond

func (rx *Receiver) yield() {
	if now := time.Now(); now.Sub(rx.yielded) > yieldAfter {
		rx.yielded = now
		runtime.Gosched()
	}
}

// failed handles an error of receive: the receiver is closed, and consumer and Streams get the error.
func (rx *Receiver) failed(errno syscall.Errno) {
	if errno == syscall.EINTR {
		return
	}
	rx.failure = newOpError(opReceive, rx.handle.LastError())
	rx.closing = true
}

// route passes the events of Streams to them, marks those as taken, and sets the caller's tag in the others. Entries of
// ended streams become free.
func (rx *Receiver) route(events []core.Event) {
	for i := range events {
		raw := &events[i]
		index := raw.Tag
		if index >= groupTags {
			rx.routeMember(raw)
		} else if rx.pass(&rx.entries[index], raw) {
			rx.dropEntry(index)
		}
	}
	for i, f := range rx.touched {
		f.publish()
		rx.touched[i] = nil
	}
	rx.touched = rx.touched[:0]
}

// pass has the entry's Stream take an event, or sets the caller's tag in it. It says whether the stream is over.
func (rx *Receiver) pass(e *entry, raw *core.Event) (over bool) {
	over = raw.Kind != core.EventData
	raw.Tag = e.tag
	if e.feed != nil {
		e.feed.accept(raw)
		raw.Kind = kindTaken
		raw.Buffer.Area = 0
	}
	return over
}

// serve passes routed events to the consumer and releases those that it has processed; it returns the others.
func (rx *Receiver) serve(events []core.Event) []core.Event {
	events = withoutTaken(events)
	if !rx.consumerIsIdle() || len(events) == 0 {
		return events
	}
	if rx.consumer.batches != nil {
		rx.consumer.handOver(events)
		return nil
	}
	rx.inHand = events
	served, result := rx.consumer.deliver(events)
	core.ReleaseEvents(events[:served])
	rx.inHand = nil
	if result.over {
		rx.finishConsumer(result)
	}
	return withoutTaken(events[served:])
}

func withoutTaken(events []core.Event) []core.Event {
	for i := range events {
		if events[i].Kind != kindTaken {
			return events[i:]
		}
	}
	return nil
}

// serveBacklog serves the events that were received while there was no idle consumer.
func (rx *Receiver) serveBacklog() {
	backlog := rx.backlog
	rx.backlog = nil
	rx.backlog = rx.serve(backlog)
}

func (rx *Receiver) finishConsumer(result outcome) {
	c := rx.consumer
	rx.consumer = nil
	c.done <- result
}

// shutdown ends all waits with an error, and closes the handle. It is the last thing on the owner's thread.
func (rx *Receiver) shutdown() {
	reason := rx.failure
	if reason == nil {
		reason = ErrClosed
	}
	rx.gone.Store(true)
	rx.mutex.Lock()
	rx.refuse = true
	rx.mutex.Unlock()
	for i := range rx.entries {
		if f := rx.entries[i].feed; f != nil {
			f.detach(reason)
		}
	}
	rx.detachMembers(reason)
	core.ReleaseEvents(rx.backlog)
	core.ReleaseEvents(rx.inHand) // only if the consumer's function ended the goroutine
	rx.life.Lock()
	rx.closed = true
	rx.last = rx.readStats()
	rx.closeError = closeError(rx.handle.Close())
	rx.life.Unlock()
	core.FreeEvents(rx.batch)
	if rx.consumer != nil {
		rx.consumer.abandon()
		rx.finishConsumer(outcome{over: true, err: reason})
	}
	rx.arrivals.close()
	for _, c := range rx.commands {
		c.done <- ErrClosed
	}
	close(rx.done)
	rx.group.left()
}
