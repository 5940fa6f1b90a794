// SPDX-License-Identifier: MIT

//go:build linux && cgo

package zcrx

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A connection that the core has accepted, and of which Go cannot make a net.Conn, is told of and closed.
func TestGroupAcceptsWithoutADescriptorForGo(t *testing.T) {
	group, err := OpenGroup(GroupOptions{Count: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer group.Close()
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	listener, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	peer, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	if _, err := peer.Write([]byte("word")); err != nil {
		t.Fatal(err)
	}
	if err := group.AcceptFrom(listener, Tag(7)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var told Event
	withDescriptors(t, 2, func() { // the core's two: Go needs a third
		err = group.Receiver(0).Receive(ctx, func(e Event) error {
			told = e
			return ErrStop
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	var op *OpError
	if told.Kind != Error || told.Stream != 0 || told.Tag != 7 || told.Arrival() == nil || !told.Arrival().Accepted ||
		told.Arrival().Conn != nil || !errors.Is(told.Err, syscall.EMFILE) || !errors.As(told.Err, &op) || op.Hint == "" {
		t.Errorf("%+v, %+v", told, told.Arrival())
	}
	ended := make(chan error, 1)
	go func() { // nothing more is told of it, but the receiver has to receive its end
		ended <- group.Receiver(0).Receive(ctx, func(e Event) error { return errors.New("an event: " + e.Kind.String()) })
	}()
	peer.SetDeadline(time.Now().Add(time.Minute))
	if _, err := peer.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer's read: %v", err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if s := group.Stats(); s.Sum.Streams != 0 || s.Sum.Outstanding != 0 {
		t.Errorf("%+v", s.Sum)
	}
}

// Places in the table are used again, and members are found while it grows.
func TestMemberTable(t *testing.T) {
	const goroutines, each = 4, 3 * pageMembers
	var table memberTable
	var all sync.WaitGroup
	for range goroutines {
		all.Add(1)
		go func() {
			defer all.Done()
			var members []*member
			for range each {
				m := new(member)
				table.put(m)
				members = append(members, m)
			}
			for _, m := range members {
				if m.coreTag < groupTags || table.find(m.coreTag) != m {
					t.Errorf("%x is another's", m.coreTag)
				}
				table.drop(m)
			}
		}()
	}
	all.Wait()
	used := table.used
	for range used {
		table.put(new(member))
	}
	if table.used != used || used > goroutines*each {
		t.Errorf("%d places, then %d", used, table.used)
	}
}
