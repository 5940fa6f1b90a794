// SPDX-License-Identifier: MIT

//go:build linux

// Command conformance is the Go executor of the conformance scenarios: it does what the driver asks by the Go package,
// and reports what came of it. The requests are those of tests/conformance/PROTOCOL.md.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"

	zcrx "github.com/zcrx/zcrx/go"
)

const (
	firstChannel = 3
	channels     = 8
	listenerFD   = 11
	payloadFD    = 12
)

// request does what a request asks; it writes facts, and returns what follows ok.
type request func(facts *strings.Builder, words []string) (string, error)

// serve serves a channel to its end.
func (x *executor) serve(number uintptr) {
	runtime.LockOSThread()
	channel := os.NewFile(firstChannel+number, "channel")
	lines := bufio.NewReader(channel)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		if _, err := channel.WriteString(x.answer(number, strings.Fields(line))); err != nil {
			return
		}
	}
}

func (x *executor) answer(channel uintptr, words []string) string {
	var lines strings.Builder
	run := x.requests(channel)[words[0]]
	if run == nil {
		return fmt.Sprintf("failed %d no such request: %s\n", syscall.ENOSYS, words[0])
	}
	text, err := run(&lines, words[1:])
	if err != nil {
		number := syscall.EPROTO
		errors.As(err, &number)
		fmt.Fprintf(&lines, "failed %d %s\n", number, strings.ReplaceAll(err.Error(), "\n", " "))
	} else {
		lines.WriteString(strings.TrimSpace("ok "+text) + "\n")
	}
	return lines.String()
}

func (x *executor) requests(channel uintptr) map[string]request {
	requests := map[string]request{
		"hello": x.hello, "open": x.open, "close": x.close, "wake": x.wake, "stats": x.stats, "settle": x.settle,
		"accept": x.accept, "go": x.goOn, "shut": x.shut, "add": x.add, "remove": x.remove, "recv": x.recv,
		"pause": x.pause, "resume": x.resume, "stream-stats": x.streamStats,
		"receive": x.receive, "iterate": x.iterate, "release": x.release, "twice": x.twice,
		"group": x.openGroup, "group-add": x.groupAdd, "group-listen": x.groupListen, "group-stats": x.groupStats,
	}
	if x.group != nil && int(channel) < len(x.members) {
		m := &x.members[channel]
		requests["receive"], requests["leave"] = m.receive, m.leave
	}
	return requests
}

func main() {
	signals := make(chan os.Signal, 1) // of which nobody takes any: a signal only interrupts
	signal.Notify(signals, syscall.SIGUSR1)
	listener, err := net.FileListener(os.NewFile(listenerFD, "listener"))
	if err != nil {
		panic(err)
	}
	payload, err := readAll(os.NewFile(payloadFD, "payload"))
	if err != nil {
		panic(err)
	}
	x := &executor{listener: listener, payload: payload, held: make(map[uint64]held)}
	var others sync.WaitGroup
	for number := uintptr(1); number < channels; number++ {
		others.Add(1)
		go func() {
			defer others.Done()
			x.serve(number)
		}()
	}
	x.serve(0)
	others.Wait()
}

func (x *executor) hello(facts *strings.Builder, _ []string) (string, error) {
	facts.WriteString("cannot wait the receiver's own thread waits; there is no descriptor to poll\n")
	facts.WriteString("cannot fork_at a Go program cannot fork without exec\n")
	facts.WriteString("cannot close Close always takes place on the receiver's own thread\n")
	facts.WriteString("cannot wake_ms,through there is nothing to wake a Stream by\n")
	facts.WriteString("cannot area=caller memory of a Go program's own is the garbage collector's\n")
	facts.WriteString("protocol 3\n")
	facts.WriteString("own threads\nown mappings 18446744073709551615\nahead\n")
	return runtime.Version() + ", zcrx " + zcrx.Version(), nil
}

func (x *executor) settle(*strings.Builder, []string) (string, error) {
	runtime.GC()
	return fmt.Sprintf("goroutines=%d", runtime.NumGoroutine()), nil
}
