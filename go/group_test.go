// SPDX-License-Identifier: MIT

package zcrx_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"

	zcrx "github.com/zcrx/zcrx/go"
)

func openGroup(t testing.TB, options zcrx.GroupOptions) *zcrx.Group {
	t.Helper()
	if options.Engine == zcrx.EngineZCRX {
		options.Interface = nic
		if options.AreaBytes > 0 {
			options.AreaBytes += nicShare
		}
	}
	group, err := zcrx.OpenGroup(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { group.Close() })
	return group
}

// listenPlain listens without Multipath TCP.
func listenPlain(t testing.TB) net.Listener {
	t.Helper()
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	listener, err := config.Listen(context.Background(), "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

// dialTo connects to a listener that others accept from.
func dialTo(t testing.TB, listener net.Listener) *net.TCPConn {
	t.Helper()
	conn, err := dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

// receiveOnAll runs Receive on each receiver of a group. The function that it returns ends that.
func receiveOnAll(t *testing.T, group *zcrx.Group, f func(i int, e zcrx.Event)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(bounded(t))
	var all sync.WaitGroup
	for i, rx := range group.Receivers() {
		all.Add(1)
		go func() {
			defer all.Done()
			err := rx.Receive(ctx, func(e zcrx.Event) error { f(i, e); return nil })
			if !errors.Is(err, context.Canceled) && !errors.Is(err, zcrx.ErrClosed) {
				t.Errorf("receiver %d: %v", i, err)
			}
		}()
	}
	return func() { cancel(); all.Wait() }
}

// next is the next event of a receiver, without its buffer.
func next(t *testing.T, rx *zcrx.Receiver) (next zcrx.Event) {
	t.Helper()
	err := rx.Receive(bounded(t), func(e zcrx.Event) error {
		next = e
		return zcrx.ErrStop
	})
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// Connections are spread over the receivers; each is told of once, with its tag, before its data.
func TestGroupAdd(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		group := openGroup(t, zcrx.GroupOptions{Options: zcrx.Options{Engine: engine}, Count: 2})
		const connections = 8
		want := pattern(300000)
		var mutex sync.Mutex
		var conns [connections]net.Conn
		var got [connections][]byte
		added, at := map[uint64]zcrx.StreamID{}, map[uint64]int{}
		ended := make(chan uint64, connections)
		stop := receiveOnAll(t, group, func(i int, e zcrx.Event) {
			mutex.Lock()
			defer mutex.Unlock()
			switch e.Kind {
			case zcrx.Added:
				a := e.Arrival()
				if a == nil || a.Conn != conns[e.Tag] || a.Accepted || a.Listener || added[e.Tag] != 0 || e.Stream == 0 || e.End != 0 {
					t.Errorf("%+v, %+v", e, a)
				}
				added[e.Tag], at[e.Tag] = e.Stream, i
			case zcrx.Data:
				if added[e.Tag] != e.Stream || at[e.Tag] != i || e.Arrival() != nil {
					t.Errorf("at %d: %+v", i, e)
				}
				got[e.Tag] = append(got[e.Tag], e.Bytes()...)
			case zcrx.End:
				ended <- e.Tag
			default:
				t.Errorf("at %d: %+v", i, e)
			}
		})
		for i := range connections {
			sender, conn := pair(t)
			mutex.Lock()
			conns[i] = conn
			mutex.Unlock()
			if err := group.Add(conn, zcrx.Tag(uint64(i))); err != nil {
				t.Fatal(err)
			}
			send(sender, want)
		}
		for range connections {
			<-ended
		}
		stop()
		here := map[int]int{}
		for i := range got {
			if !bytes.Equal(got[i], want) {
				t.Errorf("connection %d: %d bytes, not those that were sent", i, len(got[i]))
			}
			here[at[uint64(i)]]++
		}
		if engine != zcrx.EngineZCRX && len(here) != 2 {
			t.Errorf("connections for each receiver: %v", here)
		}
		s := group.Stats()
		if s.Added != connections || s.HandedOver != connections || s.Refused != 0 || s.Waiting != 0 || s.ReceiverCount != 2 ||
			s.Sum.Bytes != uint64(connections*len(want)) || s.Sum.Outstanding != 0 || len(s.Receivers) != 2 ||
			s.Receivers[0].Bytes+s.Receivers[1].Bytes != s.Sum.Bytes {
			t.Errorf("%+v", s)
		}
	})
}

// The descriptor may be told in every way in which a receiver takes it.
func TestGroupAddFileAndFD(t *testing.T) {
	group := openGroup(t, zcrx.GroupOptions{Count: 1})
	_, conn := pair(t)
	file, err := conn.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := group.AddFile(file, zcrx.Tag(1)); err != nil {
		t.Fatal(err)
	}
	if e := next(t, group.Receiver(0)); e.Kind != zcrx.Added || e.Tag != 1 || e.Arrival().Conn != nil {
		t.Errorf("%+v", e)
	}
	_, conn = pair(t)
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = group.AddFD(int(fd), zcrx.Tag(2)) })
	if err != nil {
		t.Fatal(err)
	}
	if e := next(t, group.Receiver(0)); e.Kind != zcrx.Added || e.Tag != 2 {
		t.Errorf("%+v", e)
	}
}

