// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

const (
	never  = math.MaxUint64
	parked = math.MaxUint64 - 1 // of removeAt
)

// scenario is a line of the table.
type scenario struct {
	name  string
	words []string

	connections, bytes, seed                uint64
	connectEach                             bool
	engines                                 string
	areaBytes                               uint64
	bufferBytes, ringEntries, refillEntries uint64
	limit                                   uint64
	addLate, closeFD                        bool
	batch                                   uint64
	timeoutMS                               int64
	hold                                    string // "", end, parked, closed
	holdCount                               uint64
	parkMS                                  uint64
	order                                   string
	releaseBatch, releaseThreads            uint64
	doubleRelease                           bool
	removeAt                                uint64
	wakeMS, signalMS                        uint64
	until                                   string // ends, bytes, timeout, wake
	untilBytes                              uint64
	rest                                    string
	closedMS, repeat                        uint64
	prefix                                  bool
	end                                     string
	atLeast                                 string
	large                                   bool
	inexpressible                           string // why Go leaves it out; empty: it does not
}

var errValue = errors.New("not a value of this key")

type parser func(s *scenario, value string) error

func number(field func(s *scenario) *uint64) parser {
	return func(s *scenario, value string) (err error) {
		*field(s), err = strconv.ParseUint(value, 10, 64)
		return err
	}
}

func choice(set func(s *scenario, value string), values ...string) parser {
	return func(s *scenario, value string) error {
		if !slices.Contains(values, value) {
			return errValue
		}
		set(s, value)
		return nil
	}
}

func sendersOwn(*scenario, string) error { return nil }

// leftOut is a key that Go cannot express, for every value but the default.
func leftOut(reason string, usual string) parser {
	return func(s *scenario, value string) error {
		if value != usual {
			s.inexpressible = reason
		}
		return nil
	}
}

var keys = map[string]parser{
	"write":       sendersOwn,
	"pause_bytes": sendersOwn,
	"pause_ms":    sendersOwn,
	"finish":      sendersOwn,

	"wait":    leftOut("wait: the receiver's own thread waits; there is no descriptor to poll", "receive"),
	"fork_at": leftOut("fork_at: a Go program cannot fork without exec", ""),
	"close":   leftOut("close: Close always takes place on the receiver's own thread", "owner"),

	"connections":     number(func(s *scenario) *uint64 { return &s.connections }),
	"bytes":           number(func(s *scenario) *uint64 { return &s.bytes }),
	"seed":            number(func(s *scenario) *uint64 { return &s.seed }),
	"area_bytes":      number(func(s *scenario) *uint64 { return &s.areaBytes }),
	"buffer_bytes":    number(func(s *scenario) *uint64 { return &s.bufferBytes }),
	"ring_entries":    number(func(s *scenario) *uint64 { return &s.ringEntries }),
	"refill_entries":  number(func(s *scenario) *uint64 { return &s.refillEntries }),
	"limit":           number(func(s *scenario) *uint64 { return &s.limit }),
	"batch":           number(func(s *scenario) *uint64 { return &s.batch }),
	"park_ms":         number(func(s *scenario) *uint64 { return &s.parkMS }),
	"release_batch":   number(func(s *scenario) *uint64 { return &s.releaseBatch }),
	"release_threads": number(func(s *scenario) *uint64 { return &s.releaseThreads }),
	"wake_ms":         number(func(s *scenario) *uint64 { return &s.wakeMS }),
	"signal_ms":       number(func(s *scenario) *uint64 { return &s.signalMS }),
	"closed_ms":       number(func(s *scenario) *uint64 { return &s.closedMS }),
	"repeat":          number(func(s *scenario) *uint64 { return &s.repeat }),

	"connect":        choice(func(s *scenario, v string) { s.connectEach = v == "each" }, "together", "each"),
	"add":            choice(func(s *scenario, v string) { s.addLate = v == "late" }, "accept", "late"),
	"close_fd":       choice(func(s *scenario, v string) { s.closeFD = v == "1" }, "0", "1"),
	"order":          choice(func(s *scenario, v string) { s.order = v }, "fifo", "lifo", "random"),
	"double_release": choice(func(s *scenario, v string) { s.doubleRelease = v == "1" }, "0", "1"),
	"rest":           choice(func(s *scenario, v string) { s.rest = v }, "none", "recv", "add"),
	"expect":         choice(func(s *scenario, v string) { s.prefix = v == "prefix" }, "exact", "prefix"),
	"end":            choice(func(s *scenario, v string) { s.end = v }, "fin", "limit", "removed", "reset", "none"),
	"size":           choice(func(s *scenario, v string) { s.large = v == "large" }, "small", "large"),

	"engines":  func(s *scenario, value string) error { s.engines = value; return nil },
	"at_least": func(s *scenario, value string) error { s.atLeast = value; return nil },
	"timeout_ms": func(s *scenario, value string) (err error) {
		s.timeoutMS, err = strconv.ParseInt(value, 10, 64)
		return err
	},
	"hold": func(s *scenario, value string) (err error) {
		if slices.Contains([]string{"end", "parked", "closed"}, value) {
			s.hold = value
			return nil
		}
		s.holdCount, err = strconv.ParseUint(value, 10, 64)
		return err
	},
	"remove_at": func(s *scenario, value string) (err error) {
		if value == "parked" {
			s.removeAt = parked
			return nil
		}
		s.removeAt, err = strconv.ParseUint(value, 10, 64)
		return err
	},
	"until": func(s *scenario, value string) (err error) {
		if bytes, ok := strings.CutPrefix(value, "bytes:"); ok {
			s.until = "bytes"
			s.untilBytes, err = strconv.ParseUint(bytes, 10, 64)
			return err
		}
		s.until = value
		if !slices.Contains([]string{"ends", "timeout", "wake"}, value) {
			return errValue
		}
		return nil
	},
}

func parseScenario(line string) (*scenario, error) {
	words := strings.Fields(line)
	s := &scenario{
		name: words[0], words: words[1:], connections: 1, seed: 1, engines: "all", areaBytes: 8388608, batch: 64,
		timeoutMS: 1000, order: "fifo", removeAt: never, until: "ends", rest: "none", repeat: 1, end: "fin",
	}
	for _, word := range s.words {
		key, value, found := strings.Cut(word, "=")
		parse := keys[key]
		if !found || parse == nil {
			return nil, fmt.Errorf("%s: not known: %s", s.name, word)
		}
		if err := parse(s, value); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", s.name, word, err)
		}
	}
	return s, nil
}

func readScenarios(path string) (list []*scenario, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		s, err := parseScenario(line)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// skipOn tells why the scenario is not run on the engine; empty: it is.
func (s *scenario) skipOn(engine string, fast bool) string {
	if s.engines != "all" && !slices.Contains(strings.Split(s.engines, ","), engine) {
		return "not for this engine"
	}
	if s.large && fast {
		return "size=large"
	}
	return s.inexpressible
}
