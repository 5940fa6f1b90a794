// SPDX-License-Identifier: MIT

//go:build linux && cgo

package zcrx

import (
	"errors"
	"syscall"
	"testing"
)

func TestAQueueThatStaysBoundIsTold(t *testing.T) {
	for _, code := range []int{0, 1} { // closed; deferred to the last buffer
		if err := closeError(code); err != nil {
			t.Errorf("close gave %d: %v", code, err)
		}
	}
	var failed *OpError
	if err := closeError(-int(syscall.EBUSY)); !errors.As(err, &failed) || !errors.Is(err, syscall.EBUSY) {
		t.Fatalf("EBUSY: %v", err)
	}
	if failed.Stage != "queue" || failed.Hint == "" {
		t.Errorf("EBUSY: %+v", failed)
	}
}
