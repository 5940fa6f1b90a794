// SPDX-License-Identifier: MIT

package zcrx_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"

	zcrx "github.com/zcrx/zcrx/go"
)

// connected stands for a connection that a program accepted; its peer sends the text and closes.
func connected(text string) net.Conn {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	go func() {
		peer, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			log.Fatal(err)
		}
		io.WriteString(peer, text)
		peer.Close()
	}()
	conn, err := listener.Accept()
	if err != nil {
		log.Fatal(err)
	}
	return conn
}

// The events of all connections that were added, one batch for each crossing into C.
func ExampleReceiver_Receive() {
	rx, err := zcrx.Open(zcrx.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer rx.Close()
	conn := connected("views, not copies")
	defer conn.Close()
	if _, err := rx.Add(conn); err != nil {
		log.Fatal(err)
	}

	hash := sha256.New()
	err = rx.Receive(context.Background(), func(e zcrx.Event) error {
		switch e.Kind {
		case zcrx.Data:
			hash.Write(e.Bytes()) // the view itself
			return nil
		case zcrx.Error:
			return e.Err
		}
		return zcrx.ErrStop // its end
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%x\n", hash.Sum(nil)[:4])
	// Output: c162679d
}

func ExampleReceiver_Events() {
	rx, err := zcrx.Open(zcrx.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer rx.Close()
	conn := connected("hello")
	defer conn.Close()
	if _, err := rx.Add(conn, zcrx.Tag(7)); err != nil {
		log.Fatal(err)
	}
	total := 0
	for e, err := range rx.Events(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		total += len(e.Bytes())
		if e.Kind == zcrx.End {
			fmt.Println("stream", e.Tag, "ended by", e.End, "after", total, "bytes")
			break
		}
	}
	// Output: stream 7 ended by peer after 5 bytes
}

// Buffers that are taken go to other goroutines, and outlive the receiver.
func ExampleBuffer_Take() {
	rx, err := zcrx.Open(zcrx.Options{})
	if err != nil {
		log.Fatal(err)
	}
	conn := connected("kept")
	defer conn.Close()
	if _, err := rx.Add(conn); err != nil {
		log.Fatal(err)
	}
	var kept []zcrx.Buffer
	err = rx.Receive(context.Background(), func(e zcrx.Event) error {
		if e.Kind != zcrx.Data {
			return zcrx.ErrStop
		}
		kept = append(kept, e.Buffer.Take())
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	rx.Close()
	for _, b := range kept {
		fmt.Printf("%s", b.Bytes())
	}
	fmt.Println()
	if err := zcrx.ReleaseAll(kept...); err != nil {
		log.Fatal(err)
	}
	// Output: kept
}

// A stream is an io.Reader, and an io.WriterTo: io.Copy passes the views on without copying them.
func ExampleStream() {
	rx, err := zcrx.Open(zcrx.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer rx.Close()
	conn := connected("through io.Copy")
	defer conn.Close()
	stream, err := rx.Stream(conn)
	if err != nil {
		log.Fatal(err)
	}
	defer stream.Close()
	var out bytes.Buffer
	if _, err := io.Copy(&out, stream); err != nil {
		log.Fatal(err)
	}
	fmt.Println(out.String())
	// Output: through io.Copy
}

// An HTTP server that reads its requests through zcrx.
func ExampleListener() {
	rx, err := zcrx.Open(zcrx.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer rx.Close()
	listener, err := zcrx.Listen(context.Background(), "tcp", "127.0.0.1:0", rx)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%d bytes", n)
	})}
	go server.Serve(listener)
	defer server.Close()

	response, err := http.Post("http://"+listener.Addr().String(), "text/plain", strings.NewReader("twelve bytes"))
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	answer, _ := io.ReadAll(response.Body)
	fmt.Println(string(answer))
	// Output: 12 bytes
}

// A server on two receivers: each connection has a goroutine, and is read through one of them.
func ExampleGroup() {
	group, err := zcrx.OpenGroup(zcrx.GroupOptions{Count: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer group.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := group.Listen(listener)
	defer server.Close()
	go func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return // it is closed
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn) // an echo
			}()
		}
	}()

	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "through a group")
	conn.(*net.TCPConn).CloseWrite()
	answer, _ := io.ReadAll(conn)
	fmt.Printf("%s, connections: %d\n", answer, group.Stats().Added)
	// Output: through a group, connections: 1
}

func ExampleProbe() {
	can, err := zcrx.Probe()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("receives by recv:", slices.Contains(can.Engines, zcrx.EngineRecv))
	for _, check := range can.Checks {
		if check.State == zcrx.CheckMissing {
			log.Print(check.Name, ": ", check.Detail, "; ", check.Hint)
		}
	}
	// Output: receives by recv: true
}
