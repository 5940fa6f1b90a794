// SPDX-License-Identifier: MIT

package zcrx_test

import (
	"bytes"
	"io"
	"os"
	"runtime"
	"testing"

	zcrx "github.com/zcrx/zcrx/go"
)

func count(t *testing.T, directory string) int {
	t.Helper()
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func mappings(t *testing.T) int {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(maps, []byte("[io_uring]"))
}

func useAll(t *testing.T, engine zcrx.Engine) {
	rx := open(t, zcrx.Options{Engine: engine})
	sender, receiver := pair(t)
	s, err := rx.Stream(receiver)
	if err != nil {
		t.Fatal(err)
	}
	sender.Write([]byte("x"))
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	sender.Close()
	receiver.Close()
	if err := rx.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		useAll(t, engine) // what the runtime makes once
		descriptors, threads := count(t, "/proc/self/fd"), count(t, "/proc/self/task")
		goroutines, rings := runtime.NumGoroutine(), mappings(t)
		rounds := ifShort(30, 100)
		if engine == zcrx.EngineZCRX {
			rounds = 5 // each sets the NIC up and puts it back
		}
		for range rounds {
			useAll(t, engine)
		}
		eventually(t, "no more descriptors, goroutines, rings than before", func() bool {
			return count(t, "/proc/self/fd") <= descriptors && runtime.NumGoroutine() <= goroutines &&
				mappings(t) <= rings
		})
		// The runtime keeps a few idle threads, but not one for each receiver that ever was.
		eventually(t, "threads end with their receivers", func() bool {
			return count(t, "/proc/self/task") < threads+20
		})
	})
}
