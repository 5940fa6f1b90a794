// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"

	zcrx "github.com/zcrx/zcrx/go"
)

// totals is what one side did: the line that a receiving process prints.
type totals struct {
	Bytes   uint64  `json:"bytes"`
	Buffers uint64  `json:"buffers"`
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu"`
	Allocs  uint64  `json:"allocs"`
}

// ways are the Go sides: each receives a connection to its end.
var ways = map[string]func(conn net.Conn, rx *zcrx.Receiver, t *totals) error{
	"receive": func(conn net.Conn, rx *zcrx.Receiver, t *totals) error {
		if _, err := rx.Add(conn); err != nil {
			return err
		}
		return rx.Receive(context.Background(), func(e zcrx.Event) error {
			if e.Kind != zcrx.Data {
				return zcrx.ErrStop
			}
			t.Bytes += uint64(len(e.Bytes()))
			t.Buffers++
			return nil
		})
	},
	"stream": func(conn net.Conn, rx *zcrx.Receiver, t *totals) error {
		s, err := rx.Stream(conn)
		if err != nil {
			return err
		}
		return readAll(s, t)
	},
	"write-to": func(conn net.Conn, rx *zcrx.Receiver, t *totals) error {
		s, err := rx.Stream(conn)
		if err != nil {
			return err
		}
		_, err = s.WriteTo(t)
		return err
	},
	"conn-read": func(conn net.Conn, _ *zcrx.Receiver, t *totals) error { return readAll(conn, t) },
}

// Write counts: what WriteTo writes to.
func (t *totals) Write(p []byte) (int, error) {
	t.Bytes += uint64(len(p))
	t.Buffers++
	return len(p), nil
}

func readAll(r io.Reader, t *totals) error {
	buffer := make([]byte, 65536)
	for {
		n, err := r.Read(buffer)
		t.Write(buffer[:n])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func cpuTime() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

// beReceiver is a receiving process: it prints the port, takes one connection, and prints its totals.
func beReceiver(way, engine string, bufferBytes uint32, batch int) error {
	options := zcrx.Options{BufferBytes: bufferBytes, Batch: batch}
	if err := options.Engine.UnmarshalText([]byte(engine)); err != nil {
		return err
	}
	rx, err := zcrx.Open(options)
	if err != nil {
		return err
	}
	defer rx.Close()
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	listener, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	var t totals
	allocs, cpu, begun := mallocs(), cpuTime(), time.Now()
	if err := ways[way](conn, rx, &t); err != nil {
		return err
	}
	t.Seconds, t.CPU, t.Allocs = time.Since(begun).Seconds(), cpuTime()-cpu, mallocs()-allocs
	return json.NewEncoder(os.Stdout).Encode(t)
}

// beSender sends so many bytes.
func beSender(port string, bytes int64) error {
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	block := make([]byte, 256<<10)
	for bytes > 0 {
		n, err := conn.Write(block[:min(bytes, int64(len(block)))])
		if err != nil {
			return err
		}
		bytes -= int64(n)
	}
	return conn.Close()
}
