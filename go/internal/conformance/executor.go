// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	zcrx "github.com/zcrx/zcrx/go"
)

const (
	tableBytes = 65521
	shortest   = 10 * time.Millisecond // a context that is over before the receiver gets to it receives nothing
)

// connection is one that was accepted.
type connection struct {
	conn  net.Conn
	place uint64 // of its next byte in the payload
	id    zcrx.StreamID
}

// held is a buffer that is out, and where in the payload its bytes are.
type held struct {
	buffer zcrx.Buffer
	place  uint64
}

type executor struct {
	listener    net.Listener
	payload     []byte
	rx          *zcrx.Receiver
	group       *zcrx.Group
	members     []member
	connections []connection
	interrupt   atomic.Pointer[context.CancelFunc] // of the receive that waits

	mutex sync.Mutex // of what follows
	held  map[uint64]held
	last  uint64
}

func readAll(file *os.File) ([]byte, error) {
	defer file.Close()
	return io.ReadAll(file)
}

func number(word string) uint64 {
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil {
		panic(err)
	}
	return uint64(n)
}

// optional is the number of a word that need not be there.
func optional(word string) uint64 {
	if word == "" {
		return 0
	}
	return number(word)
}

// good returns how many of the bytes, from the first, are the payload's.
func (x *executor) good(data []byte, place uint64) int {
	wanted := x.payload[place%tableBytes:]
	if bytes.HasPrefix(wanted, data) {
		return len(data)
	}
	for i := range min(len(data), len(wanted)) {
		if data[i] != wanted[i] {
			return i
		}
	}
	return len(wanted)
}

// ---- the receiver ----

// optionsOf are the words of a request, and the options that they give.
func optionsOf(words []string) (option map[string]string, options zcrx.Options, err error) {
	option = make(map[string]string)
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		option[key] = value
	}
	engine, err := zcrx.ParseEngine(option["engine"])
	options = zcrx.Options{
		Engine:        engine,
		Interface:     option["interface"],
		AreaBytes:     number(option["area_bytes"]),
		BufferBytes:   uint32(number(option["buffer_bytes"])),
		RingEntries:   uint32(number(option["ring_entries"])),
		RefillEntries: uint32(number(option["refill_entries"])),
		WindowBytes:   optional(option["window_bytes"]),
		AreaMaxBytes:  optional(option["area_max_bytes"]),
		SmallArea:     option["small_area"] == "1",
		Batch:         int(number(option["batch"])),
	}
	if port := option["steer_port"]; port != "" && port != "0" {
		options.Steer, options.SteerPort = zcrx.SteerPort, uint16(number(port))
	}
	return option, options, err
}

func (x *executor) open(_ *strings.Builder, words []string) (string, error) {
	option, options, err := optionsOf(words)
	if err != nil {
		return "", err
	}
	if option["area"] == "dmabuf" {
		file, err := os.Open(os.DevNull)
		if err != nil {
			return "", err
		}
		defer file.Close()
		options.Area, options.DMABuf = zcrx.AreaDMABuf, file
	}
	x.connections = nil
	if x.rx, err = zcrx.Open(options); err != nil {
		return "", err
	}
	return x.rx.Info().Engine.String(), nil
}

func (x *executor) close(*strings.Builder, []string) (string, error) {
	if x.group != nil {
		return "done", x.closeGroup()
	}
	return "done", x.rx.Close()
}

// wake ends the receive that waits, if there is one: what a Go program has for it is its context.
func (x *executor) wake(*strings.Builder, []string) (string, error) {
	if cancel := x.interrupt.Load(); cancel != nil {
		(*cancel)()
	}
	return "", nil
}

func (x *executor) stats(*strings.Builder, []string) (string, error) {
	return pairs(x.rx.Stats()), nil
}

// pairs are the fields of a struct of numbers, booleans as 0 or 1.
func pairs(figures any) string {
	text := strings.Trim(fmt.Sprintf("%+v", figures), "{}")
	return strings.NewReplacer(":", "=", "true", "1", "false", "0").Replace(text)
}

// ---- connections ----

func (x *executor) accept(_ *strings.Builder, words []string) (string, error) {
	conn, err := x.listener.Accept()
	x.connections = append(x.connections, connection{conn: conn, place: number(words[1])})
	return "", err
}

func (x *executor) of(word string) *connection { return &x.connections[number(word)] }

func (x *executor) goOn(_ *strings.Builder, words []string) (string, error) {
	_, err := x.of(words[0]).conn.Write([]byte{0})
	return "", err
}

func (x *executor) shut(_ *strings.Builder, words []string) (string, error) {
	return "", x.of(words[0]).conn.Close()
}

func (x *executor) add(_ *strings.Builder, words []string) (string, error) {
	c := x.of(words[0])
	var err error
	options := []zcrx.StreamOption{zcrx.Tag(number(words[0])), zcrx.Limit(number(words[1]))}
	if len(words) > 2 {
		options = append(options, zcrx.Window(number(words[2])))
	}
	c.id, err = x.rx.Add(c.conn, options...)
	return fmt.Sprintf("%x", c.id), err
}

func (x *executor) remove(_ *strings.Builder, words []string) (string, error) {
	return "", x.rx.Remove(x.of(words[0]).id)
}

func (x *executor) pause(_ *strings.Builder, words []string) (string, error) {
	return "", x.rx.Pause(x.of(words[0]).id)
}

func (x *executor) resume(_ *strings.Builder, words []string) (string, error) {
	return "", x.rx.Resume(x.of(words[0]).id)
}

func (x *executor) streamStats(_ *strings.Builder, words []string) (string, error) {
	stats, err := x.rx.StreamStats(x.of(words[0]).id)
	return pairs(stats), err
}

