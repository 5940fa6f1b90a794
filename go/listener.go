// SPDX-License-Identifier: MIT

package zcrx

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// Listener accepts connections that are read through a receiver, or those of a group, and written as before. Any server that takes a net.Listener
// can use it; an http.Server then reads requests and their bodies through views.
type Listener struct {
	net.Listener

	// OnFallback, if set, is called by Accept for each connection that is handed out as it was accepted, with the reason. Set
	// it before the first Accept.
	OnFallback func(conn net.Conn, reason error)

	adder   adder
	options []StreamOption
}

// adder is what a Listener adds its connections to.
type adder interface {
	Stream(conn net.Conn, options ...StreamOption) (*Stream, error)
	leavesReadable(err error) bool
}

// NewListener wraps a listener of TCP connections. Closing it closes the listener only: the receiver serves the connections that
// there are until it is closed itself.
func NewListener(listener net.Listener, rx *Receiver, options ...StreamOption) *Listener {
	return &Listener{Listener: listener, adder: rx, options: options}
}

// Listen listens as net.Listen does, but without Multipath TCP, which zcrx cannot receive.
func Listen(ctx context.Context, network, address string, rx *Receiver, options ...StreamOption) (*Listener, error) {
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	listener, err := config.Listen(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return NewListener(listener, rx, options...), nil
}

// Accept waits for the next connection: a *[Conn].
//
// One that cannot be added to the receiver (the NIC's table of flow rules is full, no descriptor is left, it is not plain TCP)
// is handed out as the wrapped listener gave it: its Read copies. OnFallback tells of it.
//
// Where Read cannot do it either, because the connection's bytes arrive in the memory of a receiver, it is closed, and Accept
// returns a temporary error (a net.Error), after which servers call Accept again. This happens where several receivers share
// a port, and with flow rules that the receiver did not set for this connection.
func (l *Listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	stream, err := l.adder.Stream(conn, l.options...)
	switch {
	case err == nil:
		return &Conn{conn, stream}, nil
	case errors.Is(err, ErrClosed), errors.Is(err, errNoView): // so would all others
		conn.Close()
		return nil, err
	case !l.adder.leavesReadable(err):
		conn.Close()
		return nil, acceptError{err}
	}
	if l.OnFallback != nil {
		l.OnFallback(conn, err)
	}
	return conn, nil
}

// leavesReadable says whether a connection that could not be added can be read by Read: its bytes must not be led to a queue.
func (rx *Receiver) leavesReadable(err error) bool {
	if errors.Is(err, syscall.EXDEV) { // they arrive at the queue of another receiver
		return false
	}
	return rx.info.Engine != EngineZCRX || rx.ownRules || errors.Is(err, ErrNotTCP)
}

// acceptError is about one connection. Servers that find an error temporary, as net/http does, go on.
type acceptError struct{ error }

func (e acceptError) Unwrap() error { return e.error }
func (acceptError) Timeout() bool   { return false }
func (acceptError) Temporary() bool { return true }

// Conn is a connection that is read through a receiver. Only reading differs from the connection that it wraps.
type Conn struct {
	net.Conn
	stream *Stream
}

// NewConn has a connection read through a receiver from here on. Closing the Conn closes the connection.
func NewConn(conn net.Conn, rx *Receiver, options ...StreamOption) (*Conn, error) {
	stream, err := rx.Stream(conn, options...)
	if err != nil {
		return nil, err
	}
	return &Conn{conn, stream}, nil
}

// Stream is what the connection is read by: its methods give views.
func (c *Conn) Stream() *Stream { return c.stream }

// Read reads from the stream.
func (c *Conn) Read(p []byte) (int, error) { return c.stream.Read(p) }

// WriteTo is [Stream.WriteTo]: io.Copy from the connection does not copy.
func (c *Conn) WriteTo(w io.Writer) (int64, error) { return c.stream.WriteTo(w) }

// ReadFrom writes to the connection, by sendfile or splice where the connection can.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	if direct, ok := c.Conn.(io.ReaderFrom); ok {
		return direct.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{c.Conn}, r)
}

// CloseWrite shuts down writing: the peer sees the end.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return ErrUnsupported
}

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.stream.SetReadDeadline(t); err != nil {
		return err
	}
	return c.Conn.SetWriteDeadline(t)
}

// SetReadDeadline bounds reads that wait.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.stream.SetReadDeadline(t) }

// Close closes the stream and the connection.
func (c *Conn) Close() error {
	c.stream.Close()
	return c.Conn.Close()
}
