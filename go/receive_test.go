// SPDX-License-Identifier: MIT

package zcrx_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	zcrx "github.com/zcrx/zcrx/go"
)

func TestReceive(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		rx := open(t, zcrx.Options{Engine: engine})
		sender, receiver := pair(t)
		want := pattern(5 << 20)
		id, err := rx.Add(receiver, zcrx.Tag(42))
		if err != nil {
			t.Fatal(err)
		}
		send(sender, want)
		var got []byte
		err = rx.Receive(bounded(t), func(e zcrx.Event) error {
			if e.Stream != id || e.Tag != 42 {
				t.Errorf("event of stream %d, tag %d", e.Stream, e.Tag)
			}
			if e.Kind == zcrx.End {
				if e.End != zcrx.EndPeer {
					t.Errorf("end by %v", e.End)
				}
				return zcrx.ErrStop
			}
			if e.Buffer.Len() != len(e.Bytes()) || e.Buffer.Len() == 0 {
				t.Errorf("Len %d, %d Bytes", e.Buffer.Len(), len(e.Bytes()))
			}
			got = append(got, e.Bytes()...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, not those that were sent (%d)", len(got), len(want))
		}
		if s := rx.Stats(); s.Outstanding != 0 || s.Bytes != uint64(len(want)) || s.Released != s.Buffers {
			t.Errorf("stats: %+v", s)
		}
		if rx.Info().Engine != engine {
			t.Errorf("engine %v", rx.Info().Engine)
		}
	})
}

func TestReceiveKeepsWhatAFunctionDidNotGet(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		rx := open(t, zcrx.Options{Engine: engine, BufferBytes: 4096})
		sender, receiver := pair(t)
		want := pattern(1 << 20)
		if _, err := rx.Add(receiver); err != nil {
			t.Fatal(err)
		}
		send(sender, want)
		var got []byte
		for over := false; !over; {
			err := rx.Receive(bounded(t), func(e zcrx.Event) error {
				got = append(got, e.Bytes()...)
				over = e.Kind != zcrx.Data
				return zcrx.ErrStop // one event for each Receive
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, not those that were sent", len(got))
		}
	})
}

func TestReceiveIsCancelledAtOnce(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		rx := open(t, zcrx.Options{Engine: engine})
		_, receiver := pair(t)
		if _, err := rx.Add(receiver); err != nil {
			t.Fatal(err)
		}
		for range 50 {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(2*time.Millisecond, cancel)
			err := rx.Receive(ctx, func(zcrx.Event) error { return errors.New("an event without data") })
			if !errors.Is(err, context.Canceled) { // if it does not return, nothing else makes it
				t.Fatal(err)
			}
		}
	})
}

func TestReceivePassesErrorsAndPanicsOn(t *testing.T) {
	rx := open(t, zcrx.Options{})
	sender, receiver := pair(t)
	if _, err := rx.Add(receiver); err != nil {
		t.Fatal(err)
	}
	mine := errors.New("mine")
	sender.Write([]byte("one"))
	if err := rx.Receive(bounded(t), func(zcrx.Event) error { return mine }); err != mine {
		t.Fatalf("%v, not the function's error", err)
	}
	sender.Write([]byte("two"))
	func() {
		defer func() {
			if r := recover(); r != "mine" {
				t.Errorf("recovered %v", r)
			}
		}()
		rx.Receive(bounded(t), func(zcrx.Event) error { panic("mine") })
	}()
	sender.Write([]byte("three"))
	err := rx.Receive(bounded(t), func(e zcrx.Event) error {
		if string(e.Bytes()) != "three" {
			t.Errorf("%q after the panic", e.Bytes())
		}
		return zcrx.ErrStop
	})
	if err != nil {
		t.Fatal(err)
	}
	if out := rx.Stats().Outstanding; out != 0 {
		t.Errorf("%d buffers out", out)
	}
}

func TestFunctionThatEndsItsGoroutine(t *testing.T) {
	rx := open(t, zcrx.Options{})
	sender, receiver := pair(t)
	if _, err := rx.Add(receiver); err != nil {
		t.Fatal(err)
	}
	sender.Write([]byte("x"))
	err := rx.Receive(bounded(t), func(zcrx.Event) error { runtime.Goexit(); return nil })
	if !errors.Is(err, zcrx.ErrClosed) {
		t.Fatal(err)
	}
	if s := rx.Stats(); s.Bytes != 1 {
		t.Errorf("stats after the end: %+v", s)
	}
}

