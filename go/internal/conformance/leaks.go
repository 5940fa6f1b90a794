// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"bytes"
	"os"
	"runtime"
	"time"
)

// holdings is what a process holds: the same before and after a scenario. Threads and mappings of area size are the Go
// runtime's own business too, so they are not counted.
type holdings struct {
	descriptors int
	rings       int
	goroutines  int
}

func countHoldings() holdings {
	entries, err := os.ReadDir("/proc/self/fd")
	check(err == nil, "%v", err)
	maps, err := os.ReadFile("/proc/self/maps")
	check(err == nil, "%v", err)
	return holdings{len(entries), bytes.Count(maps, []byte("[io_uring]")), runtime.NumGoroutine()}
}

// compare fails if there is more now; what just ends gets a moment.
func (h holdings) compare() {
	now := countHoldings()
	for end := time.Now().Add(time.Minute); now != h && time.Now().Before(end); now = countHoldings() {
		time.Sleep(time.Millisecond)
	}
	check(now == h, "left behind: %+v, was %+v", now, h)
}
