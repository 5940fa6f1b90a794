// SPDX-License-Identifier: MIT

package zcrx_test

import (
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"

	zcrx "github.com/zcrx/zcrx/go"
)

// expectClosed checks that each use of a closed group is a clear error.
func expectClosed(t *testing.T, group *zcrx.Group, conn net.Conn) {
	t.Helper()
	rx := group.Receiver(group.Count() - 1)
	_, streamed := group.Stream(conn)
	_, added := rx.Add(conn)
	for name, err := range map[string]error{
		"Add": group.Add(conn), "AddFD": group.AddFD(0), "Stream": streamed, "AcceptFrom": group.AcceptFrom(listenPlain(t)),
		"Close": group.Close(), "Receiver.Add": added, "Receiver.Close": rx.Close(),
		"Receive": rx.Receive(t.Context(), func(zcrx.Event) error { return nil }),
	} {
		if !errors.Is(err, zcrx.ErrClosed) {
			t.Errorf("%s of a closed group: %v", name, err)
		}
	}
}

func TestGroupCloseInAnyOrder(t *testing.T) {
	orders := map[string]func(t *testing.T, group *zcrx.Group){
		"group": func(*testing.T, *zcrx.Group) {},
		"receivers": func(t *testing.T, group *zcrx.Group) {
			for _, rx := range group.Receivers() {
				if err := rx.Close(); err != nil {
					t.Error(err)
				}
			}
		},
		"half": func(t *testing.T, group *zcrx.Group) {
			if err := group.Receiver(1).Close(); err != nil {
				t.Error(err)
			}
		},
		"at once": func(t *testing.T, group *zcrx.Group) {
			for _, rx := range group.Receivers() {
				go rx.Close() // one of the two is ErrClosed
			}
		},
	}
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		for name, order := range orders {
			t.Run(name, func(t *testing.T) {
				group := openGroup(t, zcrx.GroupOptions{Options: zcrx.Options{Engine: engine}, Count: 3})
				sender, conn := pair(t)
				s, err := group.Stream(conn)
				if err != nil {
					t.Fatal(err)
				}
				sender.Write([]byte("kept"))
				kept, err := s.Next()
				if err != nil {
					t.Fatal(err)
				}
				order(t, group)
				if err := group.Close(); err != nil {
					t.Error(err)
				}
				if _, err := s.Read(make([]byte, 1)); !errors.Is(err, zcrx.ErrClosed) {
					t.Errorf("read: %v", err)
				}
				if string(kept.Bytes()) != "kept" {
					t.Errorf("%q", kept.Bytes())
				}
				if err := kept.Release(); err != nil {
					t.Error(err)
				}
				if stats := group.Stats(); stats.Added != 1 || stats.ReceiverCount != 0 || stats.Sum.Bytes != 4 {
					t.Errorf("%+v", stats)
				}
				expectClosed(t, group, conn)
			})
		}
	})
}

// Close by a function that Receive calls, on one receiver and on all at once.
func TestGroupCloseInsideReceive(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		group := openGroup(t, zcrx.GroupOptions{Options: zcrx.Options{Engine: engine}, Count: 2})
		for range 4 {
			sender, conn := pair(t)
			if err := group.Add(conn); err != nil {
				t.Fatal(err)
			}
			sender.Write([]byte("x"))
		}
		stop := receiveOnAll(t, group, func(int, zcrx.Event) {
			if err := group.Close(); err != nil && !errors.Is(err, zcrx.ErrClosed) {
				t.Error(err)
			}
			if err := group.AddFD(0); !errors.Is(err, zcrx.ErrClosed) {
				t.Errorf("AddFD after Close: %v", err)
			}
		})
		eventually(t, "the group is closed", func() bool { return group.Stats().ReceiverCount == 0 })
		stop()
		_, conn := pair(t)
		expectClosed(t, group, conn)
	})
}

