// SPDX-License-Identifier: MIT

// Command upload is an HTTP server that stores what is PUT to it, and answers with its SHA-256. Requests are read through zcrx.
//
//	curl -T FILE http://HOST:PORT/NAME
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	zcrx "github.com/zcrx/zcrx/go"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("upload: ")
	var options zcrx.Options
	address := flag.String("listen", "127.0.0.1:8080", "`HOST:PORT`")
	directory := flag.String("directory", ".", "where files go")
	flag.TextVar(&options.Engine, "engine", zcrx.EngineAuto, "auto, zcrx, zcrx-nodev, multishot or recv")
	flag.StringVar(&options.Interface, "interface", "", "netdev for engine zcrx")
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := serve(ctx, *address, *directory, options); err != nil {
		log.Fatal(err)
	}
}

func serve(ctx context.Context, address, directory string, options zcrx.Options) error {
	root, err := os.OpenRoot(directory)
	if err != nil {
		return err
	}
	defer root.Close()
	rx, err := zcrx.Open(options)
	if err != nil {
		return err
	}
	defer rx.Close()
	listener, err := zcrx.Listen(ctx, "tcp", address, rx)
	if err != nil {
		return err
	}
	log.Printf("listening on %v, engine %v", listener.Addr(), rx.Info().Engine)
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /{name}", func(w http.ResponseWriter, r *http.Request) { store(w, r, root) })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { server.Shutdown(context.Background()) })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func store(w http.ResponseWriter, r *http.Request, root *os.Root) {
	file, err := root.Create(r.PathValue("name"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	hash := sha256.New()
	_, err = io.Copy(io.MultiWriter(file, hash), r.Body)
	if err = errors.Join(err, file.Close()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, "%x\n", hash.Sum(nil))
}