func TestGroupTellsWhatCouldNotBeAdded(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		group := openGroup(t, zcrx.GroupOptions{Options: zcrx.Options{Engine: engine}, Count: 1})
		sender, conn := pair(t)
		for tag := range uint64(2) {
			if err := group.Add(conn, zcrx.Tag(tag)); err != nil {
				t.Fatal(err)
			}
		}
		if e := next(t, group.Receiver(0)); e.Kind != zcrx.Added || e.Tag != 0 {
			t.Errorf("%+v", e)
		}
		e := next(t, group.Receiver(0))
		var op *zcrx.OpError
		if e.Kind != zcrx.Error || e.Stream != 0 || e.Tag != 1 || e.Arrival() == nil || e.Arrival().Conn != net.Conn(conn) ||
			!errors.Is(e.Err, zcrx.ErrAdded) || !errors.Is(e.Err, syscall.EEXIST) || !errors.As(e.Err, &op) || op.Hint == "" {
			t.Errorf("%+v, %+v, %v", e, e.Arrival(), e.Err)
		}
		sender.Write([]byte("still"))
		if e := next(t, group.Receiver(0)); e.Kind != zcrx.Data || e.Tag != 0 {
			t.Errorf("%+v", e)
		}
		if s := group.Stats(); s.Refused != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// An event about adding has no bytes, and its Buffer is an empty one.
func TestGroupAddedHasNoBuffer(t *testing.T) {
	group := openGroup(t, zcrx.GroupOptions{Count: 1})
	_, conn := pair(t)
	if err := group.Add(conn); err != nil {
		t.Fatal(err)
	}
	for e, err := range group.Receiver(0).Events(bounded(t)) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind != zcrx.Added || e.Kind.String() != "added" || e.Bytes() != nil || e.Arrival().Conn != net.Conn(conn) {
			t.Errorf("%+v", e)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Error("Len of no buffer does not panic")
				}
			}()
			e.Buffer.Len()
		}()
		break
	}
}

func TestGroupInboxIsBounded(t *testing.T) {
	group := openGroup(t, zcrx.GroupOptions{Count: 1, InboxEntries: 2})
	for range 2 {
		_, conn := pair(t)
		if err := group.Add(conn); err != nil {
			t.Fatal(err)
		}
	}
	_, conn := pair(t)
	var op *zcrx.OpError
	if err := group.Add(conn); !errors.Is(err, syscall.ENOBUFS) || !errors.As(err, &op) || op.Hint == "" {
		t.Errorf("the third: %v", err)
	}
	if s := group.Stats(); s.InboxFull != 1 || s.Waiting != 2 {
		t.Errorf("%+v", s)
	}
	for range 2 {
		if e := next(t, group.Receiver(0)); e.Kind != zcrx.Added {
			t.Errorf("%+v", e)
		}
	}
	if err := group.Add(conn); err != nil {
		t.Errorf("after the others were added: %v", err)
	}
	if e := next(t, group.Receiver(0)); e.Kind != zcrx.Added || e.Arrival().Conn != net.Conn(conn) {
		t.Errorf("%+v", e)
	}
}

func TestGroupAddErrors(t *testing.T) {
	group := openGroup(t, zcrx.GroupOptions{Count: 2})
	udp, err := net.Dial("udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	one, two := net.Pipe()
	defer one.Close()
	defer two.Close()
	for name, conn := range map[string]net.Conn{"UDP": udp, "a pipe": one} {
		if err := group.Add(conn); !errors.Is(err, zcrx.ErrNotTCP) {
			t.Errorf("Add of %s: %v", name, err)
		}
		if _, err := group.Stream(conn); !errors.Is(err, zcrx.ErrNotTCP) {
			t.Errorf("Stream of %s: %v", name, err)
		}
	}
	if err := group.AddFD(-1); !errors.Is(err, syscall.EBADF) {
		t.Errorf("no descriptor: %v", err)
	}
	_, conn := pair(t)
	var op *zcrx.OpError
	if err := group.Add(conn, zcrx.Window(1)); !errors.Is(err, syscall.EINVAL) || !errors.As(err, &op) || op.Hint == "" {
		t.Errorf("a small window: %v", err)
	}
	conn.Close()
	if err := group.Add(conn); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed connection: %v", err)
	}
	if err := group.AcceptFrom(listenerOf{udp}); !errors.Is(err, zcrx.ErrNotTCP) {
		t.Errorf("AcceptFrom UDP: %v", err)
	}
	closed := listenPlain(t)
	closed.Close()
	if err := group.AcceptFrom(closed); !errors.Is(err, net.ErrClosed) {
		t.Errorf("AcceptFrom a closed listener: %v", err)
	}
	if s := group.Stats(); s.Added != 0 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
}

