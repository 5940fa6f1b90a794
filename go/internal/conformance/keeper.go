// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	zcrx "github.com/zcrx/zcrx/go"
)

// held is a buffer that is out, and where in which stream its bytes belong.
type held struct {
	buffer zcrx.Buffer
	stream uint64
	offset uint64
}

// keeper holds received buffers and releases them in the order and by the threads that a scenario asks for.
type keeper struct {
	scenario *scenario
	rx       *zcrx.Receiver
	random   *rand.Rand
	stop     chan struct{} // of the watcher
	workers  sync.WaitGroup
	watcher  sync.WaitGroup

	mutex   sync.Mutex
	changed *sync.Cond
	held    []held
	due     []held // to be released by the release threads
	busy    int    // release threads that are at it
	closing bool
}

func newKeeper(s *scenario, rx *zcrx.Receiver) *keeper {
	k := &keeper{scenario: s, rx: rx, random: rand.New(rand.NewPCG(s.seed, 0)), stop: make(chan struct{})}
	k.changed = sync.NewCond(&k.mutex)
	for range s.releaseThreads {
		start(&k.workers, k.releaseDue)
	}
	if s.hold == "parked" {
		start(&k.watcher, k.watch)
	}
	return k
}

func start(group *sync.WaitGroup, f func()) {
	group.Add(1)
	go func() {
		defer group.Done()
		f()
	}()
}

func (k *keeper) keep(h held) {
	k.mutex.Lock()
	k.held = append(k.held, h)
	k.mutex.Unlock()
}

func (k *keeper) count() int {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return len(k.held)
}

// pick takes count buffers out of the held ones in the order of release.
func (k *keeper) pick(count int) []held {
	picked := make([]held, 0, count)
	for range count {
		at := 0
		switch k.scenario.order {
		case "lifo":
			at = len(k.held) - 1
		case "random":
			at = k.random.IntN(len(k.held))
		}
		picked = append(picked, k.held[at])
		if k.scenario.order == "random" { // order of the rest does not matter
			k.held[at] = k.held[len(k.held)-1]
			k.held = k.held[:len(k.held)-1]
		} else {
			k.held = append(k.held[:at], k.held[at+1:]...)
		}
	}
	return picked
}

// release releases until at most left buffers are held.
func (k *keeper) release(left int) {
	k.mutex.Lock()
	var going []held
	if len(k.held) > left {
		going = k.pick(len(k.held) - left)
	}
	if k.scenario.releaseThreads > 0 {
		k.due = append(k.due, going...)
		going = nil
		k.changed.Broadcast()
	}
	k.mutex.Unlock()
	k.releaseAll(going)
}

func (k *keeper) releaseAll(items []held) {
	for len(items) > 0 {
		part := len(items)
		if batch := int(k.scenario.releaseBatch); batch > 0 {
			part = min(part, batch)
		}
		k.releaseOnce(items[:part])
		items = items[part:]
	}
}

func (k *keeper) releaseOnce(items []held) {
	buffers := make([]zcrx.Buffer, len(items))
	for i, h := range items {
		good := payloadCheck(h.buffer.Bytes(), k.scenario.seed, h.stream, h.offset)
		check(good == h.buffer.Len(), "a held buffer has changed: stream %d, offset %d", h.stream, h.offset+uint64(good))
		buffers[i] = h.buffer
	}
	err := zcrx.ReleaseAll(buffers...)
	check(err == nil, "release: %v", err)
	if k.scenario.doubleRelease {
		err = zcrx.ReleaseAll(buffers...)
		check(errors.Is(err, zcrx.ErrReleased), "second release: %v, not ErrReleased", err)
	}
}

// releaseDue is a release thread.
func (k *keeper) releaseDue() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	batch := int(k.scenario.releaseBatch)
	if batch == 0 {
		batch = 64
	}
	k.mutex.Lock()
	defer k.mutex.Unlock()
	for len(k.due) > 0 || !k.closing {
		count := min(len(k.due), batch)
		if count == 0 {
			k.changed.Wait()
			continue
		}
		mine := append([]held(nil), k.due[:count]...)
		k.due = k.due[count:]
		k.busy++
		k.mutex.Unlock()
		k.releaseAll(mine)
		k.mutex.Lock()
		k.busy--
		k.changed.Broadcast()
	}
}

// watch is the thread of hold=parked.
func (k *keeper) watch() {
	for {
		select {
		case <-k.stop:
			return
		case <-time.After(time.Millisecond):
		}
		if k.rx.Stats().Parked > 0 {
			time.Sleep(time.Duration(k.scenario.parkMS) * time.Millisecond)
			k.release(0)
		}
	}
}

func (k *keeper) stopWatching() {
	close(k.stop)
	k.watcher.Wait()
}

// drain releases all that is held and waits until it is.
func (k *keeper) drain() {
	k.release(0)
	k.mutex.Lock()
	for len(k.due) > 0 || k.busy > 0 {
		k.changed.Wait()
	}
	k.mutex.Unlock()
}

func (k *keeper) end() {
	k.drain()
	k.mutex.Lock()
	k.closing = true
	k.changed.Broadcast()
	k.mutex.Unlock()
	k.workers.Wait()
}
