// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// stopped is why a context ended: by this signal.
type stopped struct{ signal syscall.Signal }

func (s stopped) Error() string {
	return fmt.Sprintf("stopped by signal %d (%v) before all connections had ended", int(s.signal), s.signal)
}

// untilSignal is a context that SIGHUP, SIGINT and SIGTERM end, so that the receiver is closed, which puts the NIC back. A second
// signal ends the process at once.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	came := make(chan os.Signal, 1)
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM} {
		if !signal.Ignored(s) { // as nohup has it
			signal.Notify(came, s)
		}
	}
	go func() {
		s := <-came
		signal.Stop(came)
		cancel(stopped{s.(syscall.Signal)})
	}()
	return ctx
}

// dieBy ends the process by the signal that err tells of, if it does: its parent then sees what ended it.
func dieBy(err error) {
	var by stopped
	if errors.As(err, &by) {
		signal.Reset(by.signal)
		syscall.Kill(os.Getpid(), by.signal)
		select {} // until it arrives
	}
}

// Descriptors: of each connection its own, the receiver's and a file; and what is open anyway.
const (
	descriptorsEach = 3
	descriptorsElse = 64
)

// allowConnections refuses more connections than there can be descriptors. (Go has raised the soft limit to the hard one.)
func allowConnections(count int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if needed := uint64(count)*descriptorsEach + descriptorsElse; needed > limit.Max {
		return fmt.Errorf("%d connections need %d descriptors, and %d are allowed: raise ulimit -Hn, or receive fewer",
			count, needed, limit.Max)
	}
	return nil
}
