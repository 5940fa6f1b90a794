// SPDX-License-Identifier: MIT

package zcrx_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"

	zcrx "github.com/zcrx/zcrx/go"
)

// takeAll receives one connection's data and keeps every buffer.
func takeAll(t testing.TB, rx *zcrx.Receiver, data []byte) (buffers []zcrx.Buffer) {
	t.Helper()
	sender, receiver := pair(t)
	if _, err := rx.Add(receiver); err != nil {
		t.Fatal(err)
	}
	send(sender, data)
	err := rx.Receive(bounded(t), func(e zcrx.Event) error {
		if e.Kind != zcrx.Data {
			return zcrx.ErrStop
		}
		buffers = append(buffers, e.Buffer.Take())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return buffers
}

func joined(buffers []zcrx.Buffer) (all []byte) {
	for _, b := range buffers {
		all = append(all, b.Bytes()...)
	}
	return all
}

func TestTakenBuffersOutliveTheReceiver(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		rx := open(t, zcrx.Options{Engine: engine})
		want := pattern(1 << 20)
		buffers := takeAll(t, rx, want)
		if err := rx.Close(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(joined(buffers), want) {
			t.Error("the views have changed")
		}
		if err := zcrx.ReleaseAll(buffers...); err != nil {
			t.Error(err)
		}
		if err := zcrx.ReleaseAll(buffers...); !errors.Is(err, zcrx.ErrReleased) {
			t.Errorf("second release: %v", err)
		}
	})
}

func mustPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s did not panic", what)
		}
	}()
	f()
}

