// SPDX-License-Identifier: MIT

package zcrx_test

import (
	"context"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	zcrx "github.com/zcrx/zcrx/go"
)

// Where the tests listen, how they connect to it, and the interface of engine zcrx; the NIC rig has its own.
var (
	host = "127.0.0.1"
	nic  = ""
	dial = net.Dial
)

// engines are those that the tests run on: ZRX_ENGINES, or the copying ones, which any Linux has.
func engines(t testing.TB) []zcrx.Engine {
	names := os.Getenv("ZRX_ENGINES")
	if names == "" {
		return []zcrx.Engine{zcrx.EngineMultishot, zcrx.EngineRecv}
	}
	var list []zcrx.Engine
	for _, name := range splitComma(names) {
		engine, err := zcrx.ParseEngine(name)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, engine)
	}
	return list
}

func splitComma(text string) (words []string) {
	for begin, i := 0, 0; i <= len(text); i++ {
		if i == len(text) || text[i] == ',' {
			words = append(words, text[begin:i])
			begin = i + 1
		}
	}
	return words
}

// onEngines runs a test on each engine.
func onEngines(t *testing.T, f func(t *testing.T, engine zcrx.Engine)) {
	for _, engine := range engines(t) {
		t.Run(engine.String(), func(t *testing.T) { f(t, engine) })
	}
}

// nicShare is what a NIC's own rings hold of an area.
const nicShare = 64 << 20

func open(t testing.TB, options zcrx.Options) *zcrx.Receiver {
	t.Helper()
	if options.Engine == zcrx.EngineZCRX {
		options.Interface = nic
		if options.AreaBytes > 0 {
			options.AreaBytes += nicShare
		}
	}
	rx, err := zcrx.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rx.Close() })
	return rx
}

// pair is a TCP connection: what one writes the other receives.
func pair(t testing.TB) (sender, receiver *net.TCPConn) {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	a, err := dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

// pattern is data in which each place is told from the others.
func pattern(size int) []byte {
	data := make([]byte, size)
	state := uint32(0x9E3779B9)
	for i := range data {
		state ^= state << 13
		state ^= state >> 17
		state ^= state << 5
		data[i] = byte(state >> 24)
	}
	return data
}

// ifShort is the smaller of two sizes under -short: the race detector and UML are slow.
func ifShort(short, long int) int {
	if testing.Short() {
		return short
	}
	return long
}

// send writes in the background, and ends the stream.
func send(conn *net.TCPConn, data []byte) {
	go func() {
		conn.Write(data) // the receiving side checks what came
		conn.CloseWrite()
	}()
}

func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits for something that other goroutines or the garbage collector bring about.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !f(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("not so after a minute: ", what)
		}
		time.Sleep(time.Millisecond)
	}
}
