// SPDX-License-Identifier: MIT

//go:build nicrig

package zcrx_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	zcrx "github.com/zcrx/zcrx/go"
)

// On the NIC rig: connections come over the cable from the other port's network namespace, and engine zcrx has an interface.
func init() {
	host = os.Getenv("ZRX_RIG_LOCAL")
	nic = os.Getenv("ZRX_RIG_IFACE")
	dial = dialFromPeer
}

// A system call that package syscall does not know everywhere.
var setns = map[string]uintptr{"amd64": 308, "arm64": 268}[runtime.GOARCH]

func dialFromPeer(network, address string) (conn net.Conn, err error) {
	space, err := os.Open("/run/netns/" + os.Getenv("ZRX_RIG_PEER_NETNS"))
	if err != nil {
		return nil, err
	}
	defer space.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with its goroutine
		if _, _, errno := syscall.RawSyscall(setns, space.Fd(), syscall.CLONE_NEWNET, 0); errno != 0 {
			err = errno
			return
		}
		conn, err = net.Dial(network, address)
	}()
	<-done
	return conn, err
}

// settings are what a set-up changes.
func settings(t *testing.T) zcrx.NICReport {
	t.Helper()
	first := uint32(1)
	report, err := zcrx.InspectNIC(nic, &first)
	if err != nil {
		t.Fatal(err)
	}
	return zcrx.NICReport{
		Split: report.Split, HDSThresh: report.HDSThresh, NTuple: report.NTuple, Rules: report.Rules,
		RSSEntries: report.RSSEntries, RSSToQueue: report.RSSToQueue, Bound: report.Bound,
	}
}

func checkSettings(t *testing.T, want zcrx.NICReport) {
	t.Helper()
	if got := settings(t); !reflect.DeepEqual(got, want) {
		t.Errorf("settings are %+v, were %+v", got, want)
	}
}

// inspect looks at a queue that is set up.
func inspect(t *testing.T, queue uint32) *zcrx.NICReport {
	t.Helper()
	report, err := zcrx.InspectNIC(nic, &queue)
	if err != nil {
		t.Fatal(err)
	}
	if report.Split != zcrx.NICSplitOn || report.HDSThresh != 0 || report.RSSToQueue != 0 || !report.NTuple {
		t.Errorf("not set up: %+v", report)
	}
	return report
}

func TestNICPlanChangesNothing(t *testing.T) {
	before := settings(t)
	plan, err := zcrx.PlanNIC(zcrx.Options{Interface: nic, Steer: zcrx.SteerPort, SteerPort: 5000})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, step := range plan.Steps {
		found = append(found, step.Setting)
		if !strings.HasPrefix(step.Command, "ethtool ") || !strings.Contains(step.Command, nic) {
			t.Errorf("%s: %q", step.Setting, step.Command)
		}
	}
	if words := strings.Join(found, " "); !strings.Contains(words, "tcp-data-split") || !strings.Contains(words, "rule") {
		t.Errorf("steps: %s", words)
	}
	checkSettings(t, before)
}

// What a queue takes by itself is told, is the least that an area may have, and decides how large one is by default.
func TestNICDemand(t *testing.T) {
	demand, err := zcrx.DemandNIC(zcrx.Options{Interface: nic})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(demand.Arithmetic)
	if demand.DemandBytes != demand.DescriptorBytes+demand.PoolBytes || demand.DescriptorBytes == 0 || demand.ChunkBytes == 0 ||
		demand.RingEntries == 0 || demand.AreaBytes <= demand.DemandBytes || demand.Arithmetic == "" {
		t.Errorf("%+v", demand)
	}
	rx := open(t, zcrx.Options{Engine: zcrx.EngineZCRX})
	if info := rx.Info(); info.AreaBytes != demand.AreaBytes || info.DemandBytes != demand.DemandBytes {
		t.Errorf("%+v, opened as %+v", demand, info)
	}
	if err := rx.Close(); err != nil {
		t.Fatal(err)
	}
	less := zcrx.Options{Engine: zcrx.EngineZCRX, Interface: nic, AreaBytes: demand.DemandBytes / 2 &^ 0xffff}
	if _, err := zcrx.Open(less); !errors.Is(err, syscall.ENOBUFS) {
		t.Errorf("half of the demand: %v", err)
	}
	less.SmallArea = true
	small, err := zcrx.Open(less)
	if err != nil {
		t.Fatal(err)
	}
	small.Close()
}

func TestNICIsSetUpByOpenAndPutBackByClose(t *testing.T) {
	before := settings(t)
	rx := open(t, zcrx.Options{Engine: zcrx.EngineZCRX, RequireZeroCopy: true, Steer: zcrx.SteerPort, SteerPort: 5000})
	info := rx.Info()
	if info.Engine != zcrx.EngineZCRX || !info.ZeroCopy || info.Interface != nic {
		t.Errorf("%+v", info)
	}
	if report := inspect(t, info.Queue); report.Bound != zcrx.NICBoundIOUring || report.Rules == 0 {
		t.Errorf("queue %d: %+v", info.Queue, report)
	}
	if _, err := zcrx.Open(zcrx.Options{Engine: zcrx.EngineZCRX, Interface: nic, Queue: &info.Queue}); !errors.Is(err, syscall.EEXIST) && !errors.Is(err, syscall.EBUSY) {
		t.Errorf("a second receiver on the queue: %v", err)
	}
	if err := rx.Close(); err != nil {
		t.Fatal(err)
	}
	checkSettings(t, before)
}

