// SPDX-License-Identifier: MIT

//go:build linux

// Command conformance runs the scenarios of tests/conformance against the Go package, each in a process of its own.
//
// Of what a run may leave behind it counts descriptors, rings and goroutines.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	zcrx "github.com/zcrx/zcrx/go"
)

const (
	smallTime = 30 * time.Second
	largeTime = 120 * time.Second
	grace     = 5 * time.Second // for a process that should have given up by itself
	refused   = 77              // exit status: the engine cannot be opened here
)

type settings struct {
	engines, glob, directory string
	list, fast, mayRefuse    bool
	jobs                     int
	time                     time.Duration // for each scenario; 0: as its size says
	one, python              string        // in the scenario's own process: its name, and the interpreter
}

// ---- in the scenario's own process ----

// fail ends the process; the runner reads the reason.
func fail(format string, arguments ...any) {
	fmt.Fprintf(os.NewFile(3, "report"), format, arguments...)
	os.Exit(1)
}

func check(condition bool, format string, arguments ...any) {
	if !condition {
		fail(format, arguments...)
	}
}

func (s *settings) runOne(list []*scenario) {
	engine, err := zcrx.ParseEngine(s.engines)
	check(err == nil, "%v", err)
	for _, scenario := range list {
		if scenario.name == s.one {
			s.runScenario(scenario, engine)
			return
		}
	}
	fail("no scenario %s", s.one)
}

func (s *settings) runScenario(scenario *scenario, engine zcrx.Engine) {
	warmUp()
	limit := s.timeOf(scenario)
	time.AfterFunc(limit, func() {
		state := "between runs"
		if r := current.Load(); r != nil {
			state = fmt.Sprintf("%+v", r.rx.Stats())
		}
		fail("not done after %v: %s", limit, state)
	})
	sender := []string{s.python, "-IS", filepath.Join(s.directory, "sender")} // it imports the standard library only
	for range scenario.repeat {
		if err := runOnce(scenario, engine, sender); err != nil {
			fmt.Println("open:", err)
			if s.mayRefuse {
				os.Exit(refused)
			}
			fail("open: %v", err)
		}
	}
}

// warmUp makes the runtime open what it opens once.
func warmUp() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err == nil, "%v", err)
	listener.Close()
	err = exec.Command("true").Run()
	check(err == nil, "%v", err)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	signal.Stop(signals)
}

func (s *settings) timeOf(scenario *scenario) time.Duration {
	if s.time > 0 {
		return s.time
	}
	if scenario.large {
		return largeTime
	}
	return smallTime
}

// ---- in the runner ----

// runInProcess returns nil, errRefused, or why the scenario failed.
func (s *settings) runInProcess(scenario *scenario, engine string) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeOf(scenario)+grace)
	defer cancel()
	command := exec.CommandContext(ctx, os.Args[0], "-engine", engine, "-one", scenario.name, "-directory", s.directory,
		"-python", s.python, "-time", s.time.String(), fmt.Sprintf("-may-refuse=%v", s.mayRefuse))
	report, err := os.CreateTemp("", "report")
	if err != nil {
		return err
	}
	defer os.Remove(report.Name())
	defer report.Close()
	command.ExtraFiles = []*os.File{report}
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	err = command.Run()
	if command.Process != nil {
		syscall.Kill(-command.Process.Pid, syscall.SIGKILL) // a sender that outlived it
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == refused {
		return errRefused
	}
	if reason, _ := os.ReadFile(report.Name()); len(reason) > 0 {
		return errors.New(string(reason))
	}
	return err
}

var errRefused = errors.New("engine refused")

// verdict is a scenario's line.
type verdict struct {
	line   string
	result int // passed, failed or skipped
}

const (
	passed = iota
	failed
	skipped
)

func (s *settings) judge(scenario *scenario, engine string) verdict {
	if reason := scenario.skipOn(engine, s.fast); reason != "" {
		return verdict{fmt.Sprintf("skip %s: %s", scenario.name, reason), skipped}
	}
	switch err := s.runInProcess(scenario, engine); err {
	case nil:
		return verdict{"ok " + scenario.name, passed}
	case errRefused:
		return verdict{fmt.Sprintf("skip %s: engine refused", scenario.name), skipped}
	default:
		return verdict{fmt.Sprintf("FAIL %s: %v", scenario.name, err), failed}
	}
}

// wanted says whether one of the patterns matches the name.
func (s *settings) wanted(name string) bool {
	for pattern := range strings.SplitSeq(s.glob, ",") {
		if matched, _ := path.Match(pattern, name); matched {
			return true
		}
	}
	return false
}

// interpreter is the sender's: found once, because what stands for it in PATH may be a script that takes long to find it.
func interpreter() (string, error) {
	out, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
	return strings.TrimSpace(string(out)), err
}

// runEngine runs some scenarios side by side, and prints in the table's order.
func (s *settings) runEngine(list []*scenario, engine string, totals *[3]int) {
	fmt.Println("# engine", engine)
	slots := make(chan struct{}, s.jobs)
	var verdicts []chan verdict
	for _, scenario := range list {
		if !s.wanted(scenario.name) {
			continue
		}
		done := make(chan verdict, 1)
		verdicts = append(verdicts, done)
		go func() {
			slots <- struct{}{}
			done <- s.judge(scenario, engine)
			<-slots
		}()
	}
	for _, done := range verdicts {
		v := <-done
		fmt.Println(v.line)
		totals[v.result]++
	}
}

func main() {
	var s settings
	flag.StringVar(&s.engines, "engine", "multishot,recv", "recv, multishot, zcrx-nodev, zcrx, auto; several with commas")
	flag.StringVar(&s.glob, "scenario", "*", "only those whose name matches one of these patterns")
	flag.StringVar(&s.directory, "directory", "tests/conformance", "where scenarios.txt and sender are")
	flag.BoolVar(&s.list, "list", false, "print the names")
	flag.BoolVar(&s.fast, "fast", false, "leave out size=large")
	flag.BoolVar(&s.mayRefuse, "may-refuse", false, "an engine that cannot be opened here is a skip, not a failure")
	flag.IntVar(&s.jobs, "jobs", 1, "scenarios side by side")
	flag.DurationVar(&s.time, "time", 0, "for each scenario; default: 30s, or 2m for size=large")
	flag.StringVar(&s.one, "one", "", "for the runner itself")
	flag.StringVar(&s.python, "python", "", "for the runner itself")
	flag.Parse()
	list, err := readScenarios(filepath.Join(s.directory, "scenarios.txt"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(2)
	}
	if s.one != "" {
		s.runOne(list)
		return
	}
	if s.list {
		for _, scenario := range list {
			fmt.Println(scenario.name)
		}
		return
	}
	if s.python, err = interpreter(); err != nil {
		fmt.Fprintln(os.Stderr, "conformance: the sender needs python3:", err)
		os.Exit(2)
	}
	var totals [3]int
	for engine := range strings.SplitSeq(s.engines, ",") {
		s.runEngine(list, engine, &totals)
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", totals[passed], totals[failed], totals[skipped])
	if totals[failed] > 0 {
		os.Exit(1)
	}
}
