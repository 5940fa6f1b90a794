// SPDX-License-Identifier: MIT

// Command upload is an HTTP server that stores what is PUT to it, and answers with its SHA-256. Requests are read through zcrx.
//
//	curl -T FILE http://HOST:PORT/NAME
//
// A file has its name only when it is complete. SIGHUP, SIGINT and SIGTERM let the uploads under way end first.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	zcrx "github.com/zcrx/zcrx/go"
)

type settings struct {
	address   string
	directory string
	grace     time.Duration
	options   zcrx.Options
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("upload: ")
	var s settings
	flag.StringVar(&s.address, "listen", "127.0.0.1:8080", "`HOST:PORT`")
	flag.StringVar(&s.directory, "directory", ".", "where files go")
	flag.DurationVar(&s.grace, "grace", 30*time.Second, "how long a signal lets uploads go on")
	flag.TextVar(&s.options.Engine, "engine", zcrx.EngineAuto, "auto, zcrx, zcrx-nodev, multishot or recv")
	flag.StringVar(&s.options.Interface, "interface", "", "netdev for engine zcrx")
	flag.Parse()
	if err := serve(&s); err != nil {
		log.Fatal(err)
	}
}

func serve(s *settings) error {
	signals := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), signals...)
	defer cancel()
	rx, err := zcrx.Open(s.options)
	if err != nil {
		return err
	}
	defer rx.Close()
	listener, err := zcrx.Listen(ctx, "tcp", s.address, rx)
	if err != nil {
		return err
	}
	listener.OnFallback = func(conn net.Conn, reason error) {
		log.Printf("%v is read by copies: %v", conn.RemoteAddr(), reason)
	}
	log.Printf("listening on %v, engine %v", listener.Addr(), rx.Info().Engine)
	var uploads sync.WaitGroup
	defer uploads.Wait() // before the receiver is closed: also of those that the end of the grace cuts off
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /{name}", func(w http.ResponseWriter, r *http.Request) {
		uploads.Add(1)
		defer uploads.Done()
		store(w, r, s.directory)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		server.Close()
		return err
	case <-ctx.Done():
	}
	cancel() // a second signal ends the process at once
	return shutDown(server, s.grace)
}

// shutDown returns when no request is under way, or the grace is over and the connections are closed.
func shutDown(server *http.Server, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("uploads were cut off: %w", err), server.Close())
	}
	return nil
}

func store(w http.ResponseWriter, r *http.Request, directory string) {
	name := r.PathValue("name")
	if name != filepath.Base(name) || !filepath.IsLocal(name) {
		http.Error(w, "not a file's name", http.StatusForbidden)
		return
	}
	sum, err := receive(r.Body, filepath.Join(directory, name))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, "%x\n", sum)
}

// receive makes the file when all of it is there; on failure nothing is left of it.
func receive(body io.Reader, path string) (sum []byte, err error) {
	file, err := os.CreateTemp(filepath.Dir(path), ".upload-*")
	if err != nil {
		return nil, err
	}
	hash := sha256.New()
	_, err = io.Copy(io.MultiWriter(file, hash), body)
	if err = errors.Join(err, file.Chmod(0o644), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		os.Remove(file.Name())
		return nil, err
	}
	return hash.Sum(nil), nil
}