// listenerOf is a connection that pretends to listen.
type listenerOf struct{ net.Conn }

func (l listenerOf) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (l listenerOf) Addr() net.Addr            { return l.LocalAddr() }
func (l listenerOf) SyscallConn() (syscall.RawConn, error) {
	return l.Conn.(syscall.Conn).SyscallConn()
}

// The receivers accept, and what they accept can be written to and closed.
func TestGroupAcceptFrom(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		group := openGroup(t, zcrx.GroupOptions{Options: zcrx.Options{Engine: engine}, Count: 2})
		listener := listenPlain(t)
		if err := group.AcceptFrom(listener, zcrx.Tag(7)); err != nil {
			t.Fatal(err)
		}
		var conns [2]map[zcrx.StreamID]net.Conn
		for i := range conns {
			conns[i] = map[zcrx.StreamID]net.Conn{}
		}
		stop := receiveOnAll(t, group, func(i int, e zcrx.Event) {
			if e.Tag != 7 {
				t.Errorf("%+v", e)
			}
			switch e.Kind {
			case zcrx.Added:
				if a := e.Arrival(); !a.Accepted || a.Conn == nil {
					t.Errorf("%+v", a)
				} else {
					conns[i][e.Stream] = a.Conn
				}
			case zcrx.Data:
				conns[i][e.Stream].Write(bytes.ToUpper(e.Bytes())) // a few bytes: it does not wait
			case zcrx.End:
				conns[i][e.Stream].Close()
				delete(conns[i], e.Stream)
			default:
				t.Errorf("%+v", e)
			}
		})
		const connections = 20
		for range connections {
			conn := dialTo(t, listener)
			conn.Write([]byte("hello"))
			conn.CloseWrite()
			if got, err := io.ReadAll(conn); string(got) != "HELLO" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		}
		stop()
		s := group.Stats()
		if s.Accepted != connections || s.Added != connections || s.Sum.Streams != 0 || s.Sum.Bytes != connections*5 {
			t.Errorf("%+v", s)
		}
		if len(conns[0])+len(conns[1]) != 0 {
			t.Errorf("%v have not ended", conns)
		}
	})
}

func TestGroupTellsOfAListenerThatFails(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		group := openGroup(t, zcrx.GroupOptions{Options: zcrx.Options{Engine: engine}, Count: 1})
		listener := listenPlain(t)
		if err := group.AcceptFrom(listener, zcrx.Tag(7)); err != nil {
			t.Fatal(err)
		}
		raw, err := listener.(*net.TCPListener).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) { err = syscall.Shutdown(int(fd), syscall.SHUT_RDWR) })
		if err != nil {
			t.Fatal(err)
		}
		e := next(t, group.Receiver(0))
		var op *zcrx.OpError
		if e.Kind != zcrx.Error || e.Stream != 0 || e.Tag != 7 || e.Arrival() == nil || !e.Arrival().Listener ||
			!errors.As(e.Err, &op) || op.Op != "listen" || op.Hint == "" {
			t.Errorf("%+v, %+v, %v", e, e.Arrival(), e.Err)
		}
	})
}

// A receiver that leaves: what waits for it goes to the others.
func TestGroupReceiverLeaves(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		group := openGroup(t, zcrx.GroupOptions{Options: zcrx.Options{Engine: engine}, Count: 2})
		for range 4 {
			_, conn := pair(t)
			if err := group.Add(conn); err != nil {
				t.Fatal(err)
			}
		}
		if err := group.Receiver(0).Close(); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			if e := next(t, group.Receiver(1)); e.Kind != zcrx.Added {
				t.Errorf("%+v", e)
			}
		}
		if s := group.Stats(); s.ReceiverCount != 1 || s.Receivers[0] != (zcrx.Stats{}) || s.Added != 4 {
			t.Errorf("%+v", s)
		}
		if err := group.Receiver(1).Close(); err != nil {
			t.Fatal(err)
		}
		_, conn := pair(t)
		if err := group.Add(conn); !errors.Is(err, zcrx.ErrClosed) || !errors.Is(err, net.ErrClosed) || !errors.Is(err, syscall.ESHUTDOWN) {
			t.Errorf("Add to no receiver: %v", err)
		}
		if _, err := group.Stream(conn); !errors.Is(err, zcrx.ErrClosed) {
			t.Errorf("Stream of no receiver: %v", err)
		}
		if err := group.AcceptFrom(listenPlain(t)); !errors.Is(err, zcrx.ErrClosed) {
			t.Errorf("AcceptFrom for no receiver: %v", err)
		}
		if err := group.Close(); err != nil {
			t.Error(err)
		}
	})
}
