// SPDX-License-Identifier: MIT

package zcrx_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	zcrx "github.com/zcrx/zcrx/go"
)

// Whoever stops taking what comes costs nobody but itself.

const chunk = 64 << 10

// chunked is a receiver of so many chunks, each large enough that it is the same on all engines.
func chunked(t *testing.T, engine zcrx.Engine, chunks int) *zcrx.Receiver {
	t.Helper()
	options := zcrx.Options{Engine: engine, AreaBytes: uint64(chunks) * chunk, BufferBytes: chunk}
	if engine == zcrx.EngineZCRX {
		options.BufferBytes = 0 // what the NIC writes into
	}
	return open(t, options)
}

// flood sends until the connection is closed.
func flood(conn net.Conn) {
	block := make([]byte, 256<<10)
	go func() {
		for {
			if _, err := conn.Write(block); err != nil {
				return
			}
		}
	}()
}

// stalled adds connections whose peers send without an end, and which nobody reads.
func stalled(t *testing.T, rx *zcrx.Receiver, count int) (streams []*zcrx.Stream) {
	t.Helper()
	for range count {
		sender, s := stream(t, rx)
		flood(sender)
		streams = append(streams, s)
	}
	return streams
}

func held(t *testing.T, s *zcrx.Stream) uint64 {
	t.Helper()
	stats, err := s.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return stats.HeldBytes
}

func TestStalledStreamsCostOnlyThemselves(t *testing.T) {
	const chunks = 128
	want := pattern(ifShort(4<<20, 32<<20))
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		counts := []int{1, 4, chunks / 4}
		if engine == zcrx.EngineZCRX {
			counts = counts[:2] // a modelled card takes minutes for more
		}
		for _, count := range counts {
			t.Run(fmt.Sprint(count), func(t *testing.T) {
				rx := chunked(t, engine, chunks)
				before, early := stream(t, rx)
				idle := stalled(t, rx, count)
				eventually(t, "all of them rest", func() bool { return rx.Stats().Paused >= uint64(count) })
				after, late := stream(t, rx) // one that starts when the others rest already
				for name, live := range map[string]struct {
					sender *net.TCPConn
					reader *zcrx.Stream
				}{"added before": {before, early}, "added after": {after, late}} {
					live.reader.SetReadDeadline(time.Now().Add(time.Minute))
					send(live.sender, want)
					if got, err := io.ReadAll(live.reader); err != nil || !bytes.Equal(got, want) {
						t.Fatalf("%s: %d bytes, %v", name, len(got), err)
					}
				}
				for i, s := range idle {
					if held(t, s) == 0 {
						t.Errorf("stalled stream %d holds nothing", i)
					}
					if _, err := io.CopyN(io.Discard, s, 8<<20); err != nil { // more than its window
						t.Errorf("stalled stream %d, when it is read: %v", i, err)
					}
				}
			})
		}
	})
}

// What waits for the next Receive does not take the area from Streams.
func TestConnectionsWithoutAReceiveCostOnlyThemselves(t *testing.T) {
	want := pattern(ifShort(4<<20, 32<<20))
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		rx := chunked(t, engine, 64)
		for range 4 {
			sender, conn := pair(t)
			if _, err := rx.Add(conn); err != nil {
				t.Fatal(err)
			}
			flood(sender)
		}
		for e, err := range rx.Events(bounded(t)) { // and is left at once
			if err != nil || e.Kind != zcrx.Data {
				t.Fatal(e, err)
			}
			break
		}
		sender, s := stream(t, rx)
		send(sender, want)
		s.SetReadDeadline(time.Now().Add(time.Minute))
		if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if n := rx.Stats().Streams; n != 4 {
			t.Errorf("%d streams", n)
		}
	})
}

func TestWindow(t *testing.T) {
	const window = 8 * chunk
	want := pattern(16 << 20)
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		rx := chunked(t, engine, 256)
		descriptors := count(t, "/proc/self/fd")
		sender, receiver := pair(t)
		s, err := rx.Stream(receiver, zcrx.Window(window))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		added := count(t, "/proc/self/fd")
		send(sender, want)
		eventually(t, "it is at its window", func() bool {
			stats, err := s.Stats()
			return err == nil && stats.AtWindow
		})
		stats, err := s.Stats()
		if err != nil || stats.WindowBytes != window || stats.Paused || stats.HeldBytes < window || stats.HeldBytes > 4*window {
			t.Errorf("at its window: %+v, %v", stats, err)
		}
		if all := rx.Stats(); all.Paused != 1 || all.Pauses == 0 || all.HeldBytes != stats.HeldBytes || all.Streams != 1 {
			t.Errorf("at its window: %+v", all)
		}
		if now := count(t, "/proc/self/fd"); now != added || now <= descriptors {
			t.Errorf("%d descriptors, %d before it was added, %d after that", now, descriptors, added)
		}
		receiver.Close() // as its caller may at any time
		got, err := io.ReadAll(s)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if how, ended := s.End(); how != zcrx.EndPeer || !ended {
			t.Errorf("after the end: %v, %v", how, ended)
		}
		if _, err := s.Stats(); !errors.Is(err, zcrx.ErrNoStream) {
			t.Errorf("figures after the end: %v", err)
		}
		if all := rx.Stats(); all.Paused != 0 || all.Outstanding != 0 {
			t.Errorf("after the end: %+v", all)
		}
	})
}

// A buffer that Next gave out counts for the window until it is released, by whomever.
func TestWindowOfBuffersThatAreOut(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		rx := chunked(t, engine, 64)
		sender, receiver := pair(t)
		s, err := rx.Stream(receiver, zcrx.Window(4*chunk))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		flood(sender)
		var out []zcrx.Buffer
		for {
			s.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
			b, err := s.Next()
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, b)
		}
		if held(t, s) < 4*chunk {
			t.Errorf("%d buffers out, %d bytes held", len(out), held(t, s))
		}
		go zcrx.ReleaseAll(out...)
		s.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := io.CopyN(io.Discard, s, 1<<20); err != nil {
			t.Error("after a release: ", err)
		}
	})
}

