// SPDX-License-Identifier: MIT

// Command digest is a TCP server that takes uploads on several receivers, and answers each with its SHA-256 in hex and a newline.
//
//	digest -listen 127.0.0.1:5000 -metrics 127.0.0.1:9100 &
//	nc -N 127.0.0.1 5000 <FILE
//	curl http://127.0.0.1:9100/metrics
//
// An upload ends when the client shuts its side down. With -interface the receivers have queues of a NIC; without, they copy.
// SIGHUP, SIGINT and SIGTERM let the uploads under way end first.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	zcrx "github.com/zcrx/zcrx/go"
)

type settings struct {
	listen  string
	metrics string
	grace   time.Duration
	options zcrx.GroupOptions
}

func parse() (s settings) {
	pin := false
	flag.StringVar(&s.listen, "listen", "127.0.0.1:5000", "`HOST:PORT` for uploads")
	flag.StringVar(&s.metrics, "metrics", "127.0.0.1:9100", "`HOST:PORT` for metrics, at /metrics; empty: none")
	flag.IntVar(&s.options.Count, "receivers", 0, "how many `N`; 0: one for each processor, at most 16, or for each free queue")
	flag.DurationVar(&s.grace, "grace", 30*time.Second, "how long a signal lets uploads go on")
	flag.TextVar(&s.options.Engine, "engine", zcrx.EngineAuto, "auto, zcrx, zcrx-nodev, multishot or recv")
	flag.StringVar(&s.options.Interface, "interface", "", "netdev for engine zcrx: its NIC spreads the connections to the port over the queues")
	flag.Uint64Var(&s.options.AreaBytes, "area-bytes", 0, "memory to receive into, for each receiver; 0: the default")
	flag.DurationVar(&s.options.BusyPoll, "busy-poll", 0, "how long a receiver polls the NIC before it sleeps")
	flag.BoolVar(&pin, "pin", false, "pin each receiver's thread to a processor of its own")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(flag.CommandLine.Output(), "what is %q for?\n", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	if pin {
		s.options.Pin = zcrx.PinApart
	}
	return s
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("digest: ")
	s := parse()
	if err := run(&s); err != nil {
		log.Fatal(err)
	}
}

func run(s *settings) error {
	signals := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), signals...)
	defer cancel()
	if err := s.steer(ctx); err != nil {
		return err
	}
	group, err := zcrx.OpenGroup(s.options)
	if err != nil {
		return err
	}
	defer group.Close()
	var config net.ListenConfig
	config.SetMultipathTCP(false) // zcrx cannot receive it
	listener, err := config.Listen(ctx, "tcp", s.listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	exporter, err := startMetrics(ctx, s.metrics, group)
	if err != nil {
		return err
	}
	defer exporter.stop()
	log.Printf("listening on %v, metrics on %v, %d receivers, engine %v", listener.Addr(), exporter.address(), group.Count(),
		group.Receiver(0).Info().Engine)
	server := newServer(group.Listen(listener))
	ended := make(chan error, 1)
	go func() { ended <- server.serve() }()
	select {
	case err := <-ended:
		return errors.Join(err, server.shutDown(0))
	case <-ctx.Done():
	}
	cancel() // a second signal ends the process at once
	return server.shutDown(s.grace)
}

// steer has a NIC spread the port's connections over the queues, which it has to know before it is listened on.
func (s *settings) steer(ctx context.Context) error {
	if s.options.Interface == "" {
		return nil
	}
	_, name, err := net.SplitHostPort(s.listen)
	if err != nil {
		return err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "tcp", name)
	if err != nil {
		return err
	}
	if port == 0 {
		return fmt.Errorf("-listen %s: name a port with -interface, whose NIC is told of it", strconv.Quote(s.listen))
	}
	s.options.Steer, s.options.SteerPort = zcrx.SteerPort, uint16(port)
	return nil
}
