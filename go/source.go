// SPDX-License-Identifier: MIT

package zcrx

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

// source lends a connection's descriptor for the length of a call.
type source interface {
	control(f func(fd uintptr)) error
}

// rawSource is a net.Conn, a net.Listener or an os.File. It keeps the connection from being closed by the garbage collector while it is
// added, and from being closed by anybody, and its descriptor from being used again, during control.
type rawSource struct {
	syscall.RawConn
	keep any
}

func (s rawSource) control(f func(fd uintptr)) error { return s.Control(f) }

type fdSource int

func (s fdSource) control(f func(fd uintptr)) error {
	f(uintptr(s))
	return nil
}

func connSource(conn net.Conn) (source, error) {
	return sourceOf(opAdd, conn)
}

// sourceOf is the source of a connection or a listener.
func sourceOf(op string, of any) (source, error) {
	c, ok := of.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("%w: %T has no descriptor", ErrNotTCP, of)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("zcrx: %s: %w", op, err)
	}
	return rawSource{raw, of}, nil
}

func fileSource(file *os.File) (source, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("zcrx: add: %w", err)
	}
	return rawSource{raw, file}, nil
}
