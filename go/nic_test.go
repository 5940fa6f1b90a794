// SPDX-License-Identifier: MIT

package zcrx_test

import (
	"errors"
	"fmt"
	"log"
	"net"
	"syscall"
	"testing"

	zcrx "github.com/zcrx/zcrx/go"
)

// What an interface can and lacks, here the loopback one, which no driver splits for.
func ExampleInspectNIC() {
	report, err := zcrx.InspectNIC("lo", nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, check := range report.Checks {
		if check.State == zcrx.CheckMissing {
			fmt.Println("missing:", check.Name)
		}
	}
	// Output: missing: tcp-data-split
}

func TestInspectNIC(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	report, err := zcrx.InspectNIC("lo", nil)
	if err != nil {
		t.Fatal(err)
	}
	if report.Index != lo.Index || report.Queue == nil || report.Split != zcrx.NICSplitUnknown || report.Bound != 0 {
		t.Errorf("%+v", report)
	}
	beyond := uint32(1000)
	report, err = zcrx.InspectNIC("lo", &beyond)
	if err != nil {
		t.Fatal(err)
	}
	if report.Queue == nil || *report.Queue != beyond || stateOf(report.Checks, "queue") != zcrx.CheckMissing {
		t.Errorf("queue %d: %+v", beyond, report)
	}
}

func stateOf(checks []zcrx.Check, name string) zcrx.CheckState {
	for _, check := range checks {
		if check.Name == name {
			return check.State
		}
	}
	return zcrx.CheckUnknown
}

func TestNICRefusals(t *testing.T) {
	lo := zcrx.Options{Interface: "lo"}
	_, conn := pair(t)
	cases := map[string]struct {
		call  func() error
		op    string
		errno syscall.Errno
	}{
		"inspect nothing": {func() error { _, err := zcrx.InspectNIC("no-such-nic", nil); return err }, "inspect", syscall.ENODEV},
		"demand nothing":  {func() error { _, err := zcrx.DemandNIC(zcrx.Options{Interface: "no-such-nic"}); return err }, "demand", syscall.ENODEV},
		"plan nothing":    {func() error { _, err := zcrx.PlanNIC(zcrx.Options{}); return err }, "plan", syscall.ENODEV},
		"plan lo":         {func() error { _, err := zcrx.PlanNIC(lo); return err }, "plan", syscall.EOPNOTSUPP},
		"apply lo":        {func() error { _, err := zcrx.ApplyNIC(lo); return err }, "apply", syscall.EOPNOTSUPP},
		"prove lo":        {func() error { _, err := zcrx.ProveNIC(lo, conn, 0, 0); return err }, "prove", syscall.EOPNOTSUPP},
	}
	for name, c := range cases {
		err := c.call()
		var op *zcrx.OpError
		if !errors.As(err, &op) || op.Op != c.op || op.Stage != "nic" || !errors.Is(err, c.errno) || op.Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
		if c.errno == syscall.EOPNOTSUPP && !errors.Is(err, zcrx.ErrUnsupported) {
			t.Errorf("%s: %v is not ErrUnsupported", name, err)
		}
	}
}

func TestNothingToUndo(t *testing.T) {
	if n, err := zcrx.UndoNIC("lo", nil); n != 0 || err != nil {
		t.Errorf("undo: %d, %v", n, err)
	}
	if n, err := zcrx.RestoreNIC("lo"); n != 0 || err != nil {
		t.Errorf("restore: %d, %v", n, err)
	}
}
