// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// key is one figure: the median of the rounds, and how far from 1 the same side is from itself. All files of benchmarks have this form.
type key struct {
	Value  float64  `json:"value"`
	Spread float64  `json:"spread"` // A/A: half the distance of the quartiles of the core against itself
	Bar    *float64 `json:"bar"`    // null: none
	Met    *bool    `json:"met"`    // at the bar, give or take the spread, or a fourth of the bar
}

func (k key) noisy() bool { return k.Spread > math.Abs(k.Value)/10 }

func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	low := int(at)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

func rounded(value float64) float64 { return math.Round(value*1e4) / 1e4 }

func newKey(values, same []float64) key {
	k := key{Value: rounded(quantile(values, 0.5))}
	if len(same) > 0 {
		k.Spread = rounded((quantile(same, 0.75) - quantile(same, 0.25)) / 2)
	}
	return k
}

func (k key) atLeast(bar float64) key {
	met := k.Value >= bar-min(k.Spread, bar/4)
	k.Bar, k.Met = &bar, &met
	return k
}

func (k key) atMost(bar float64) key {
	met := k.Value <= bar+min(k.Spread, bar/4)
	k.Bar, k.Met = &bar, &met
	return k
}

// sides of one buffer size, in the order in which they take turns. The first and the last are the same.
func sides(buffer int, more ...string) []side {
	list := []side{{"core", buffer, true}}
	for _, name := range more {
		list = append(list, side{name, buffer, false})
	}
	return append(list, side{"core again", buffer, true})
}

// takeTurns runs each side in turn, so many times: results by the side's name.
func (s *settings) takeTurns(rounds int, list []side) (map[string][]totals, error) {
	results := make(map[string][]totals)
	for round := range rounds {
		order := slices.Clone(list)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, what := range order {
			t, err := s.measure(what)
			if err != nil {
				return nil, err
			}
			results[what.name] = append(results[what.name], t)
		}
	}
	return results, nil
}

// paired computes one figure for each round out of two sides.
func paired(a, b []totals, f func(a, b totals) float64) (values []float64) {
	for i := range a {
		values = append(values, f(a[i], b[i]))
	}
	return values
}

func throughput(a, b totals) float64 { return b.Seconds / a.Seconds }

// thrift is throughput for each second of processor time; less disturbed by others than throughput.
func thrift(a, b totals) float64 { return b.CPU / a.CPU }

// extraNS is the processor time of each buffer above b's, in nanoseconds.
func extraNS(a, b totals) float64 {
	return (a.CPU/float64(a.Buffers) - b.CPU/float64(b.Buffers)) * 1e9
}

func allocs(a, _ totals) float64 {
	return math.Round(float64(a.Allocs)/float64(a.Buffers)*100) / 100
}

func (s *settings) compare() error {
	small, err := s.takeTurns(2*s.rounds, sides(4096, "receive")) // few nanoseconds of many: more runs
	if err != nil {
		return err
	}
	large, err := s.takeTurns(s.rounds, sides(65536, "receive", "stream", "write-to", "conn-read"))
	if err != nil {
		return err
	}
	sameSmall := paired(small["core again"], small["core"], throughput)
	sameLarge := paired(large["core again"], large["core"], throughput)
	sameSmallCPU := paired(small["core again"], small["core"], thrift)
	sameLargeCPU := paired(large["core again"], large["core"], thrift)
	keys := map[string]key{
		"go_vs_core_4k":           newKey(paired(small["receive"], small["core"], throughput), sameSmall).atLeast(0.90),
		"go_vs_core_64k":          newKey(paired(large["receive"], large["core"], throughput), sameLarge).atLeast(0.98),
		"go_vs_conn_read_64k":     newKey(paired(large["receive"], large["conn-read"], throughput), sameLarge).atLeast(1),
		"go_vs_core_4k_cpu":       newKey(paired(small["receive"], small["core"], thrift), sameSmallCPU),
		"go_vs_core_64k_cpu":      newKey(paired(large["receive"], large["core"], thrift), sameLargeCPU),
		"go_vs_conn_read_64k_cpu": newKey(paired(large["receive"], large["conn-read"], thrift), sameLargeCPU),
		"stream_vs_conn_read_64k": newKey(paired(large["stream"], large["conn-read"], throughput), sameLarge),
		"write_to_vs_conn_read":   newKey(paired(large["write-to"], large["conn-read"], throughput), sameLarge),
		"allocs_per_buffer":       newKey(paired(small["receive"], small["core"], allocs), nil).atMost(0),
		"ns_per_buffer_over_core": newKey(paired(small["receive"], small["core"], extraNS),
			paired(small["core again"], small["core"], extraNS)).atMost(25),
	}
	if err := s.writeRuns(map[string]map[string][]totals{"4k": small, "64k": large}); err != nil {
		return err
	}
	return s.write(keys)
}

func (s *settings) write(keys map[string]key) error {
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		k := keys[name]
		verdict := ""
		if k.Met != nil {
			verdict = fmt.Sprintf("  bar %.2f, met: %v", *k.Bar, *k.Met)
		}
		if k.noisy() {
			verdict += ", noisy"
		}
		fmt.Printf("%-26s %8.3f  spread %.3f%s\n", name, k.Value, k.Spread, verdict)
	}
	text, err := json.MarshalIndent(keys, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(s.output, append(text, '\n'), 0o644)
}

// writeRuns writes each run as a benchmark's line, for benchstat, beside the keys.
func (s *settings) writeRuns(groups map[string]map[string][]totals) error {
	var text strings.Builder
	for _, size := range slices.Sorted(maps.Keys(groups)) {
		for _, name := range slices.Sorted(maps.Keys(groups[size])) {
			for _, t := range groups[size][name] {
				buffers := float64(t.Buffers)
				fmt.Fprintf(&text, "BenchmarkReceive/size=%s/side=%s %d %.1f ns/op %.1f MB/s %.1f cpu-ns/op\n", size,
					strings.ReplaceAll(name, " ", "-"), t.Buffers, t.Seconds/buffers*1e9, float64(t.Bytes)/t.Seconds/1e6,
					t.CPU/buffers*1e9)
			}
		}
	}
	if err := os.MkdirAll(filepath.Dir(s.output), 0o755); err != nil {
		return err
	}
	return os.WriteFile(strings.TrimSuffix(s.output, ".json")+".txt", []byte(text.String()), 0o644)
}
