// SPDX-License-Identifier: MIT

package zcrx_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	zcrx "github.com/zcrx/zcrx/go"
)

// What an http.Server does to a connection besides reading requests.

// serveHandler runs an HTTP server on a receiver; ended has what Serve returned.
func serveHandler(t *testing.T, server *http.Server) (address string, rx *zcrx.Receiver, ended <-chan error) {
	t.Helper()
	return serveOn(t, zcrx.Options{}, server)
}

func serveOn(t *testing.T, options zcrx.Options, server *http.Server) (address string, rx *zcrx.Receiver, ended <-chan error) {
	t.Helper()
	rx = open(t, options)
	listener, err := zcrx.Listen(t.Context(), "tcp", net.JoinHostPort(host, "0"), rx)
	if err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() { result <- server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })
	return listener.Addr().String(), rx, result
}

// client is a connection that fails rather than wait for ever.
func client(t *testing.T, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn, bufio.NewReader(conn)
}

func TestHTTPServerHijack(t *testing.T) {
	address, _, _ := serveHandler(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		line, err := buffered.ReadString('\n')
		if err != nil {
			t.Error(err)
		}
		fmt.Fprint(conn, strings.ToUpper(line))
	})})
	conn, answer := client(t, address)
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	time.Sleep(20 * time.Millisecond) // the server reads ahead in the background meanwhile: Hijack has to end that
	fmt.Fprint(conn, "after\n")
	if line, err := answer.ReadString('\n'); line != "AFTER\n" {
		t.Errorf("%q, %v", line, err)
	}
	if _, err := answer.ReadByte(); err != io.EOF {
		t.Errorf("after the hijacked connection's Close: %v", err)
	}
}

func TestHTTPServerExpectContinue(t *testing.T) {
	address, _, _ := serveHandler(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
	})})
	conn, answer := client(t, address)
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	if line, err := answer.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	answer.ReadString('\n')
	fmt.Fprint(conn, "body")
	response, err := http.ReadResponse(answer, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); string(body) != "body" {
		t.Errorf("%q, %v", body, err)
	}
}

func TestHTTPServerTimesOutWhoNeverSends(t *testing.T) {
	address, rx, _ := serveHandler(t, &http.Server{ReadHeaderTimeout: 50 * time.Millisecond})
	_, answer := client(t, address)
	if _, err := answer.ReadByte(); err != io.EOF {
		t.Errorf("a connection that never sends: %v", err)
	}
	eventually(t, "it is let go of", func() bool { return rx.Stats().Streams == 0 })
}

func TestHTTPServerShutdown(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(begun)
			<-finish
		}
		io.WriteString(w, "done")
	})}
	address, rx, ended := serveHandler(t, server)
	kept, idle := client(t, address)
	fmt.Fprint(kept, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	expectDone(t, idle)
	conn, answer := client(t, address)
	fmt.Fprint(conn, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- server.Shutdown(context.Background()) }()
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve: %v", err)
	}
	close(finish)
	expectDone(t, answer)
	if err := <-stopped; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if _, err := idle.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection: %v", err)
	}
	if s := rx.Stats(); s.Streams != 0 || s.Outstanding != 0 {
		t.Errorf("stats: %+v", s)
	}
}

func expectDone(t *testing.T, answer *bufio.Reader) {
	t.Helper()
	response, err := http.ReadResponse(answer, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); string(body) != "done" {
		t.Errorf("%q, %v", body, err)
	}
}

// unread is how many uploads wait in handlers that do not read them.
const unread = 200

func TestHTTPServerAnswersBesideUploadsThatNobodyReads(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		begun, finish := make(chan struct{}, unread), make(chan struct{})
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/upload" {
				begun <- struct{}{}
				<-finish
			}
			io.WriteString(w, "done")
		})}
		address, rx, _ := serveOn(t, zcrx.Options{Engine: engine}, server)
		defer close(finish)
		alone := answerTimes(t, address)
		for range unread {
			conn, _ := client(t, address)
			fmt.Fprintf(conn, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", int64(1)<<40)
			flood(conn)
			<-begun
		}
		var bytes uint64
		eventually(t, "nothing more comes of the uploads", func() bool {
			before := bytes
			time.Sleep(100 * time.Millisecond)
			bytes = rx.Stats().Bytes
			return bytes == before
		})
		beside := answerTimes(t, address)
		t.Logf("%d bytes of uploads held; answered after %v, alone %v", rx.Stats().HeldBytes, beside, alone)
		if beside > 2*alone+100*time.Millisecond { // alone is much only where a NIC is modelled
			t.Errorf("answered after %v, alone %v", beside, alone)
		}
	})
}

// answerTimes is the median of how long small requests take, each on a connection of its own.
func answerTimes(t *testing.T, address string) time.Duration {
	t.Helper()
	var took []time.Duration
	for range 9 {
		start := time.Now()
		conn, answer := client(t, address)
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		expectDone(t, answer)
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took[len(took)/2]
}