// recv reads a connection to its end without the package.
func (x *executor) recv(_ *strings.Builder, words []string) (string, error) {
	c := x.of(words[0])
	total, good := 0, 0
	buffer := make([]byte, 65536)
	for {
		n, err := c.conn.Read(buffer)
		if good == total {
			good += x.good(buffer[:n], c.place)
		}
		total += n
		c.place += uint64(n)
		if err == io.EOF {
			return fmt.Sprint(total, " ", good), nil
		}
		if err != nil {
			return "", err
		}
	}
}

// ---- events ----

// receive collects events until the first pause after one, or until there are as many as wanted. What is held is taken by
// Receive's function, what is used is lent by the iterator.
func (x *executor) receive(facts *strings.Builder, words []string) (string, error) {
	return x.receiveFrom(x.rx, x.report, facts, words)
}

// report makes facts of an event.
type report func(e *zcrx.Event, hold bool) string

func (x *executor) receiveFrom(rx *zcrx.Receiver, report report, facts *strings.Builder, words []string) (string, error) {
	ctx, cancel := context.WithCancel(context.Background())
	if timeout := int64(number(words[1])); timeout >= 0 {
		ctx, cancel = context.WithTimeout(context.Background(), max(shortest, time.Duration(timeout)*time.Millisecond))
	}
	defer cancel()
	x.interrupt.Store(&cancel)
	left := number(words[0])
	take := func(e *zcrx.Event, hold bool) (done bool) {
		facts.WriteString(report(e, hold))
		cancel() // takes effect by and by
		left--
		return left == 0
	}
	var err error
	if words[2] == "hold" {
		err = rx.Receive(ctx, func(e zcrx.Event) error {
			if take(&e, true) {
				return zcrx.ErrStop
			}
			return nil
		})
	} else {
		for e, failure := range rx.Events(ctx) {
			if err = failure; err != nil || take(&e, false) {
				break
			}
		}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	return "", err
}

func (x *executor) report(e *zcrx.Event, hold bool) string {
	var c *connection
	if e.Tag < uint64(len(x.connections)) {
		c = &x.connections[e.Tag]
	}
	return x.reportOf(c, e.Tag, e, hold)
}

// reportOf is report for an event of this connection, nil if there is none.
func (x *executor) reportOf(c *connection, number uint64, e *zcrx.Event, hold bool) string {
	whose := fmt.Sprintf("%x %d", e.Stream, number)
	switch {
	case e.Kind == zcrx.Error:
		var number syscall.Errno
		errors.As(e.Err, &number)
		return fmt.Sprintf("error %s %d\n", whose, number)
	case e.Kind == zcrx.End && e.Err == nil:
		return fmt.Sprintf("end %s %s\n", whose, e.End)
	case e.Kind != zcrx.Data || e.End != 0 || e.Err != nil || c == nil:
		return fmt.Sprintf("odd %s %+v\n", whose, e)
	}
	h := held{e.Buffer, c.place}
	c.place += uint64(h.buffer.Len())
	good, id := x.good(h.buffer.Bytes(), h.place), uint64(0)
	if hold {
		h.buffer = h.buffer.Take()
		x.mutex.Lock()
		x.last++
		id = x.last
		x.held[id] = h
		x.mutex.Unlock()
	}
	return fmt.Sprintf("data %s %d %d %d\n", whose, h.buffer.Len(), good, id)
}

// iterate receives a connection by a Stream, and may leave it once enough has come.
func (x *executor) iterate(facts *strings.Builder, words []string) (string, error) {
	c := x.of(words[0])
	stream, err := x.rx.Stream(c.conn, zcrx.Limit(number(words[1])))
	if err != nil {
		return "", err
	}
	leave, left, begun := uint64(0), false, c.place
	if len(words) > 2 {
		leave = number(words[2])
	}
	for buffer, failure := range stream.Buffers() {
		if err = failure; err != nil {
			break
		}
		fmt.Fprintf(facts, "data - %s %d %d 0\n", words[0], buffer.Len(), x.good(buffer.Bytes(), c.place))
		c.place += uint64(buffer.Len())
		if err := buffer.Release(); err != nil {
			return "", err
		}
		if left = leave > 0 && c.place-begun >= leave; left {
			break
		}
	}
	var failed syscall.Errno
	if how, ended := stream.End(); left {
		// What has come of its end was not asked for.
	} else if ended {
		fmt.Fprintf(facts, "end - %s %s\n", words[0], how)
	} else if errors.As(err, &failed) {
		fmt.Fprintf(facts, "error - %s %d\n", words[0], failed)
	}
	return x.rx.Info().Engine.String(), stream.Close()
}

// ---- buffers ----

// take takes buffers out and checks them once more.
func (x *executor) take(facts *strings.Builder, words []string) []zcrx.Buffer {
	buffers := make([]zcrx.Buffer, len(words))
	for i, word := range words {
		x.mutex.Lock()
		h := x.held[number(word)]
		delete(x.held, number(word))
		x.mutex.Unlock()
		if good := x.good(h.buffer.Bytes(), h.place); good != h.buffer.Len() {
			fmt.Fprintf(facts, "changed %s %d\n", word, good)
		}
		buffers[i] = h.buffer
	}
	return buffers
}

func (x *executor) release(facts *strings.Builder, words []string) (string, error) {
	return "", zcrx.ReleaseAll(x.take(facts, words)...)
}

func (x *executor) twice(facts *strings.Builder, words []string) (string, error) {
	buffers := x.take(facts, words)
	if err := zcrx.ReleaseAll(buffers...); err != nil {
		return "", err
	}
	if errors.Is(zcrx.ReleaseAll(buffers...), zcrx.ErrReleased) {
		return fmt.Sprint(int(syscall.EALREADY)), nil
	}
	return "0", nil
}
