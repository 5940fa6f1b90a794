// SPDX-License-Identifier: MIT

package zcrx_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	zcrx "github.com/zcrx/zcrx/go"
)

// serve runs an HTTP server on a receiver; it answers with the hash of what was sent.
func serve(t *testing.T, rx *zcrx.Receiver) (url string) {
	t.Helper()
	listener, err := zcrx.Listen(t.Context(), "tcp", net.JoinHostPort(host, "0"), rx)
	if err != nil {
		t.Fatal(err)
	}
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

// transport connects as pair does.
func transport(idle int) *http.Transport {
	return &http.Transport{
		MaxIdleConnsPerHost: idle,
		DialContext: func(_ context.Context, network, address string) (net.Conn, error) {
			return dial(network, address)
		},
	}
}

func post(client *http.Client, url string, body []byte) error {
	response, err := client.Post(url, "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if want := sha256.Sum256(body); string(got) != hex.EncodeToString(want[:]) {
		return fmt.Errorf("status %d: %s", response.StatusCode, got)
	}
	return nil
}

func TestHTTPServer(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		rx := open(t, zcrx.Options{Engine: engine})
		url := serve(t, rx)
		client := &http.Client{Transport: transport(0)}
		defer client.CloseIdleConnections()
		for _, size := range []int{0, 1, 4096, 100000, 8 << 20} {
			for range 3 { // on a connection that is kept alive
				if err := post(client, url, pattern(size)); err != nil {
					t.Fatal(size, err)
				}
			}
		}
	})
}

func TestHTTPServerWithThousandConnections(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		rx := open(t, zcrx.Options{Engine: engine})
		url := serve(t, rx)
		body := pattern(1 << 20)
		client := &http.Client{Transport: transport(1000), Timeout: time.Minute}
		connections := ifShort(100, 1000)
		var all sync.WaitGroup
		for i := range connections {
			all.Add(1)
			go func() {
				defer all.Done()
				if err := post(client, url, body[i*7:i*7+20000+i]); err != nil {
					t.Error(err)
				}
			}()
		}
		all.Wait()
		client.CloseIdleConnections()
		eventually(t, "all connections are let go of", func() bool { return rx.Stats().Streams == 0 })
		if s := rx.Stats(); s.Outstanding != 0 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestConnWritesAsBefore(t *testing.T) {
	rx := open(t, zcrx.Options{})
	peer, raw := pair(t)
	conn, err := zcrx.NewConn(raw, rx)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { _, err := io.Copy(conn, conn); conn.CloseWrite(); done <- err }() // an echo
	want := pattern(1 << 20)
	send(peer, want)
	got, err := io.ReadAll(peer)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes came back, %v", len(got), err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := conn.SetDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Error(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || !err.(net.Error).Timeout() {
		t.Errorf("read after the deadline: %v", err)
	}
	if _, err := conn.Write(make([]byte, 1)); err == nil || !err.(net.Error).Timeout() {
		t.Errorf("write after the deadline: %v", err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}
