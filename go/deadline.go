// SPDX-License-Identifier: MIT

package zcrx

import (
	"sync"
	"time"
)

// deadline is a time that can be moved while others wait for it.
type deadline struct {
	mutex    sync.Mutex
	timer    *time.Timer
	expired  chan struct{} // closed when it is over
	sequence uint64        // of set: a timer that fires late knows that it is not meant any more
}

func newDeadline() *deadline { return &deadline{expired: make(chan struct{})} }

// over is closed once the deadline is over. A deadline that is moved after it was over has a new channel.
func (d *deadline) over() <-chan struct{} {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.expired
}

// set moves the deadline; the zero time is never.
func (d *deadline) set(t time.Time) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.sequence++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if d.passed() {
		d.expired = make(chan struct{})
	}
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	if left <= 0 {
		close(d.expired)
		return
	}
	sequence := d.sequence
	d.timer = time.AfterFunc(left, func() { d.expire(sequence) })
}

func (d *deadline) expire(sequence uint64) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.sequence == sequence {
		close(d.expired)
	}
}

func (d *deadline) passed() bool {
	select {
	case <-d.expired:
		return true
	default:
		return false
	}
}

// isOver says whether the deadline is over.
func (d *deadline) isOver() bool {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.passed()
}