func TestStaleBuffersPanic(t *testing.T) {
	rx := open(t, zcrx.Options{BufferBytes: 4096})
	sender, receiver := pair(t)
	if _, err := rx.Add(receiver); err != nil {
		t.Fatal(err)
	}
	send(sender, pattern(20000))
	var lent, taken zcrx.Buffer
	seen := false
	err := rx.Receive(bounded(t), func(e zcrx.Event) error {
		if e.Kind != zcrx.Data {
			return zcrx.ErrStop
		}
		if seen {
			mustPanic(t, "the lent buffer of the event before", func() { lent.Bytes() })
			return nil
		}
		seen = true
		lent = e.Buffer
		taken = e.Buffer.Take()
		mustPanic(t, "a second Take", func() { e.Buffer.Take() })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	mustPanic(t, "a lent buffer after Receive", func() { lent.Len() })
	mustPanic(t, "the empty Buffer", func() { zcrx.Buffer{}.Bytes() })
	if err := lent.Release(); !errors.Is(err, zcrx.ErrReleased) {
		t.Errorf("Release of a lent buffer: %v", err)
	}
	copied := taken
	if err := copied.Release(); err != nil {
		t.Error(err)
	}
	mustPanic(t, "a released buffer", func() { taken.Bytes() })
	if err := taken.Release(); !errors.Is(err, zcrx.ErrReleased) {
		t.Errorf("Release of the other copy: %v", err)
	}
	if out := rx.Stats().Outstanding; out != 0 {
		t.Errorf("%d buffers out", out)
	}
}

func TestForgottenBuffersComeBackAndAreCounted(t *testing.T) {
	rx := open(t, zcrx.Options{BufferBytes: 4096})
	buffers := takeAll(t, rx, pattern(1<<20)) // without a look at their bytes
	forgotten := uint64(len(buffers) - 3)
	kept := buffers[:3:3]
	want := joined(kept)
	kept = append([]zcrx.Buffer(nil), kept...)
	buffers = nil
	eventually(t, "forgotten buffers are given back", func() bool {
		runtime.GC()
		return rx.Stats().Outstanding == 3
	})
	if got := rx.Stats().Forgotten; got != forgotten {
		t.Errorf("%d counted as forgotten, not %d", got, forgotten)
	}
	if !bytes.Equal(joined(kept), want) {
		t.Error("buffers that were not forgotten have changed")
	}
	if err := zcrx.ReleaseAll(kept...); err != nil {
		t.Error(err)
	}
	_ = buffers
}

// A slice of the area is not the garbage collector's: it must stay as it is although its Buffer is gone.
func TestBytesOfForgottenBuffersAreNeverReused(t *testing.T) {
	ways := map[string]func(b zcrx.Buffer) []byte{
		"after Take":  func(b zcrx.Buffer) []byte { return b.Take().Bytes() },
		"before Take": func(b zcrx.Buffer) []byte { bytes := b.Bytes(); b.Take(); return bytes },
	}
	for name, take := range ways {
		rx := open(t, zcrx.Options{BufferBytes: 4096, AreaBytes: 1 << 20})
		sender, receiver := pair(t)
		if _, err := rx.Add(receiver); err != nil {
			t.Fatal(err)
		}
		want := pattern(100000)
		var kept [][]byte
		size := 0
		sender.Write(want)
		err := rx.Receive(bounded(t), func(e zcrx.Event) error {
			kept = append(kept, take(e.Buffer))
			if size += len(kept[len(kept)-1]); size == len(want) {
				return zcrx.ErrStop
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the garbage collector finds the buffers", func() bool {
			runtime.GC()
			return rx.Stats().Forgotten == uint64(len(kept))
		})
		if out := rx.Stats().Outstanding; out != uint64(len(kept)) {
			t.Errorf("%s: %d of %d buffers are out", name, out, len(kept))
		}
		go func() { // often as much as the area: all that was given back is written again
			sender.Write(make([]byte, 8<<20))
			sender.CloseWrite()
		}()
		err = rx.Receive(bounded(t), func(e zcrx.Event) error {
			if e.Kind != zcrx.Data {
				return zcrx.ErrStop
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(bytes.Join(kept, nil), want) {
			t.Errorf("%s: slices that are in use were written to", name)
		}
	}
}

func TestReleaseFromManyGoroutinesUnderTheGarbageCollector(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		rx := open(t, zcrx.Options{Engine: engine, AreaBytes: 1 << 20, BufferBytes: 4096})
		sender, receiver := pair(t)
		want := pattern(ifShort(2<<20, 8<<20))
		if _, err := rx.Add(receiver); err != nil {
			t.Fatal(err)
		}
		send(sender, want)
		type piece struct {
			buffer zcrx.Buffer
			at     int
		}
		pieces := make(chan piece, 64)
		var workers sync.WaitGroup
		for range 4 {
			workers.Add(1)
			go func() {
				defer workers.Done()
				for p := range pieces {
					if !bytes.Equal(p.buffer.Bytes(), want[p.at:p.at+p.buffer.Len()]) {
						t.Errorf("wrong bytes at %d", p.at)
					}
					if err := p.buffer.Release(); err != nil {
						t.Error(err)
					}
					if err := p.buffer.Release(); !errors.Is(err, zcrx.ErrReleased) {
						t.Errorf("second release: %v", err)
					}
				}
			}()
		}
		at := 0
		err := rx.Receive(bounded(t), func(e zcrx.Event) error {
			if e.Kind != zcrx.Data {
				return zcrx.ErrStop
			}
			pieces <- piece{e.Buffer.Take(), at}
			at += len(e.Bytes())
			return nil
		})
		close(pieces)
		workers.Wait()
		if err != nil || at != len(want) {
			t.Fatalf("%d bytes, %v", at, err)
		}
		if s := rx.Stats(); s.Outstanding != 0 || s.Forgotten != 0 {
			t.Errorf("stats: %+v", s)
		}
	})
}

// Orders of release, as the fuzzer likes: each byte says which of the buffers that are out goes next, by which way.
func FuzzReleaseOrder(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 255, 128}, uint64(1))
	f.Add([]byte{}, uint64(2))
	rx, err := zcrx.Open(zcrx.Options{BufferBytes: 4096, AreaBytes: 1 << 20})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { rx.Close() })
	data := pattern(100000)
	f.Fuzz(func(t *testing.T, order []byte, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 0))
		buffers := takeAll(t, rx, data[:1+random.IntN(len(data))])
		held := joined(buffers)
		for i := 0; len(buffers) > 0; i++ {
			choice := byte(random.Uint32())
			if i < len(order) {
				choice = order[i]
			}
			k := int(choice) % len(buffers)
			b := buffers[k]
			buffers = append(buffers[:k], buffers[k+1:]...)
			if choice%5 == 0 {
				if err := zcrx.ReleaseAll(b, b); !errors.Is(err, zcrx.ErrReleased) {
					t.Fatalf("twice in one call: %v", err)
				}
			} else if err := b.Release(); err != nil {
				t.Fatal(err)
			}
			if err := b.Release(); !errors.Is(err, zcrx.ErrReleased) {
				t.Fatalf("second release: %v", err)
			}
		}
		if !bytes.Equal(held, data[:len(held)]) {
			t.Fatal("wrong bytes")
		}
		if out := rx.Stats().Outstanding; out != 0 {
			t.Fatalf("%d buffers out", out)
		}
	})
}
