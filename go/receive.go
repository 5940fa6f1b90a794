// SPDX-License-Identifier: MIT

package zcrx

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"

	"github.com/zcrx/zcrx/go/internal/core"
)

// ErrStop, returned by the function that Receive calls, makes Receive return nil.
var ErrStop = errors.New("zcrx: stop")

// Receive calls f with each event of the connections that were added by Add, AddFile and AddFD, until f returns an error (which
// Receive returns; nil for [ErrStop]), ctx is done (its error), or the receiver is closed (ErrClosed). Events that f
// did not get are kept for the next Receive; none is lost.
//
// f is called on the receiver's own thread, one event after the other: while it runs, nothing else is received, so long
// work belongs to other goroutines, with a taken buffer. f may call the receiver's methods, but must not wait for another
// goroutine that does. A panic of f is passed on to Receive's caller.
func (rx *Receiver) Receive(ctx context.Context, f func(Event) error) error {
	c := newConsumer(rx)
	c.f = f
	stop, err := c.start(ctx)
	if err != nil {
		return err
	}
	defer stop()
	result := <-c.done
	if result.panicked {
		panic(result.panic)
	}
	return result.error(ctx)
}

// Events is [Receiver.Receive] as an iterator, in the caller's goroutine; the error, if there is one, comes last. A lent buffer
// is valid until the loop's next turn. It costs one change of threads per batch.
//
// The loop's body may use the receiver and its Streams, close them, and wait for a Stream's data: Streams are served while it
// runs. What comes for the loop itself meanwhile waits for its next turn, and holds its buffers.
func (rx *Receiver) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		c := newConsumer(rx)
		c.batches = make(chan []core.Event, 1)
		stop, err := c.start(ctx)
		if err != nil {
			yield(Event{}, err)
			return
		}
		defer stop()
		if result := c.iterate(yield); result.over || result.cancelled {
			if err := result.error(ctx); err != nil {
				yield(Event{}, err)
			}
		}
	}
}

// consumer is one Receive or Events under way.
type consumer struct {
	rx        *Receiver
	lender    owner       // of the event in hand
	shown     atomic.Bool // the lender's
	f         func(Event) error
	cancelled atomic.Bool
	done      chan outcome

	// Events only.
	batches chan []core.Event // to the goroutine that iterates; it has room for one
	hand    []core.Event      // the batch there, a copy; unchanged while busy
	busy    bool              // the owner's thread alone: a batch is there
}

// outcome is how a consumer ended; the zero value: it has not.
type outcome struct {
	over      bool
	cancelled bool
	panicked  bool
	panic     any
	err       error
}

func (o *outcome) error(ctx context.Context) error {
	if o.cancelled {
		return ctx.Err()
	}
	return o.err
}

func newConsumer(rx *Receiver) *consumer {
	c := &consumer{rx: rx, done: make(chan outcome, 1)}
	c.lender.counters = rx.counters
	c.lender.shown = &c.shown
	return c
}

// start makes c the receiver's consumer until it is over. The function that it returns ends what start has begun.
func (c *consumer) start(ctx context.Context) (stop func() bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.rx.onOwnThread() {
		return nil, ErrBusy
	}
	err = c.rx.do(func() error {
		if c.rx.consumer != nil {
			return ErrBusy
		}
		c.rx.consumer = c
		return nil
	})
	if err != nil {
		return nil, err
	}
	return context.AfterFunc(ctx, func() {
		c.cancelled.Store(true)
		c.rx.poke()
	}), nil
}

// deliver calls f with the events, on the owner's thread. It returns how many of them are done with.
func (c *consumer) deliver(events []core.Event) (served int, result outcome) {
	var e Event
	f := c.f
	finished := false
	defer func() {
		if !finished { // f panicked, or ended its goroutine: what it had in hand counts as served
			result = outcome{over: true, panicked: true, panic: recover()}
			served++
		}
		c.lender.generation++
	}()
	for ; served < len(events); served++ {
		raw := &events[served]
		if raw.Kind == kindTaken {
			continue
		}
		if c.cancelled.Load() {
			result = outcome{over: true, cancelled: true}
			break
		}
		c.lend(raw, &e)
		if err := f(e); err != nil {
			if errors.Is(err, ErrStop) {
				err = nil
			}
			served++
			result = outcome{over: true, err: err}
			break
		}
		if c.rx.closing {
			served++
			break
		}
	}
	finished = true
	return served, result
}

// lend fills in the Event for the program, and invalidates the buffer that was lent before.
func (c *consumer) lend(raw *core.Event, e *Event) {
	c.lender.generation++
	c.lender.lent = raw
	e.Kind = Kind(raw.Kind)
	e.End = EndReason(raw.Flags)
	e.Stream = StreamID(raw.Stream)
	e.Tag = raw.Tag
	if raw.Kind == core.EventData {
		// Field by field: a composite literal would be built on the stack and copied.
		e.Buffer.data = raw.Buffer.View()
		e.Buffer.owner = &c.lender
		e.Buffer.mark = mark(raw.Buffer.Length, c.lender.generation)
		e.Err = nil
		return
	}
	e.Buffer = Buffer{}
	e.Err = endError(raw)
	if isArrival(raw) {
		c.rx.arrivals.tell(raw, e)
	}
}

// handOver sends a copy of a batch to the goroutine of Events. Meanwhile the owner's thread executes commands and
// receives for Streams, because the loop's body may wait for either; events for this consumer go to the backlog.
func (c *consumer) handOver(events []core.Event) {
	c.hand = append(c.hand[:0], events...)
	c.busy = true
	c.batches <- c.hand // there is room: the batch before was handed back
}

// abandon runs on the owner's thread when the receiver is closed: a loop that has a batch gets no more events of it. One
// that has not taken its batch yet does not get it.
func (c *consumer) abandon() {
	c.cancelled.Store(true)
	select {
	case events := <-c.batches:
		core.ReleaseEvents(events)
	default:
	}
}

// iterate runs in the goroutine of Events. The result is empty if the loop was left.
func (c *consumer) iterate(yield func(Event, error) bool) outcome {
	for {
		select {
		case events := <-c.batches:
			if !c.iterateBatch(events, yield) {
				return outcome{}
			}
		case result := <-c.done:
			return result
		}
	}
}

// iterateBatch returns whether to go on.
func (c *consumer) iterateBatch(events []core.Event, yield func(Event, error) bool) bool {
	served, more := 0, false
	defer func() { // also if the loop's body panics: then the event in hand counts as served
		c.lender.generation++
		c.handBack(events, served, more)
	}()
	for i := range events {
		served = i + 1
		if events[i].Kind == kindTaken {
			continue
		}
		if c.cancelled.Load() {
			served = i
			break
		}
		var e Event
		c.lend(&events[i], &e)
		if !yield(e, nil) {
			return false
		}
	}
	more = true
	return true
}

// handBack makes the consumer idle again: events that were not served go to the front of the backlog. If the receiver
// was closed meanwhile, the whole batch is released here.
func (c *consumer) handBack(events []core.Event, served int, more bool) {
	err := <-c.rx.post(func() error {
		core.ReleaseEvents(events[:served])
		if left := withoutTaken(events[served:]); len(left) > 0 {
			c.rx.backlog = append(append([]core.Event(nil), left...), c.rx.backlog...)
		}
		c.busy = false
		if !more {
			c.rx.finishConsumer(outcome{})
		}
		return nil
	})
	if err != nil {
		core.ReleaseEvents(events)
	}
}