func TestGroupManyGoroutinesClose(t *testing.T) {
	group := openGroup(t, zcrx.GroupOptions{Count: 2})
	closed := make(chan error, 8)
	var streams []*zcrx.Stream
	for range cap(closed) {
		_, conn := pair(t)
		s, err := group.Stream(conn)
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, s)
	}
	var all sync.WaitGroup
	for i, s := range streams {
		_, another := pair(t)
		all.Add(3)
		go func() {
			defer all.Done()
			if _, err := s.Read(make([]byte, 1)); !errors.Is(err, zcrx.ErrClosed) {
				t.Errorf("read: %v", err)
			}
		}()
		go func() {
			defer all.Done()
			if late, err := group.Stream(another); err == nil {
				late.Close()
			} else if !errors.Is(err, zcrx.ErrClosed) {
				t.Errorf("stream: %v", err)
			}
		}()
		go func() {
			defer all.Done()
			group.Stats()
			group.Receiver(i % 2).Stats()
			closed <- group.Close()
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
		t.Errorf("%d of them closed it", first)
	}
}

// A Stream that waits to be added does not wait for a group that is closed.
func TestGroupCloseEndsTheWaitToBeAdded(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		group := openGroup(t, zcrx.GroupOptions{Options: zcrx.Options{Engine: engine}, Count: 1})
		_, first := pair(t)
		if err := group.Add(first); err != nil {
			t.Fatal(err)
		}
		inside, leave := make(chan struct{}), make(chan struct{})
		stop := receiveOnAll(t, group, func(int, zcrx.Event) {
			inside <- struct{}{}
			<-leave
		})
		<-inside
		_, conn := pair(t)
		result := make(chan error, 1)
		go func() {
			_, err := group.Stream(conn)
			result <- err
		}()
		eventually(t, "it waits", func() bool { return group.Stats().Waiting == 1 })
		closed := make(chan error, 1)
		go func() { closed <- group.Receiver(0).Close() }()
		select {
		case err := <-result:
			t.Errorf("not added, but returned: %v", err)
		default:
		}
		close(leave)
		// Whichever comes first on the receiver's thread: it is closed, or it adds the connection.
		if err := <-result; err != nil && !errors.Is(err, zcrx.ErrClosed) {
			t.Error(err)
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
		stop()
	})
}

// Accepted connections that nobody was told of are closed with the group.
func TestGroupCloseEndsWhatNobodyGot(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		group := openGroup(t, zcrx.GroupOptions{Options: zcrx.Options{Engine: engine}, Count: 2})
		group.Listen(listenPlain(t)) // so the receivers receive
		listener := listenPlain(t)
		if err := group.AcceptFrom(listener); err != nil {
			t.Fatal(err)
		}
		var conns []*net.TCPConn
		for range 5 {
			conns = append(conns, dialTo(t, listener))
		}
		eventually(t, "they are added", func() bool { return group.Stats().Added == 5 })
		if err := group.Close(); err != nil {
			t.Fatal(err)
		}
		for _, conn := range conns {
			if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("read: %v", err)
			}
		}
	})
}

func useGroup(t *testing.T, engine zcrx.Engine, round int) {
	group := openGroup(t, zcrx.GroupOptions{Options: zcrx.Options{Engine: engine, AreaBytes: 1 << 20}, Count: 3})
	listener := listenPlain(t)
	if err := group.AcceptFrom(listener); err != nil {
		t.Fatal(err)
	}
	accepted := dialTo(t, listener) // told to nobody, or accepted by nobody
	sender, receiver := pair(t)
	s, err := group.Stream(receiver)
	if err != nil {
		t.Fatal(err)
	}
	sender.Write([]byte("x"))
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if round%2 == 0 {
		group.Receiver(round / 2 % 3).Close()
	}
	if err := group.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []io.Closer{listener, accepted, sender, receiver} {
		c.Close()
	}
}

func TestGroupLeavesNothingBehind(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		useGroup(t, engine, 0) // what the runtime makes once
		descriptors, threads := count(t, "/proc/self/fd"), count(t, "/proc/self/task")
		goroutines, rings := runtime.NumGoroutine(), mappings(t)
		rounds := ifShort(12, 36)
		if engine == zcrx.EngineZCRX {
			rounds = 3 // each sets the NIC up and puts it back
		}
		for round := range rounds {
			useGroup(t, engine, round)
		}
		eventually(t, "no more descriptors, goroutines, rings than before", func() bool {
			return count(t, "/proc/self/fd") <= descriptors && runtime.NumGoroutine() <= goroutines && mappings(t) <= rings
		})
		eventually(t, "threads end with their receivers", func() bool {
			return count(t, "/proc/self/task") < threads+20
		})
	})
}
