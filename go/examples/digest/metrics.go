// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	zcrx "github.com/zcrx/zcrx/go"
)

// exporter serves metrics; the zero value serves none.
type exporter struct {
	listener net.Listener
	server   *http.Server
	ended    chan struct{}
}

func startMetrics(ctx context.Context, address string, group *zcrx.Group) (e exporter, err error) {
	if address == "" {
		return e, nil
	}
	var config net.ListenConfig
	if e.listener, err = config.Listen(ctx, "tcp", address); err != nil {
		return exporter{}, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		writeMetrics(w, group.Stats())
	})
	e.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	e.ended = make(chan struct{})
	go func() {
		defer close(e.ended)
		e.server.Serve(e.listener) // it ends by stop
	}()
	return e, nil
}

func (e *exporter) address() string {
	if e.server == nil {
		return "no port"
	}
	return e.listener.Addr().String()
}

func (e *exporter) stop() {
	if e.server != nil {
		e.server.Close()
		<-e.ended
	}
}

// metric is one figure, of the whole group and, where it is counted so, of each receiver.
type metric struct {
	name, kind, help string
	whole            func(*zcrx.GroupStats) uint64
	each             func(*zcrx.Stats) uint64 // nil: whole alone
}

var metrics = []metric{
	{"connections_total", "counter", "Connections added to receivers.",
		func(s *zcrx.GroupStats) uint64 { return s.Added }, nil},
	{"connections_copied_total", "counter", "Connections that arrived at a queue that is no receiver's.",
		func(s *zcrx.GroupStats) uint64 { return s.Copied }, nil},
	{"connections_refused_total", "counter", "Connections that could not be added.",
		func(s *zcrx.GroupStats) uint64 { return s.Refused }, nil},
	{"receivers", "gauge", "Receivers that are open.",
		func(s *zcrx.GroupStats) uint64 { return uint64(s.ReceiverCount) }, nil},
	{"connections", "gauge", "Connections that are received from.", nil,
		func(s *zcrx.Stats) uint64 { return s.Streams }},
	{"connections_paused", "gauge", "Connections that rest at their window.", nil,
		func(s *zcrx.Stats) uint64 { return s.Paused }},
	{"received_bytes_total", "counter", "Bytes received.", nil,
		func(s *zcrx.Stats) uint64 { return s.Bytes }},
	{"received_buffers_total", "counter", "Buffers received.", nil,
		func(s *zcrx.Stats) uint64 { return s.Buffers }},
	{"copied_bytes_total", "counter", "Bytes that the kernel copied; missing where it does not tell.", nil,
		func(s *zcrx.Stats) uint64 { return s.CopiedBytes }},
	{"held_bytes", "gauge", "Memory that buffers hold.", nil,
		func(s *zcrx.Stats) uint64 { return s.HeldBytes }},
	{"area_bytes", "gauge", "Memory to receive into.", nil,
		func(s *zcrx.Stats) uint64 { return s.AreaBytes }},
}

// writeMetrics writes them in Prometheus' text format: a figure of a receiver under the label receiver, the sum under a name of its
// own, so that a query that sums the receivers does not count it twice.
func writeMetrics(w io.Writer, s zcrx.GroupStats) {
	for _, m := range metrics {
		name := "zcrx_" + m.name
		writeHead(w, name, &m)
		if m.each == nil {
			writeValue(w, name, m.whole(&s))
			continue
		}
		writeValue(w, name, m.each(&s.Sum))
		name = "zcrx_receiver_" + m.name
		writeHead(w, name, &m)
		for i := range s.Receivers {
			writeValue(w, name+`{receiver="`+strconv.Itoa(i)+`"}`, m.each(&s.Receivers[i]))
		}
	}
}

func writeHead(w io.Writer, name string, m *metric) {
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, m.help, name, m.kind)
}

func writeValue(w io.Writer, name string, value uint64) {
	if value != zcrx.Unknown {
		fmt.Fprintf(w, "%s %d\n", name, value)
	}
}