func TestNICSetUpAhead(t *testing.T) {
	before := settings(t)
	options := zcrx.Options{Engine: zcrx.EngineZCRX, Interface: nic, Steer: zcrx.SteerPort, SteerPort: 5000}
	queue, err := zcrx.ApplyNIC(options)
	if err != nil {
		t.Fatal(err)
	}
	inspect(t, queue)
	options.Queue, options.NICPrepared = &queue, true
	options.Steer, options.SteerPort = zcrx.SteerConnection, 0
	rx := open(t, options)
	if _, err := zcrx.UndoNIC(nic, &queue); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("undo under a receiver: %v", err)
	}
	if err := rx.Close(); err != nil {
		t.Fatal(err)
	}
	inspect(t, queue)
	if n, err := zcrx.UndoNIC(nic, &queue); n != 1 || err != nil {
		t.Errorf("undo: %d, %v", n, err)
	}
	checkSettings(t, before)
}

// A process that dies leaves the NIC set up; the journal knows how it was.
func TestNICRestoreAfterACrash(t *testing.T) {
	if os.Getenv("ZRX_DIE") != "" {
		open(t, zcrx.Options{Engine: zcrx.EngineZCRX})
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	before := settings(t)
	child := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	child.Env = append(os.Environ(), "ZRX_DIE=1")
	if out, err := child.CombinedOutput(); child.ProcessState.Exited() {
		t.Fatalf("not killed: %v: %s", err, out)
	}
	if left := settings(t); reflect.DeepEqual(left, before) {
		t.Error("a killed process left nothing to restore")
	}
	eventually(t, "what the killed process left is restored", func() bool {
		n, err := zcrx.RestoreNIC("")
		if err != nil {
			t.Log(err)
		}
		return n == 1
	})
	checkSettings(t, before)
}

// The views that Write gets are what the NIC wrote: nothing was copied on the way, where the kernel tells.
func TestNICWritesWhatAStreamReads(t *testing.T) {
	rx := open(t, zcrx.Options{Engine: zcrx.EngineZCRX, RequireZeroCopy: true})
	sender, s := stream(t, rx)
	want := pattern(4 << 20)
	send(sender, want)
	hash := sha256.New()
	n, err := io.Copy(hash, s)
	if sum := sha256.Sum256(want); err != nil || n != int64(len(want)) || !bytes.Equal(hash.Sum(nil), sum[:]) {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if stats := rx.Stats(); stats.CopiedBytes != 0 && stats.CopiedBytes != zcrx.Unknown {
		t.Errorf("%d bytes were copied", stats.CopiedBytes)
	}
}

// Once the card has no room for another rule, connections are read by copies.
func TestNICListenerWithAFullRuleTable(t *testing.T) {
	const more = 300 // than the modelled card has room for
	// With SmallArea each gets a rule: otherwise those for whose receive buffers the area has no room would be copied before.
	rx := open(t, zcrx.Options{Engine: zcrx.EngineZCRX, SmallArea: true})
	listener, err := zcrx.Listen(t.Context(), "tcp", net.JoinHostPort(host, "0"), rx)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var reason error
	listener.OnFallback = func(_ net.Conn, err error) { reason = err }
	for n := 0; reason == nil; n++ {
		if n == more {
			t.Fatalf("%d connections, and the table is not full", n)
		}
		sender, err := dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer sender.Close()
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if reason == nil {
			continue
		}
		if _, viewed := conn.(*zcrx.Conn); viewed {
			t.Error("told of a connection that is read through the receiver")
		}
		want := pattern(100000)
		send(sender.(*net.TCPConn), want)
		if got, err := io.ReadAll(conn); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		t.Logf("connection %d: %v", n, reason)
	}
}

func TestNICProve(t *testing.T) {
	sender, conn := pair(t)
	size := 2 << 20
	rules := settings(t).Rules
	go func() { // what comes before the flow is led to the queue is copied
		for {
			report, err := zcrx.InspectNIC(nic, nil)
			if err != nil || report.Rules > rules {
				break
			}
			time.Sleep(time.Millisecond)
		}
		sender.Write(pattern(size + 100000))
	}()
	proof, err := zcrx.ProveNIC(zcrx.Options{Interface: nic}, conn, uint64(size), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if proof.Verdict != zcrx.NICZeroCopy || proof.Bytes < uint64(size) || proof.Buffers == 0 || proof.MTU == 0 {
		t.Errorf("%v: %+v", proof.Verdict, proof)
	}
	silent, conn := pair(t)
	defer silent.Close()
	if _, err := zcrx.ProveNIC(zcrx.Options{Interface: nic}, conn, 0, 10*time.Millisecond); !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("nothing sent: %v", err)
	}
}
