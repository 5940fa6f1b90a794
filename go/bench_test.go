// SPDX-License-Identifier: MIT

package zcrx

import (
	"net"
	"testing"
	"unsafe"

	"github.com/zcrx/zcrx/go/internal/core"
)

// What Go adds to the core for each buffer, without the kernel: a batch routed, and handed to a function.
func BenchmarkDeliver(b *testing.B) {
	memory := make([]byte, 4096)
	events := make([]core.Event, DefaultBatch)
	rx := &Receiver{counters: new(counters), entries: make([]entry, 1)}
	rx.consumer = newConsumer(rx)
	total := 0
	rx.consumer.f = func(e Event) error {
		total += len(e.Bytes())
		return nil
	}
	b.ReportAllocs()
	for n := 0; n < b.N; n += len(events) {
		for i := range events {
			events[i] = core.Event{Kind: core.EventData, Buffer: core.Buffer{Data: uintptr(unsafe.Pointer(&memory[0])), Length: 4096}}
		}
		rx.route(events)
		if served, _ := rx.consumer.deliver(events); served != len(events) {
			b.Fatal(served)
		}
	}
}

// A crossing into C and back: two for each batch.
func BenchmarkCrossing(b *testing.B) {
	events := core.NewEvents(1)
	defer core.FreeEvents(events)
	for b.Loop() {
		core.ReleaseEvents(events)
	}
}

// A buffer taken and released by itself, as another goroutine would.
func BenchmarkTake(b *testing.B) {
	c := new(counters)
	b.ReportAllocs()
	for b.Loop() {
		taken := takeRaw(core.Buffer{}, c, false)
		if taken.owner.giveUp(taken.generation()) {
			taken.owner.taken.out = false
			owners.Put(taken.owner)
		}
	}
}

// connection is a TCP connection over loopback on which the peer sends so many bytes and ends.
func connection(b *testing.B, bytes int) net.Conn {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	go func() {
		peer, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer peer.Close()
		for block := make([]byte, 256<<10); bytes > 0; bytes -= len(block) {
			if _, err := peer.Write(block[:min(bytes, len(block))]); err != nil {
				b.Error(err)
				return
			}
		}
	}()
	conn, err := listener.Accept()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return conn
}

func benchmarkReceive(b *testing.B, bufferBytes int) {
	rx, err := Open(Options{BufferBytes: uint32(bufferBytes)})
	if err != nil {
		b.Fatal(err)
	}
	defer rx.Close()
	conn := connection(b, b.N*bufferBytes)
	if _, err := rx.Add(conn); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(bufferBytes))
	b.ReportAllocs()
	b.ResetTimer()
	err = rx.Receive(b.Context(), func(e Event) error {
		if e.Kind != Data {
			return ErrStop
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

func BenchmarkReceive4k(b *testing.B)  { benchmarkReceive(b, 4096) }
func BenchmarkReceive64k(b *testing.B) { benchmarkReceive(b, 65536) }

// The rival: net.Conn's Read into a slice that is used again.
func BenchmarkConnRead64k(b *testing.B) {
	conn := connection(b, b.N*65536)
	buffer := make([]byte, 65536)
	b.SetBytes(65536)
	b.ReportAllocs()
	b.ResetTimer()
	for {
		if n, _ := conn.Read(buffer); n == 0 {
			return
		}
	}
}