func TestEvents(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		rx := open(t, zcrx.Options{Engine: engine, BufferBytes: 4096, Batch: 16})
		sender, receiver := pair(t)
		want := pattern(3 << 20)
		if _, err := rx.Add(receiver); err != nil {
			t.Fatal(err)
		}
		send(sender, want)
		var got []byte
		for rounds, over := 0, false; !over; rounds++ {
			for e, err := range rx.Events(bounded(t)) {
				if err != nil {
					t.Fatal(err)
				}
				defer func() {}() // in the goroutine that ranges, as a defer has to be
				got = append(got, e.Bytes()...)
				over = e.Kind != zcrx.Data
				if over || len(got)%3 == 0 {
					break
				}
			}
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, not those that were sent", len(got))
		}
		if out := rx.Stats().Outstanding; out != 0 {
			t.Errorf("%d buffers out", out)
		}
	})
}

func TestEventsBodyUsesTheReceiver(t *testing.T) {
	rx := open(t, zcrx.Options{Batch: 4})
	sender, receiver := pair(t)
	_, second := pair(t)
	if _, err := rx.Add(receiver); err != nil {
		t.Fatal(err)
	}
	sender.Write([]byte("hello"))
	turns := 0
	for e, err := range rx.Events(bounded(t)) {
		turns++
		if turns == 2 {
			if !errors.Is(err, zcrx.ErrClosed) {
				t.Fatalf("after Close: %v, %v", e, err)
			}
			break
		}
		id, err := rx.Add(second)
		if err != nil {
			t.Fatal(err)
		}
		if err := rx.Remove(id); err != nil {
			t.Fatal(err)
		}
		if err := rx.Close(); err != nil {
			t.Fatal(err)
		}
		if string(e.Bytes()) != "hello" {
			t.Errorf("%q after Close", e.Bytes())
		}
	}
	if turns != 2 {
		t.Errorf("%d turns", turns)
	}
}

// The loop's body is an ordinary goroutine: it may wait for Streams of the same receiver.
func TestEventsBodyWaitsForStreams(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		rx := open(t, zcrx.Options{Engine: engine})
		sender, receiver := pair(t)
		if _, err := rx.Add(receiver); err != nil {
			t.Fatal(err)
		}
		other, s := stream(t, rx)
		sender.Write([]byte("a"))
		var got []byte
		done := make(chan error, 1)
		go func() {
			var last error
			defer func() { done <- last }() // when the loop has given back what it had
			for e, err := range rx.Events(bounded(t)) {
				got = append(got, e.Bytes()...)
				if err != nil || e.Kind != zcrx.Data {
					last = err
					break
				}
				if len(got) > 1 {
					continue
				}
				sender.Write([]byte("b")) // comes while the body runs, and waits for the next turn
				other.Write([]byte("data"))
				if _, err := io.ReadFull(s, make([]byte, 4)); err != nil {
					t.Error("Read: ", err)
				}
				if err := s.Close(); err != nil {
					t.Error("Close: ", err)
				}
				sender.Write([]byte("c"))
				sender.CloseWrite()
			}
		}()
		select {
		case err := <-done:
			if err != nil || string(got) != "abc" {
				t.Errorf("%q, %v", got, err)
			}
		case <-time.After(time.Minute):
			t.Fatal("hangs")
		}
		if out := rx.Stats().Outstanding; out != 0 {
			t.Errorf("%d buffers out", out)
		}
	})
}

// A loop that is in its body when another goroutine closes the receiver gets no more events, and gives back those it has.
func TestCloseWhileEventsBodyRuns(t *testing.T) {
	rx := open(t, zcrx.Options{BufferBytes: 4096})
	sender, receiver := pair(t)
	if _, err := rx.Add(receiver); err != nil {
		t.Fatal(err)
	}
	sender.Write(pattern(100000))
	var last error
	for e, err := range rx.Events(bounded(t)) {
		if err != nil {
			last = err
			continue
		}
		if last = errors.New("an event after Close"); e.Kind != zcrx.Data {
			t.Fatal(e.Kind)
		}
		closed := make(chan error)
		go func() { closed <- rx.Close() }()
		if err := <-closed; err != nil {
			t.Fatal(err)
		}
		if len(e.Bytes()) == 0 || e.Bytes()[0] != pattern(1)[0] {
			t.Error("the event in hand has lost its bytes")
		}
	}
	if !errors.Is(last, zcrx.ErrClosed) {
		t.Error(last)
	}
}

