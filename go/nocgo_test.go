// SPDX-License-Identifier: MIT

//go:build !cgo

package zcrx_test

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	zcrx "github.com/zcrx/zcrx/go"
)

func TestWithoutTheLibrary(t *testing.T) {
	_, one := zcrx.Open(zcrx.Options{})
	_, several := zcrx.OpenGroup(zcrx.GroupOptions{})
	for _, err := range []error{one, several} {
		var op *zcrx.OpError
		if !errors.As(err, &op) || !errors.Is(err, zcrx.ErrUnsupported) || !errors.Is(err, syscall.ENOSYS) {
			t.Fatal(err)
		}
		if !strings.Contains(op.Hint, "CGO_ENABLED=1") {
			t.Errorf("the hint is %q", op.Hint)
		}
	}
}
