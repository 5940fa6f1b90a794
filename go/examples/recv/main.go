// SPDX-License-Identifier: MIT

// Command recv receives TCP connections to their end and writes what comes to files, straight from the views.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	zcrx "github.com/zcrx/zcrx/go"
)

type settings struct {
	listen      string
	output      string
	discard     bool
	connections int
	sha256      bool
	json        bool
	options     zcrx.Options
}

// connection is one that was accepted; its index is its stream's tag.
type connection struct {
	conn  net.Conn
	since time.Time
	sinks io.Writer
	file  *os.File  // nil: discard
	hash  hash.Hash // nil: not asked for
}

func parse() (s settings) {
	flag.StringVar(&s.listen, "listen", "", "`HOST:PORT`; port 0 takes a free one, told on standard error")
	flag.Func("output", "`FILE`; with more than one connection FILE.0, FILE.1, ... in the order of accept; - is standard output, "+
		"and the report then goes to standard error", func(name string) error {
		if s.output = name; name == "" {
			return errors.New("the name is empty")
		}
		return nil
	})
	flag.BoolVar(&s.discard, "discard", false, "write nothing (the default without -output)")
	flag.IntVar(&s.connections, "connections", 1, "how many `N` to receive")
	flag.BoolVar(&s.sha256, "sha256", false, "hash each connection's data")
	flag.BoolVar(&s.json, "json", false, "print one JSON object")
	flag.TextVar(&s.options.Engine, "engine", zcrx.EngineAuto, "auto, zcrx, zcrx-nodev, multishot or recv")
	flag.StringVar(&s.options.Interface, "interface", "", "netdev for engine zcrx")
	flag.Func("queue", "its receive queue", func(text string) error {
		queue, err := strconv.ParseUint(text, 10, 32)
		number := uint32(queue)
		s.options.Queue = &number
		return err
	})
	flag.Uint64Var(&s.options.AreaBytes, "area-bytes", 64<<20, "memory to receive into")
	flag.Parse()
	if s.listen == "" || s.connections < 1 || flag.NArg() > 0 || s.discard && s.output != "" ||
		s.toStandardOutput() && s.connections > 1 {
		flag.Usage()
		os.Exit(2)
	}
	return s
}

// toStandardOutput says whether the data goes to the descriptor that there is: opening it by name would truncate a file, and
// begin at its start.
func (s *settings) toStandardOutput() bool {
	switch s.output {
	case "-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1":
		return true
	}
	return false
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("recv: ")
	signal.Ignore(syscall.SIGPIPE) // a closed output is an error like others
	s := parse()
	if err := run(untilSignal(), s); err != nil {
		log.Print(err)
		dieBy(err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	if err := allowConnections(s.connections); err != nil {
		return err
	}
	rx, err := zcrx.Open(s.options)
	if err != nil {
		return err
	}
	defer rx.Close()
	config := net.ListenConfig{}
	config.SetMultipathTCP(false)
	listener, err := config.Listen(ctx, "tcp", s.listen)
	if err != nil {
		return err
	}
	log.Print("listening on ", listener.Addr())
	connections := make([]connection, s.connections)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		if err := accept(ctx, rx, listener, connections, &s); err != nil {
			cancel(err)
		}
	}()
	if err := receive(ctx, rx, connections); err != nil {
		return err
	}
	return report(rx, connections, &s, time.Since(connections[0].since))
}

// accept adds each connection as it comes.
func accept(ctx context.Context, rx *zcrx.Receiver, listener net.Listener, connections []connection, s *settings) error {
	defer listener.Close()
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	for i := range connections {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		if err := connections[i].open(conn, s, i); err != nil {
			return err
		}
		if _, err := rx.Add(conn, zcrx.Tag(uint64(i))); err != nil {
			return err
		}
	}
	return nil
}

func (c *connection) open(conn net.Conn, s *settings, number int) (err error) {
	var sinks []io.Writer
	switch {
	case s.toStandardOutput():
		c.file = os.Stdout
		sinks = append(sinks, c.file)
	case s.output != "":
		name := s.output
		if s.connections > 1 {
			name += "." + strconv.Itoa(number)
		}
		if c.file, err = os.Create(name); err != nil {
			return err
		}
		sinks = append(sinks, c.file)
	}
	if s.sha256 {
		c.hash = sha256.New()
		sinks = append(sinks, c.hash)
	}
	c.conn = conn
	c.since = time.Now()
	c.sinks = io.MultiWriter(sinks...)
	return nil
}

func receive(ctx context.Context, rx *zcrx.Receiver, connections []connection) error {
	left := len(connections)
	var failed error
	err := rx.Receive(ctx, func(e zcrx.Event) error {
		c := &connections[e.Tag]
		if e.Kind == zcrx.Data {
			_, err := c.sinks.Write(e.Bytes())
			return err
		}
		left--
		if e.Err != nil {
			failed = errors.Join(failed, fmt.Errorf("connection %d: %w", e.Tag, e.Err))
		}
		if left == 0 {
			return zcrx.ErrStop
		}
		return nil
	})
	if cause := context.Cause(ctx); cause != nil {
		err = cause // why nothing more could be accepted
	}
	if err != nil {
		return errors.Join(err, failed) // the process ends, and with it all that is open
	}
	for i := range connections {
		connections[i].conn.Close()
		if connections[i].file != nil {
			failed = errors.Join(failed, connections[i].file.Close())
		}
	}
	return failed
}

type result struct {
	Engine      zcrx.Engine `json:"engine"`
	Reason      string      `json:"reason"`
	Bytes       uint64      `json:"bytes"`
	Seconds     float64     `json:"seconds"`
	Buffers     uint64      `json:"buffers"`
	CopiedBytes *uint64     `json:"copied_bytes"`
	SHA256      []string    `json:"sha256,omitempty"`
}

func report(rx *zcrx.Receiver, connections []connection, s *settings, took time.Duration) error {
	info, stats := rx.Info(), rx.Stats()
	r := result{Engine: info.Engine, Bytes: stats.Bytes, Seconds: took.Seconds(), Buffers: stats.Buffers}
	if stats.CopiedBytes != zcrx.Unknown {
		r.CopiedBytes = &stats.CopiedBytes
	}
	for engine, err := range info.Refused {
		r.Reason += fmt.Sprintf("%v: %v. ", engine, err)
	}
	for _, c := range connections {
		if c.hash != nil {
			r.SHA256 = append(r.SHA256, hex.EncodeToString(c.hash.Sum(nil)))
		}
	}
	out := os.Stdout
	if s.toStandardOutput() {
		out = os.Stderr
	}
	if s.json {
		return json.NewEncoder(out).Encode(r)
	}
	text := fmt.Sprintf("engine %v; %s%d bytes in %d buffers, %.3f s, %.3f GB/s\n", r.Engine, r.Reason, r.Bytes, r.Buffers,
		r.Seconds, float64(r.Bytes)/1e9/r.Seconds)
	for i, sum := range r.SHA256 {
		text += fmt.Sprintf("%s  connection %d\n", sum, i)
	}
	_, err := out.WriteString(text)
	return err
}
