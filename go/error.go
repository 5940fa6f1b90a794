// SPDX-License-Identifier: MIT

package zcrx

import (
	"errors"
	"net"
	"strings"
	"syscall"

	"github.com/zcrx/zcrx/go/internal/core"
)

// Errors to compare with by errors.Is.
var (
	// ErrClosed: the receiver, the group (or each of its receivers) or the stream is closed. It is also net.ErrClosed.
	ErrClosed error = closedError{}
	// ErrReleased: the buffer was released before. Nothing was changed.
	ErrReleased = errors.New("zcrx: buffer already released")
	// ErrBusy: another Receive or Events runs on this receiver, or the call would wait for itself because it
	// is made by the function that Receive calls.
	ErrBusy = errors.New("zcrx: receiver is busy")
	// ErrNotTCP: the connection is not plain TCP (UDP, Unix, Multipath TCP, TLS in the kernel): read it by Read.
	ErrNotTCP = errors.New("zcrx: not a plain TCP connection")
	// ErrAdded: the connection is added to this receiver already.
	ErrAdded = errors.New("zcrx: connection already added")
	// ErrNoStream: the stream has ended, or never was.
	ErrNoStream = errors.New("zcrx: no such stream")
	// ErrUnsupported: this system, kernel or driver cannot do what was asked for. It is errors.ErrUnsupported.
	ErrUnsupported = errors.ErrUnsupported
)

type closedError struct{}

func (closedError) Error() string        { return "zcrx: closed" }
func (closedError) Is(target error) bool { return target == net.ErrClosed }

// OpError tells which operation failed, at what, why, and what to do about it.
// It unwraps to the syscall.Errno.
type OpError struct {
	Op         string        // "open", "add", "receive", "apply", ...
	Stage      string        // what the library was about: "options", "area", "ring", "nic", "queue", "socket", ...
	Errno      syscall.Errno // as the kernel or the library gave it
	Message    string        // what was wrong, and where
	KernelText string        // the kernel's own explanation, if it gave one
	Hint       string        // the command or the change that mends it
}

func (e *OpError) Error() string {
	var b strings.Builder
	b.WriteString("zcrx: " + e.Op + ": ")
	if e.Message != "" {
		b.WriteString(e.Message + ": ")
	}
	b.WriteString(e.Errno.Error())
	if e.KernelText != "" {
		b.WriteString(" (kernel: " + e.KernelText + ")")
	}
	if e.Hint != "" {
		b.WriteString("; hint: " + e.Hint)
	}
	return b.String()
}

// Unwrap gives the syscall.Errno.
func (e *OpError) Unwrap() error { return e.Errno }

// Is makes the package's sentinels match by what the errno means for the operation.
func (e *OpError) Is(target error) bool {
	switch target {
	case ErrNotTCP:
		return (e.Op == opAdd || e.Op == opListen) && (e.Errno == syscall.EPROTONOSUPPORT || e.Errno == syscall.ENOTSOCK)
	case ErrAdded:
		return e.Op == opAdd && e.Errno == syscall.EEXIST && e.Stage == stageSocket // else a flow rule that exists
	case ErrNoStream:
		return e.Errno == syscall.ENOENT && e.Stage == stageStream
	case ErrClosed, net.ErrClosed: // every receiver of the group is closed
		return e.Errno == syscall.ESHUTDOWN && (e.Op == opAdd || e.Op == opListen)
	}
	return false
}

// OpError.Stage of what is about the connection itself, and of what is about a stream's name.
var (
	stageSocket = core.StageName(core.StageSocket)
	stageStream = core.StageName(core.StageStream)
)

const (
	opOpen        = "open"
	opClose       = "close"
	opAdd         = "add"
	opListen      = "listen"
	opRemove      = "remove"
	opPause       = "pause"
	opResume      = "resume"
	opStreamStats = "stream stats"
	opReceive     = "receive"
	opRead        = "read"
	opProbe       = "probe"
	opInspect     = "inspect"
	opDemand      = "demand"
	opPlan        = "plan"
	opApply       = "apply"
	opUndo        = "undo"
	opRestore     = "restore"
	opProve       = "prove"
)

func newOpError(op string, e core.Error) *OpError {
	return &OpError{
		Op:         op,
		Stage:      core.StageName(e.Stage),
		Errno:      syscall.Errno(-e.Code),
		Message:    e.Message,
		KernelText: e.KernelText,
		Hint:       e.Hint,
	}
}
