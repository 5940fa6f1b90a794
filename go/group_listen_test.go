// SPDX-License-Identifier: MIT

package zcrx_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	zcrx "github.com/zcrx/zcrx/go"
)

// serveGroup runs an HTTP server on a group; it answers with the hash of what was sent.
func serveGroup(t *testing.T, group *zcrx.Group) (url string) {
	t.Helper()
	listener := group.Listen(listenPlain(t))
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hash := sha256.New()
		if _, err := io.Copy(hash, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		io.WriteString(w, hex.EncodeToString(hash.Sum(nil)))
	})}
	ended := make(chan error)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-ended; err != http.ErrServerClosed {
			t.Error(err)
		}
	})
	return "http://" + listener.Addr().String()
}

func TestGroupHTTPServer(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		group := openGroup(t, zcrx.GroupOptions{Options: zcrx.Options{Engine: engine}, Count: 3})
		url := serveGroup(t, group)
		body := pattern(1 << 20)
		connections := ifShort(40, 300)
		client := &http.Client{Transport: transport(connections), Timeout: time.Minute}
		var all sync.WaitGroup
		for i := range connections {
			all.Add(1)
			go func() {
				defer all.Done()
				if err := post(client, url, body[i*7:i*7+50000+i]); err != nil {
					t.Error(err)
				}
			}()
		}
		all.Wait()
		client.CloseIdleConnections()
		eventually(t, "all connections are let go of", func() bool { return group.Stats().Sum.Streams == 0 })
		s := group.Stats()
		if s.Sum.Outstanding != 0 || s.Refused != 0 || s.Added != s.HandedOver || s.Accepted != 0 {
			t.Errorf("%+v", s)
		}
		for i, each := range s.Receivers {
			if engine != zcrx.EngineZCRX && s.Added >= 30 && each.Bytes == 0 {
				t.Errorf("receiver %d has got none of %d connections", i, s.Added)
			}
		}
	})
}

// The listener of a group is one as others are: it accepts what it is asked for, and ends by Close.
func TestGroupListenerAcceptsOneAtATime(t *testing.T) {
	group := openGroup(t, zcrx.GroupOptions{Count: 2})
	listener := group.Listen(listenPlain(t))
	listener.OnFallback = func(_ net.Conn, err error) { t.Error(err) }
	for range 3 {
		dialTo(t, listener)
	}
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, viewed := conn.(*zcrx.Conn); !viewed {
		t.Errorf("%T", conn)
	}
	if s := group.Stats(); s.Added != 1 {
		t.Errorf("%d are added, one was accepted", s.Added)
	}
	ended := make(chan error)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				ended <- err
				return
			}
			conn.Close()
		}
	}()
	eventually(t, "the others are accepted", func() bool { return group.Stats().Added == 3 })
	listener.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestGroupListenerOfAClosedGroup(t *testing.T) {
	group := openGroup(t, zcrx.GroupOptions{Count: 2})
	listener := group.Listen(listenPlain(t))
	peer := dialTo(t, listener)
	if err := group.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := listener.Accept(); !errors.Is(err, zcrx.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	if _, err := peer.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the peer's read: %v", err)
	}
}

func TestGroupStream(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		group := openGroup(t, zcrx.GroupOptions{Options: zcrx.Options{Engine: engine}, Count: 2})
		want := pattern(ifShort(100000, 2<<20))
		var all sync.WaitGroup
		for range 10 {
			sender, conn := pair(t)
			all.Add(1)
			go func() {
				defer all.Done()
				s, err := group.Stream(conn)
				if err != nil {
					t.Error(err)
					return
				}
				defer s.Close()
				send(sender, want)
				got, err := io.ReadAll(s)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				if how, ended := s.End(); !ended || how != zcrx.EndPeer {
					t.Errorf("ended %v by %v", ended, how)
				}
			}()
		}
		all.Wait()
		if s := group.Stats(); s.Added != 10 || s.Sum.Streams != 0 || s.Sum.Outstanding != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Streams, events of added connections and a receiver's own go beside each other, each under its own name.
func TestGroupStreamsBesideEvents(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		group := openGroup(t, zcrx.GroupOptions{Options: zcrx.Options{Engine: engine}, Count: 1})
		sender, conn := pair(t)
		s, err := group.Stream(conn, zcrx.Tag(1))
		if err != nil {
			t.Fatal(err)
		}
		own, ownConn := pair(t)
		id, err := group.Receiver(0).Add(ownConn, zcrx.Tag(2))
		if err != nil {
			t.Fatal(err)
		}
		handed, handedConn := pair(t)
		if err := group.Add(handedConn, zcrx.Tag(3)); err != nil {
			t.Fatal(err)
		}
		sender.Write([]byte("one"))
		own.Write([]byte("two"))
		handed.Write([]byte("three"))
		got := map[uint64]string{}
		added := zcrx.StreamID(0)
		for len(got) < 2 {
			err := group.Receiver(0).Receive(bounded(t), func(e zcrx.Event) error {
				if e.Kind == zcrx.Added {
					added = e.Stream
				} else {
					got[e.Tag] += string(e.Bytes())
					if e.Stream != map[uint64]zcrx.StreamID{2: id, 3: added}[e.Tag] {
						t.Errorf("%+v", e)
					}
				}
				return zcrx.ErrStop
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if got[2] != "two" || got[3] != "three" {
			t.Errorf("%v", got)
		}
		word := make([]byte, 3)
		if _, err := io.ReadFull(s, word); err != nil || string(word) != "one" {
			t.Errorf("%q, %v", word, err)
		}
		if err := group.Receiver(0).Remove(added); err != nil {
			t.Error(err)
		}
		if e := next(t, group.Receiver(0)); e.Kind != zcrx.End || e.End != zcrx.EndRemoved || e.Tag != 3 {
			t.Errorf("%+v", e)
		}
	})
}

// It would wait for itself.
func TestGroupStreamInsideReceive(t *testing.T) {
	group := openGroup(t, zcrx.GroupOptions{Count: 2})
	sender, conn := pair(t)
	if _, err := group.Receiver(0).Add(conn); err != nil {
		t.Fatal(err)
	}
	sender.Write([]byte("x"))
	err := group.Receiver(0).Receive(bounded(t), func(e zcrx.Event) error {
		_, another := pair(t)
		if _, err := group.Stream(another); !errors.Is(err, zcrx.ErrBusy) {
			t.Errorf("inside Receive: %v", err)
		}
		return zcrx.ErrStop
	})
	if err != nil {
		t.Fatal(err)
	}
}
