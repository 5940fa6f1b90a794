// SPDX-License-Identifier: MIT

package zcrx

import (
	"net"
	"sync"
	"sync/atomic"
)

// groupTags are the tags that C knows of what a group adds; below it are those of a receiver's own entries.
const groupTags = 1 << 63

// member is a connection that is added by a group, or a listening socket whose connections are.
type member struct {
	entry
	coreTag uint64 // what C knows it by
	conn    net.Conn
	listens bool
	added   chan error // of a Stream that waits until it is added; it has room for one
}

const pageMembers = 256

// memberTable finds members by tag. Any goroutine adds; each receiver's thread looks up, without a lock, for each event.
type memberTable struct {
	pages atomic.Pointer[[]*[pageMembers]atomic.Pointer[member]]

	mutex sync.Mutex
	used  uint64
	free  []uint64
}

// put gives a member its tag.
func (t *memberTable) put(m *member) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	place := t.used
	if n := len(t.free); n > 0 {
		place = t.free[n-1]
		t.free = t.free[:n-1]
	} else {
		t.used++
	}
	var pages []*[pageMembers]atomic.Pointer[member]
	if p := t.pages.Load(); p != nil {
		pages = *p
	}
	if place/pageMembers == uint64(len(pages)) {
		more := append(pages[:len(pages):len(pages)], new([pageMembers]atomic.Pointer[member]))
		t.pages.Store(&more)
		pages = more
	}
	m.coreTag = groupTags + place
	pages[place/pageMembers][place%pageMembers].Store(m)
}

func (t *memberTable) at(tag uint64) *atomic.Pointer[member] {
	place := tag - groupTags
	return &(*t.pages.Load())[place/pageMembers][place%pageMembers]
}

func (t *memberTable) find(tag uint64) *member { return t.at(tag).Load() }

// drop forgets a member of which nothing more comes: its tag is another's from now on.
func (t *memberTable) drop(m *member) {
	t.at(m.coreTag).Store(nil)
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.free = append(t.free, m.coreTag-groupTags)
}
