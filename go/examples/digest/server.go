// SPDX-License-Identifier: MIT

package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"sync"
	"time"

	zcrx "github.com/zcrx/zcrx/go"
)

// server has a goroutine for each upload; the receivers' threads only receive.
type server struct {
	listener *zcrx.Listener
	ended    chan struct{} // nothing more is accepted
	uploads  sync.WaitGroup

	mutex sync.Mutex
	conns map[net.Conn]struct{}
}

func newServer(listener *zcrx.Listener) *server {
	listener.OnFallback = func(conn net.Conn, reason error) {
		log.Printf("%v is read by copies: %v", conn.RemoteAddr(), reason)
	}
	return &server{listener: listener, ended: make(chan struct{}), conns: make(map[net.Conn]struct{})}
}

// retry is how long accepting waits after an error that may pass, as of a shortage of descriptors.
const retry = 50 * time.Millisecond

func (s *server) serve() error {
	defer close(s.ended)
	for {
		conn, err := s.listener.Accept()
		var passing interface{ Temporary() bool } // as net/http asks whether to go on
		if errors.As(err, &passing) && passing.Temporary() {
			log.Print(err)
			time.Sleep(retry)
			continue
		}
		if err != nil {
			return err
		}
		s.enter(conn)
		go s.upload(conn)
	}
}

// enter notes a connection, so that shutDown knows it.
func (s *server) enter(conn net.Conn) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.conns[conn] = struct{}{}
	s.uploads.Add(1)
}

func (s *server) leave(conn net.Conn) {
	conn.Close()
	s.mutex.Lock()
	delete(s.conns, conn)
	s.mutex.Unlock()
	s.uploads.Done()
}

func (s *server) upload(conn net.Conn) {
	defer s.leave(conn)
	hash := sha256.New()
	_, err := io.Copy(hash, conn) // from the views, without a copy
	if err == nil {
		_, err = fmt.Fprintf(conn, "%x\n", hash.Sum(nil))
	}
	if err != nil {
		log.Printf("%v: %v", conn.RemoteAddr(), err)
	}
}

// shutDown accepts no more, and returns when no upload is under way. Those that are when the grace is over are cut off.
func (s *server) shutDown(grace time.Duration) error {
	s.listener.Close()
	<-s.ended // what was accepted is known now
	done := make(chan struct{})
	go func() { s.uploads.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-time.After(grace):
	}
	s.mutex.Lock()
	cut := len(s.conns)
	for conn := range s.conns {
		conn.Close()
	}
	s.mutex.Unlock()
	<-done
	if cut == 0 { // the last one ended just then
		return nil
	}
	return fmt.Errorf("%d uploads were cut off", cut)
}
