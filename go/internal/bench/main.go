// SPDX-License-Identifier: MIT

//go:build linux

// Command bench measures the Go package against the C core and against net.Conn over loopback, side by side in one run: the sides
// take turns, each in a process of its own, the sender on one processor and the receiver on another.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

type settings struct {
	core   string // the C program
	output string
	engine string
	rounds int
	bytes  int64
	batch  int
}

// side is one way to receive, as a command line.
type side struct {
	name   string
	buffer int
	c      bool
}

const runTime = 60 * time.Second

// pinned is a command on one processor, at real-time priority where that is allowed: others hardly disturb it then. Go's runtime is
// told how many processors there are all the same, as it is in a program that is not pinned: with one it lets other threads
// run during each call into C, to look for work that there is not.
func pinned(processor string, words ...string) *exec.Cmd {
	prefixes := [][]string{{"taskset", "-c", processor}, {"chrt", "-f", "1"}}
	for _, prefix := range prefixes {
		if exec.Command(prefix[0], append(prefix[1:], "true")...).Run() == nil {
			words = append(prefix, words...)
		}
	}
	command := exec.Command(words[0], words[1:]...)
	command.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(runtime.NumCPU()))
	return command
}

// measure runs one side once.
func (s *settings) measure(what side) (t totals, err error) {
	batch, buffer := strconv.Itoa(s.batch), strconv.Itoa(what.buffer)
	words := []string{s.core, s.engine, buffer, batch}
	if !what.c {
		words = []string{os.Args[0], "-receive", what.name, "-engine", s.engine, "-buffer", buffer, "-batch", batch}
	}
	receiver := pinned("1", words...)
	receiver.Stderr = os.Stderr
	out, err := receiver.StdoutPipe()
	if err != nil {
		return t, err
	}
	if err := receiver.Start(); err != nil {
		return t, err
	}
	late := time.AfterFunc(runTime, func() { receiver.Process.Kill() })
	defer late.Stop()
	lines := bufio.NewReader(out)
	port, err := lines.ReadString('\n')
	if err == nil {
		sender := pinned("0", os.Args[0], "-send", strings.TrimSpace(port), "-bytes", strconv.FormatInt(s.bytes, 10))
		sender.Stderr = os.Stderr
		err = sender.Run()
	}
	if err == nil {
		err = json.NewDecoder(lines).Decode(&t)
	}
	if wait := receiver.Wait(); err == nil {
		err = wait
	}
	if err == nil && t.Bytes != uint64(s.bytes) {
		err = fmt.Errorf("%s: %d bytes of %d", what.name, t.Bytes, s.bytes)
	}
	return t, err
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	var s settings
	var receive, send string
	var buffer uint
	flag.StringVar(&s.core, "core", "build/go/bench-core", "the C core's program")
	flag.StringVar(&s.output, "output", "build/bench/go.json", "where the keys go")
	flag.StringVar(&s.engine, "engine", "multishot", "engine of both sides")
	flag.IntVar(&s.rounds, "rounds", 25, "how often each side runs")
	flag.Int64Var(&s.bytes, "bytes", 256<<20, "bytes of each run")
	flag.IntVar(&s.batch, "batch", 128, "events of each receive")
	flag.StringVar(&receive, "receive", "", "for the program itself: be this receiver")
	flag.StringVar(&send, "send", "", "for the program itself: send to this port")
	flag.UintVar(&buffer, "buffer", 0, "for the program itself: buffer_bytes")
	flag.Parse()
	var err error
	switch {
	case send != "":
		err = beSender(send, s.bytes)
	case receive != "":
		err = beReceiver(receive, s.engine, uint32(buffer), s.batch)
	default:
		err = s.compare()
	}
	if err != nil {
		log.Fatal(err)
	}
}
