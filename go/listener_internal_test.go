// SPDX-License-Identifier: MIT

//go:build unix

package zcrx

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
)

// listen returns a listener on a receiver, and a client that has connected to it and sent a word.
func listen(t *testing.T) (*Receiver, *Listener) {
	t.Helper()
	rx, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rx.Close() })
	listener, err := Listen(context.Background(), "tcp", "127.0.0.1:0", rx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if _, err := client.Write([]byte("word")); err != nil {
		t.Fatal(err)
	}
	return rx, listener
}

// withOneDescriptor calls f when only one more can be opened: Accept gets it, and adding the connection fails.
func withOneDescriptor(t *testing.T, f func()) {
	t.Helper()
	withDescriptors(t, 1, f)
}

func withDescriptors(t *testing.T, count int, f func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	few := syscall.Rlimit{Cur: min(256, before.Max), Max: before.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	var taken []int
	defer func() {
		for _, fd := range taken {
			syscall.Close(fd)
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	}()
	for {
		fd, err := syscall.Dup(0)
		if err != nil {
			break
		}
		taken = append(taken, fd)
	}
	for _, fd := range taken[:count] {
		syscall.Close(fd)
	}
	taken = taken[count:]
	f()
}

func TestListenerFallsBackToCopies(t *testing.T) {
	_, listener := listen(t)
	var fellBack net.Conn
	var reason error
	listener.OnFallback = func(conn net.Conn, err error) { fellBack, reason = conn, err }
	var conn net.Conn
	var err error
	withOneDescriptor(t, func() { conn, err = listener.Accept() })
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if fellBack != conn || !errors.Is(reason, syscall.EMFILE) {
		t.Errorf("told of %v, %v", fellBack, reason)
	}
	word := make([]byte, 10)
	if n, err := conn.Read(word); err != nil || string(word[:n]) != "word" {
		t.Errorf("%q, %v", word[:n], err)
	}
}

func TestListenerTellsOfConnectionsThatNobodyCanRead(t *testing.T) {
	rx, listener := listen(t)
	rx.info.Engine, rx.ownRules = EngineZCRX, false // as if a rule for the port led the connection to the queue
	var err error
	withOneDescriptor(t, func() { _, err = listener.Accept() })
	var temporary interface{ Temporary() bool }
	if !errors.As(err, &temporary) || !temporary.Temporary() || !errors.Is(err, syscall.EMFILE) {
		t.Errorf("Accept gives %v", err)
	}
}

func TestAnExistingRuleIsNotAnAddedConnection(t *testing.T) {
	rule := &OpError{Op: opAdd, Stage: "nic", Errno: syscall.EEXIST}
	if errors.Is(rule, ErrAdded) {
		t.Error("a flow rule that exists is taken for ErrAdded")
	}
}

func TestListenerEndsWhereNoConnectionCanBeRead(t *testing.T) {
	rx, listener := listen(t)
	rx.info.Area = AreaDMABuf // as if there were no bytes to see
	if _, err := listener.Accept(); !errors.Is(err, ErrUnsupported) {
		t.Errorf("Accept gives %v", err)
	}
}