func TestPauseAndResume(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		rx := open(t, zcrx.Options{Engine: engine})
		sender, conn := pair(t)
		id, err := rx.Add(conn)
		if err != nil {
			t.Fatal(err)
		}
		if err := rx.Resume(id); !errors.Is(err, syscall.EALREADY) {
			t.Errorf("resume of one that is not paused: %v", err)
		}
		var got []byte
		ended := false
		receive := func(d time.Duration) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			err := rx.Receive(ctx, func(e zcrx.Event) error {
				got = append(got, e.Bytes()...)
				if ended = e.Kind == zcrx.End; ended || string(got) == "before" {
					return zcrx.ErrStop
				}
				return nil
			})
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
		}
		sender.Write([]byte("before"))
		receive(time.Minute)
		if err := rx.Pause(id); err != nil {
			t.Fatal(err)
		}
		if err := rx.Pause(id); !errors.Is(err, syscall.EALREADY) {
			t.Errorf("pause of one that is paused: %v", err)
		}
		receive(50 * time.Millisecond) // the kernel may have more under way
		sender.Write([]byte(" and after"))
		sender.CloseWrite()
		receive(100 * time.Millisecond)
		if string(got) != "before" || ended {
			t.Errorf("paused: %q, ended: %v", got, ended)
		}
		if stats, err := rx.StreamStats(id); err != nil || !stats.Paused || stats.AtWindow || stats.Bytes != 6 {
			t.Errorf("paused: %+v, %v", stats, err)
		}
		if n := rx.Stats().Paused; n != 1 {
			t.Errorf("%d streams paused", n)
		}
		if err := rx.Resume(id); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); !ended && time.Now().Before(deadline); {
			receive(time.Minute)
		}
		if string(got) != "before and after" || !ended {
			t.Errorf("resumed: %q, ended: %v", got, ended)
		}
		for op, err := range map[string]error{"pause": rx.Pause(id), "resume": rx.Resume(id)} {
			if !errors.Is(err, zcrx.ErrNoStream) || !strings.Contains(err.Error(), op) {
				t.Errorf("%s after the end: %v", op, err)
			}
		}
		if _, err := rx.StreamStats(id); !errors.Is(err, zcrx.ErrNoStream) || !errors.Is(err, syscall.ENOENT) {
			t.Errorf("figures after the end: %v", err)
		}
	})
}

func TestWindowsThatCannotBe(t *testing.T) {
	const area = 64 * chunk
	for name, options := range map[string]zcrx.Options{
		"window_bytes":   {AreaBytes: area, WindowBytes: 1},
		"window_bytes ":  {AreaBytes: area, WindowBytes: 2 * area},
		"area_max_bytes": {AreaBytes: area, AreaMaxBytes: area / 2},
	} {
		if _, err := zcrx.Open(options); !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), strings.TrimSpace(name)) {
			t.Errorf("%+v: %v", options, err)
		}
	}
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		rx := chunked(t, engine, 64)
		sender, conn := pair(t)
		for _, window := range []uint64{1, rx.Info().AreaBytes * 2} {
			if _, err := rx.Add(conn, zcrx.Window(window)); !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), "window_bytes") {
				t.Errorf("window %d: %v", window, err)
			}
		}
		s, err := rx.Stream(conn, zcrx.Window(uint64(rx.Info().BufferBytes))) // the least there is
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		want := pattern(1 << 20)
		send(sender, want)
		s.SetReadDeadline(time.Now().Add(time.Minute))
		if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	})
}

func TestAreaGrows(t *testing.T) {
	const most = 256 * chunk
	for _, engine := range engines(t) {
		if engine == zcrx.EngineZCRX || engine == zcrx.EngineZCRXNoDev {
			continue // what they need for it the conformance scenarios know
		}
		t.Run(engine.String(), func(t *testing.T) {
			rx := open(t, zcrx.Options{Engine: engine, AreaBytes: 32 * chunk, AreaMaxBytes: most, BufferBytes: chunk})
			if info := rx.Info(); info.AreaBytes != 32*chunk || info.AreaMaxBytes != most {
				t.Errorf("%+v", info)
			}
			for range 16 {
				sender, receiver := pair(t)
				s, err := rx.Stream(receiver, zcrx.Window(8*chunk))
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				flood(sender)
			}
			eventually(t, "the area has grown for what they hold", func() bool {
				s := rx.Stats()
				return s.Paused == 16 && s.AreaBytes > 32*chunk && s.AreaBytes <= most
			})
		})
	}
}

// leaveStream makes a stream that is full, and forgets it and its connection.
func leaveStream(t *testing.T, rx *zcrx.Receiver) (peer net.Conn) {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	peer, err = dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s, err := rx.Stream(conn)
	if err != nil {
		t.Fatal(err)
	}
	flood(peer)
	if _, err := s.ReadByte(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is at its window", func() bool { return rx.Stats().Paused == 1 })
	return peer
}

func TestStreamThatIsForgotten(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		rx := chunked(t, engine, 64)
		peer := leaveStream(t, rx)
		defer peer.Close()
		eventually(t, "it is let go of, and its buffers with it", func() bool {
			runtime.GC()
			s := rx.Stats()
			return s.Streams == 0 && s.Outstanding == 0
		})
		eventually(t, "its connection is closed", func() bool {
			runtime.GC()
			peer.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			_, err := peer.Read(make([]byte, 1))
			return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
		})
	})
}
