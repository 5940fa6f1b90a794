// SPDX-License-Identifier: MIT

package zcrx_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	zcrx "github.com/zcrx/zcrx/go"
)

func TestOpenGroupErrors(t *testing.T) {
	before := count(t, "/proc/self/fd")
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	first, none := 0, -1
	cases := map[string]struct {
		options zcrx.GroupOptions
		errno   syscall.Errno
		says    string
	}{
		"count":          {zcrx.GroupOptions{Count: 257}, syscall.EINVAL, "count"},
		"negative count": {zcrx.GroupOptions{Count: -1}, syscall.EINVAL, "count"},
		"inbox":          {zcrx.GroupOptions{InboxEntries: 65537}, syscall.EINVAL, "inbox_entries"},
		"negative inbox": {zcrx.GroupOptions{InboxEntries: -1}, syscall.EINVAL, "inbox_entries"},
		"shared, pinned": {zcrx.GroupOptions{SharedQueue: true, Pin: zcrx.PinQueue}, syscall.EINVAL, "flags"},
		"shared, grows": {zcrx.GroupOptions{SharedQueue: true, Options: zcrx.Options{AreaMaxBytes: 1 << 30}},
			syscall.EINVAL, "area_max_bytes"},
		"pin":            {zcrx.GroupOptions{Pin: 7}, syscall.EINVAL, "flags"},
		"area":           {zcrx.GroupOptions{Options: zcrx.Options{AreaBytes: 1}}, syscall.EINVAL, "area_bytes"},
		"dma-buf":        {zcrx.GroupOptions{Options: zcrx.Options{Area: zcrx.AreaDMABuf, DMABuf: null}}, syscall.EINVAL, "area_kind"},
		"processor":      {zcrx.GroupOptions{Options: zcrx.Options{Processor: &first}, Count: 2}, syscall.EINVAL, "processor"},
		"no processor":   {zcrx.GroupOptions{Options: zcrx.Options{Processor: &none}, Count: 1}, syscall.EINVAL, "processor"},
		"busy poll":      {zcrx.GroupOptions{Options: zcrx.Options{BusyPoll: 2 * time.Second}}, syscall.EINVAL, "busy_poll_us"},
		"less than none": {zcrx.GroupOptions{Options: zcrx.Options{BusyPoll: -1}}, syscall.EINVAL, "busy_poll_us"},
		"no interface": {zcrx.GroupOptions{Options: zcrx.Options{Engine: zcrx.EngineZCRX, Interface: "no-such-nic"}, Count: 2},
			syscall.ENODEV, "receiver 1 of 2"},
	}
	for name, c := range cases {
		_, err := zcrx.OpenGroup(c.options)
		var op *zcrx.OpError
		if !errors.As(err, &op) || !errors.Is(err, c.errno) || op.Hint == "" || !strings.Contains(op.Message, c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := zcrx.OpenGroup(zcrx.GroupOptions{Options: zcrx.Options{Batch: -1}}); err == nil {
		t.Error("a batch of -1")
	}
	null.Close()
	if after := count(t, "/proc/self/fd"); after > before {
		t.Errorf("%d descriptors, before %d", after, before)
	}
}

func TestOpenGroupDefaults(t *testing.T) {
	group := openGroup(t, zcrx.GroupOptions{})
	if group.Count() < 1 || len(group.Receivers()) != group.Count() || group.Receiver(0) != group.Receivers()[0] {
		t.Errorf("%d receivers", group.Count())
	}
	for _, rx := range group.Receivers() {
		if info := rx.Info(); info.Processor != -1 || info.NUMANode != -1 || info.Engine != group.Receiver(0).Info().Engine {
			t.Errorf("%+v", info)
		}
	}
}

func TestBusyPoll(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		if info := open(t, zcrx.Options{Engine: engine}).Info(); info.BusyPollUs != 0 || info.Features&zcrx.FeatureBusyPoll != 0 {
			t.Errorf("not asked for: %+v", info)
		}
		info := open(t, zcrx.Options{Engine: engine, BusyPoll: 1500 * time.Nanosecond}).Info()
		want := uint32(0)
		if engine != zcrx.EngineRecv && info.Features&zcrx.FeatureBusyPoll != 0 {
			want = 2 // rounded up
		}
		if info.BusyPollUs != want {
			t.Errorf("polls for %d µs, not %d", info.BusyPollUs, want)
		}
	})
}
