// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"syscall"

	zcrx "github.com/zcrx/zcrx/go"
)

// stream is one connection, and what was received of it.
type stream struct {
	id       zcrx.StreamID
	conn     net.Conn // nil: closed
	ended    bool
	removed  bool
	how      string // it ended: a value of the key end
	received uint64
}

// ledger checks what is received as it comes.
type ledger struct {
	scenario       *scenario
	streams        []stream
	added, ended   uint64
	bytes, buffers uint64
}

// take checks an event against its stream and books it; it returns where in the stream its data begin.
func (l *ledger) take(e *zcrx.Event) uint64 {
	check(e.Tag < l.added, "event with unknown tag %d", e.Tag)
	s := &l.streams[e.Tag]
	offset := s.received
	check(e.Stream == s.id, "stream %d: event of another one", e.Tag)
	check(!s.ended, "stream %d: event %v after its end", e.Tag, e.Kind)
	if e.Kind == zcrx.Data {
		data := e.Bytes()
		check(len(data) > 0 && e.Err == nil && e.End == 0, "stream %d: empty data, or with an end", e.Tag)
		good := payloadCheck(data, l.scenario.seed, e.Tag, offset)
		check(good == len(data), "stream %d: wrong byte at offset %d", e.Tag, offset+uint64(good))
		s.received += uint64(len(data))
		l.bytes += uint64(len(data))
		l.buffers++
		return offset
	}
	s.ended = true
	s.how = howEnded(e)
	l.ended++
	return offset
}

func howEnded(e *zcrx.Event) string {
	switch {
	case e.Kind == zcrx.Error && errors.Is(e.Err, syscall.ECONNRESET):
		return "reset"
	case e.Kind == zcrx.Error:
		return "error " + e.Err.Error()
	case e.End == zcrx.EndPeer:
		return "fin"
	}
	return e.End.String()
}

func (l *ledger) checkStreams() {
	exact := l.scenario.bytes
	if l.scenario.limit > 0 {
		exact = min(exact, l.scenario.limit)
	}
	for i := range l.streams[:l.added] {
		s := &l.streams[i]
		if l.scenario.end == "none" {
			check(!s.ended, "stream %d ended: %s", i, s.how)
		} else {
			check(s.how == l.scenario.end, "stream %d after %d bytes: %s, not %s", i, s.received, s.how, l.scenario.end)
		}
		check(s.received == exact || l.scenario.prefix && s.received < exact, "stream %d: %d bytes, not %d", i, s.received, exact)
	}
}

func (l *ledger) checkRest() {
	for i := range l.streams[:l.added] {
		s := &l.streams[i]
		if l.scenario.rest == "add" {
			check(s.how == "fin", "stream %d with the rest: %s", i, s.how)
		}
		check(s.received == l.scenario.bytes, "stream %d: %d bytes with the rest, not %d", i, s.received, l.scenario.bytes)
	}
}

func (l *ledger) checkStats(s zcrx.Stats, outstanding int) {
	if l.scenario.until == "bytes" { // what Receive's function has not been given yet is the receiver's
		check(s.Bytes >= l.bytes && s.Buffers >= l.buffers, "stats: %d bytes, received %d", s.Bytes, l.bytes)
		outstanding += int(s.Buffers - l.buffers)
		l.bytes, l.buffers = s.Bytes, s.Buffers
	}
	check(s.Bytes == l.bytes && s.Buffers == l.buffers, "stats: %d bytes in %d buffers, received %d in %d", s.Bytes,
		s.Buffers, l.bytes, l.buffers)
	check(s.Outstanding == uint64(outstanding), "stats: %d outstanding, not %d", s.Outstanding, outstanding)
	check(s.Released == s.Buffers-s.Outstanding, "stats: %d released of %d with %d out", s.Released, s.Buffers, s.Outstanding)
	check(s.Backlog <= s.Released, "stats: backlog %d of %d", s.Backlog, s.Released)
	check(s.Streams == l.added-l.ended, "stats: %d streams, not %d", s.Streams, l.added-l.ended)
	check(l.ended < l.added || s.Parked == 0, "stats: %d parked at the end", s.Parked)
	check(s.Forgotten == 0, "stats: %d forgotten", s.Forgotten)
	if l.scenario.atLeast != "" {
		for item := range strings.SplitSeq(l.scenario.atLeast, ",") {
			checkAtLeast(s, item)
		}
	}
}

func checkAtLeast(s zcrx.Stats, item string) {
	name, value, _ := strings.Cut(item, ":")
	minimum, err := strconv.ParseUint(value, 10, 64)
	check(err == nil, "at_least: %s", item)
	fields := map[string]uint64{
		"bytes": s.Bytes, "buffers": s.Buffers, "released": s.Released, "parks": s.Parks,
		"rearms_ring_full": s.RearmsRingFull, "rearms_no_buffer": s.RearmsNoBuffer, "rearms_silent": s.RearmsSilent,
		"rearms_interrupted": s.RearmsInterrupted, "backlog_high": s.BacklogHigh, "flushes": s.Flushes,
		"copied_bytes": s.CopiedBytes, "waits": s.Waits, "wakes": s.Wakes,
	}
	field, known := fields[name]
	check(known, "at_least: no such field: %s", name)
	check(field >= minimum, "%s is %d, not at least %d", name, field, minimum)
}
