// SPDX-License-Identifier: MIT

package zcrx_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	zcrx "github.com/zcrx/zcrx/go"
)

// affinity is the list of processors that a thread may use, as the kernel writes it.
func affinity(t *testing.T, thread string) string {
	t.Helper()
	status, err := os.ReadFile("/proc/self/task/" + strings.Replace(thread, "self", strconv.Itoa(os.Getpid()), 1) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	_, list, found := strings.Cut(string(status), "Cpus_allowed_list:")
	if !found {
		t.Fatal("the kernel does not tell Cpus_allowed_list")
	}
	list, _, _ = strings.Cut(list, "\n")
	return strings.TrimSpace(list)
}

func firstOf(t *testing.T, list string) int {
	t.Helper()
	var first int
	if _, err := fmt.Sscanf(list, "%d", &first); err != nil {
		t.Fatalf("%q: %v", list, err)
	}
	return first
}

// expectPinned checks where the receiver's own thread may run while it receives.
func expectPinned(t *testing.T, rx *zcrx.Receiver, processor int) {
	t.Helper()
	sender, conn := pair(t)
	if _, err := rx.Add(conn); err != nil {
		t.Fatal(err)
	}
	sender.Write([]byte("x"))
	var found string
	err := rx.Receive(bounded(t), func(zcrx.Event) error {
		found = affinity(t, strconv.Itoa(syscall.Gettid()))
		return zcrx.ErrStop
	})
	if err != nil {
		t.Fatal(err)
	}
	if found != strconv.Itoa(processor) {
		t.Errorf("the thread may use processors %s, not %d", found, processor)
	}
}

// Each thread is pinned when it first receives; nothing else of the program is.
func TestGroupPin(t *testing.T) {
	allowed := affinity(t, "self")
	for _, pin := range []zcrx.Pin{zcrx.PinApart, zcrx.PinQueue} {
		group := openGroup(t, zcrx.GroupOptions{Count: 2, Pin: pin})
		for _, rx := range group.Receivers() {
			processor := rx.Info().Processor
			if processor < 0 {
				t.Fatalf("pin %d: %+v", pin, rx.Info())
			}
			expectPinned(t, rx, processor)
		}
		if err := group.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if after := affinity(t, "self"); after != allowed {
		t.Errorf("the process may use %s, before %s", after, allowed)
	}
}

func TestProcessor(t *testing.T) {
	processor := firstOf(t, affinity(t, "self"))
	rx := open(t, zcrx.Options{Processor: &processor})
	if info := rx.Info(); info.Processor != processor {
		t.Errorf("%+v", info)
	}
	expectPinned(t, rx, processor)
}
