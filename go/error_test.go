// SPDX-License-Identifier: MIT

package zcrx_test

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	zcrx "github.com/zcrx/zcrx/go"
)

func TestOpenErrors(t *testing.T) {
	cases := map[string]struct {
		options zcrx.Options
		errno   syscall.Errno
		stage   string
	}{
		"area size":      {zcrx.Options{AreaBytes: 5}, syscall.EINVAL, "options"},
		"buffer size":    {zcrx.Options{BufferBytes: 5000}, syscall.EINVAL, "options"},
		"no interface":   {zcrx.Options{Engine: zcrx.EngineZCRX}, syscall.EINVAL, "options"},
		"no engine":      {zcrx.Options{Engine: 77}, syscall.EINVAL, "options"},
		"no zero-copy":   {zcrx.Options{Engine: zcrx.EngineRecv, RequireZeroCopy: true}, syscall.EOPNOTSUPP, ""},
		"steer, no port": {zcrx.Options{Steer: zcrx.SteerPort}, syscall.EINVAL, "options"},
	}
	for name, c := range cases {
		_, err := zcrx.Open(c.options)
		var op *zcrx.OpError
		if !errors.As(err, &op) || !errors.Is(err, c.errno) || op.Hint == "" || op.Message == "" {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c.stage != "" && op.Stage != c.stage {
			t.Errorf("%s: stage %s", name, op.Stage)
		}
		if !strings.Contains(err.Error(), op.Hint) {
			t.Errorf("%s: no hint in %q", name, err)
		}
	}
	if _, err := zcrx.Open(zcrx.Options{Engine: zcrx.EngineRecv, RequireZeroCopy: true}); !errors.Is(err, zcrx.ErrUnsupported) {
		t.Errorf("%v is not ErrUnsupported", err)
	}
	for _, batch := range []int{-1, 65537} {
		if _, err := zcrx.Open(zcrx.Options{Batch: batch}); err == nil {
			t.Errorf("batch %d", batch)
		}
	}
}

func TestAddErrors(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		rx := open(t, zcrx.Options{Engine: engine})
		udp, err := net.Dial("udp", "127.0.0.1:9")
		if err != nil {
			t.Fatal(err)
		}
		defer udp.Close()
		if _, err := rx.Add(udp); !errors.Is(err, zcrx.ErrNotTCP) || !errors.Is(err, syscall.EPROTONOSUPPORT) {
			t.Errorf("UDP: %v", err)
		}
		one, two := net.Pipe()
		defer one.Close()
		defer two.Close()
		if _, err := rx.Add(one); !errors.Is(err, zcrx.ErrNotTCP) {
			t.Errorf("a pipe: %v", err)
		}
		file, err := os.Open("/dev/null")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := rx.AddFile(file); !errors.Is(err, zcrx.ErrNotTCP) {
			t.Errorf("a file: %v", err)
		}
		if _, err := rx.AddFD(-1); !errors.Is(err, syscall.EBADF) {
			t.Errorf("no descriptor: %v", err)
		}
		_, conn := pair(t)
		id, err := rx.Add(conn)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rx.Add(conn); !errors.Is(err, zcrx.ErrAdded) {
			t.Errorf("twice: %v", err)
		}
		if err := rx.Remove(id + 1<<32); !errors.Is(err, zcrx.ErrNoStream) {
			t.Errorf("no such stream: %v", err)
		}
		_, closed := pair(t)
		closed.Close()
		if _, err := rx.Add(closed); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a closed connection: %v", err)
		}
		if err := rx.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := rx.Add(conn); !errors.Is(err, zcrx.ErrClosed) {
			t.Errorf("a closed receiver: %v", err)
		}
		if err := rx.Receive(bounded(t), nil); !errors.Is(err, zcrx.ErrClosed) {
			t.Errorf("Receive of a closed receiver: %v", err)
		}
	})
}

func TestAddFileAndDescriptor(t *testing.T) {
	rx := open(t, zcrx.Options{})
	for _, how := range []string{"file", "descriptor"} {
		sender, conn := pair(t)
		file, err := conn.File()
		if err != nil {
			t.Fatal(err)
		}
		if how == "file" {
			_, err = rx.AddFile(file)
		} else {
			_, err = rx.AddFD(int(file.Fd()))
		}
		if err != nil {
			t.Fatal(how, err)
		}
		file.Close() // the receiver has its own reference
		conn.Close()
		send(sender, []byte(how))
		var got []byte
		err = rx.Receive(bounded(t), func(e zcrx.Event) error {
			got = append(got, e.Bytes()...)
			if e.Kind != zcrx.Data {
				return zcrx.ErrStop
			}
			return nil
		})
		if err != nil || string(got) != how {
			t.Errorf("%s: %q, %v", how, got, err)
		}
	}
}

func TestEngineNames(t *testing.T) {
	for _, engine := range []zcrx.Engine{zcrx.EngineAuto, zcrx.EngineZCRX, zcrx.EngineZCRXNoDev, zcrx.EngineMultishot, zcrx.EngineRecv} {
		got, err := zcrx.ParseEngine(engine.String())
		if err != nil || got != engine {
			t.Errorf("%v: %v, %v", engine, got, err)
		}
	}
	if _, err := zcrx.ParseEngine("multi"); err == nil || !strings.Contains(err.Error(), "multishot") {
		t.Errorf("a wrong name: %v", err)
	}
	if name := zcrx.Engine(99).String(); name != "Engine(99)" {
		t.Error(name)
	}
}

func TestProbe(t *testing.T) {
	can, err := zcrx.Probe()
	if err != nil {
		t.Fatal(err)
	}
	if len(can.Engines) == 0 || len(can.Checks) == 0 || can.PageBytes != os.Getpagesize() || can.Kernel == "" {
		t.Errorf("%+v", can)
	}
	for _, engine := range can.Engines {
		if engine == zcrx.EngineZCRX {
			continue // takes an interface
		}
		rx, err := zcrx.Open(zcrx.Options{Engine: engine})
		if err != nil {
			t.Errorf("the probe says that %v can be opened: %v", engine, err)
			continue
		}
		rx.Close()
	}
	for engine, err := range can.Refused {
		var op *zcrx.OpError
		if !errors.As(err, &op) || op.Message == "" {
			t.Errorf("%v refused: %v", engine, err)
		}
	}
}
