// SPDX-License-Identifier: MIT

package zcrx_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	zcrx "github.com/zcrx/zcrx/go"
)

// What a goroutine may do with a receiver that others use: each gets a connection, and what its peer sends.
var uses = []func(rx *zcrx.Receiver, conn net.Conn, want []byte) error{
	func(rx *zcrx.Receiver, conn net.Conn, want []byte) error {
		s, err := rx.Stream(conn)
		if err != nil {
			return err
		}
		defer s.Close()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(s, got); err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return errors.New("wrong bytes")
		}
		return nil
	},
	func(rx *zcrx.Receiver, conn net.Conn, _ []byte) error {
		id, err := rx.Add(conn)
		if err != nil {
			return err
		}
		return rx.Remove(id)
	},
	func(rx *zcrx.Receiver, conn net.Conn, _ []byte) error {
		s, err := rx.Stream(conn)
		if err != nil {
			return err
		}
		return s.Close() // while bytes come
	},
	func(rx *zcrx.Receiver, _ net.Conn, _ []byte) error {
		if s := rx.Stats(); s.Released > s.Buffers || rx.Info().AreaBytes == 0 {
			return errors.New("wrong stats")
		}
		return nil
	},
}

func TestManyGoroutinesUseOneReceiver(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		rx := open(t, zcrx.Options{Engine: engine})
		want := pattern(100000)
		ctx, cancel := context.WithCancel(bounded(t))
		defer cancel()
		received := make(chan error, 1)
		go func() { received <- rx.Receive(ctx, func(zcrx.Event) error { return nil }) }()
		var all sync.WaitGroup
		for i := range ifShort(32, 128) {
			sender, conn := pair(t)
			go sender.Write(want) // as much as the receiver takes
			all.Add(1)
			go func() {
				defer all.Done()
				if err := uses[i%len(uses)](rx, conn, want); err != nil {
					t.Errorf("use %d: %v", i%len(uses), err)
				}
			}()
		}
		all.Wait()
		eventually(t, "all streams have ended", func() bool { return rx.Stats().Streams == 0 })
		cancel()
		if err := <-received; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if out := rx.Stats().Outstanding; out != 0 {
			t.Errorf("%d buffers out", out)
		}
	})
}

func TestManyGoroutinesClose(t *testing.T) {
	rx := open(t, zcrx.Options{})
	var all sync.WaitGroup
	closed := make(chan error, 8)
	var streams []*zcrx.Stream
	for range cap(closed) {
		_, s := stream(t, rx)
		streams = append(streams, s)
	}
	for _, s := range streams {
		all.Add(2)
		go func() {
			defer all.Done()
			if _, err := s.Read(make([]byte, 1)); !errors.Is(err, zcrx.ErrClosed) {
				t.Errorf("read: %v", err)
			}
		}()
		go func() {
			defer all.Done()
			rx.Stats()
			closed <- rx.Close()
		}()
	}
	all.Wait()
	first := 0
	for range cap(closed) {
		if err := <-closed; err == nil {
			first++
		} else if !errors.Is(err, zcrx.ErrClosed) {
			t.Error(err)
		}
	}
	if first != 1 {
		t.Errorf("%d calls closed the receiver", first)
	}
}