func TestFunctionUsesTheReceiver(t *testing.T) {
	rx := open(t, zcrx.Options{})
	sender, receiver := pair(t)
	late, second := pair(t)
	if _, err := rx.Add(receiver, zcrx.Tag(1)); err != nil {
		t.Fatal(err)
	}
	sender.Write([]byte("a"))
	var order []uint64
	err := rx.Receive(bounded(t), func(e zcrx.Event) error {
		order = append(order, e.Tag)
		switch {
		case e.Kind == zcrx.Data && e.Tag == 1:
			if _, err := rx.Add(second, zcrx.Tag(2)); err != nil {
				return err
			}
			if err := rx.Receive(context.Background(), nil); !errors.Is(err, zcrx.ErrBusy) {
				t.Errorf("Receive within Receive: %v", err)
			}
			late.Write([]byte("b"))
		case e.Kind == zcrx.Data:
			return rx.Remove(e.Stream)
		case e.End == zcrx.EndRemoved:
			return rx.Close()
		}
		return nil
	})
	if !errors.Is(err, zcrx.ErrClosed) || !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	if want := []uint64{1, 2, 2}; !slices.Equal(order, want) {
		t.Errorf("tags %v, not %v", order, want)
	}
	if err := rx.Close(); !errors.Is(err, zcrx.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
}

func TestSecondReceiveIsRefused(t *testing.T) {
	rx := open(t, zcrx.Options{})
	sender, receiver := pair(t)
	if _, err := rx.Add(receiver); err != nil {
		t.Fatal(err)
	}
	sender.Write([]byte("x"))
	ctx, cancel := context.WithCancel(bounded(t))
	running := make(chan struct{})
	first := make(chan error)
	go func() { first <- rx.Receive(ctx, func(zcrx.Event) error { close(running); return nil }) }()
	<-running
	if err := rx.Receive(ctx, nil); !errors.Is(err, zcrx.ErrBusy) {
		t.Error(err)
	}
	for _, err := range rx.Events(ctx) {
		if !errors.Is(err, zcrx.ErrBusy) {
			t.Error(err)
		}
	}
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// readRest reads a connection that is not added any more by Read, or, as what a bound queue brought cannot be read
// so, through its receiver.
func readRest(t *testing.T, rx *zcrx.Receiver, conn net.Conn) (n int, err error) {
	if rx.Info().Engine != zcrx.EngineZCRX {
		return conn.Read(make([]byte, 100))
	}
	id, err := rx.Add(conn)
	if err != nil {
		return 0, err
	}
	err = rx.Receive(bounded(t), func(e zcrx.Event) error {
		if e.Kind != zcrx.Data {
			return zcrx.ErrStop
		}
		n += len(e.Bytes())
		return rx.Remove(id)
	})
	return n, err
}

func TestLimitAndReset(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		rx := open(t, zcrx.Options{Engine: engine})
		sender, receiver := pair(t)
		if _, err := rx.Add(receiver, zcrx.Limit(100)); err != nil {
			t.Fatal(err)
		}
		sender.Write(pattern(150))
		got := 0
		err := rx.Receive(bounded(t), func(e zcrx.Event) error {
			got += len(e.Bytes())
			if e.Kind == zcrx.End && e.End == zcrx.EndLimit {
				return zcrx.ErrStop
			}
			return nil
		})
		if err != nil || got != 100 {
			t.Fatalf("%d bytes, %v", got, err)
		}
		if n, err := readRest(t, rx, receiver); n != 50 || err != nil {
			t.Fatalf("the rest: %d, %v", n, err)
		}
		if _, err := rx.Add(receiver); err != nil {
			t.Fatal(err)
		}
		sender.SetLinger(0)
		sender.Close()
		err = rx.Receive(bounded(t), func(e zcrx.Event) error {
			if e.Kind != zcrx.Error {
				t.Errorf("event %v", e.Kind)
			}
			return e.Err
		})
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Fatal(err)
		}
	})
}
