// SPDX-License-Identifier: MIT

package zcrx_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	zcrx "github.com/zcrx/zcrx/go"
)

var (
	_ io.Reader      = (*zcrx.Stream)(nil)
	_ io.WriterTo    = (*zcrx.Stream)(nil)
	_ io.ByteScanner = (*zcrx.Stream)(nil)
	_ net.Conn       = (*zcrx.Conn)(nil)
	_ net.Listener   = (*zcrx.Listener)(nil)
)

func stream(t testing.TB, rx *zcrx.Receiver, options ...zcrx.StreamOption) (*net.TCPConn, *zcrx.Stream) {
	t.Helper()
	sender, receiver := pair(t)
	s, err := rx.Stream(receiver, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return sender, s
}

func TestStreamReads(t *testing.T) {
	want := pattern(ifShort(50000, 300000))
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		rx := open(t, zcrx.Options{Engine: engine})
		sender, s := stream(t, rx)
		if how, ended := s.End(); ended {
			t.Errorf("before the end: %v", how)
		}
		send(sender, want)
		if err := iotest.TestReader(s, want); err != nil {
			t.Fatal(err)
		}
		if how, ended := s.End(); how != zcrx.EndPeer || !ended {
			t.Errorf("after the end: %v, %v", how, ended)
		}
	})
}

func TestStreamWaysOfReading(t *testing.T) {
	want := pattern(ifShort(256<<10, 4<<20))
	ways := map[string]func(s *zcrx.Stream) ([]byte, error){
		"Read": func(s *zcrx.Stream) ([]byte, error) { return io.ReadAll(struct{ io.Reader }{s}) },
		"WriteTo": func(s *zcrx.Stream) ([]byte, error) {
			var all bytes.Buffer
			n, err := io.Copy(&all, s)
			if n != int64(all.Len()) {
				t.Errorf("WriteTo said %d, wrote %d", n, all.Len())
			}
			return all.Bytes(), err
		},
		"ReadByte": func(s *zcrx.Stream) (all []byte, err error) {
			for {
				b, err := s.ReadByte()
				if err != nil {
					return all, ignoreEOF(err)
				}
				if len(all)%1000 == 0 {
					if err := s.UnreadByte(); err != nil {
						return nil, err
					}
					if err := s.UnreadByte(); err == nil {
						return nil, errors.New("two UnreadBytes in a row")
					}
					if b, err = s.ReadByte(); err != nil {
						return nil, err
					}
				}
				all = append(all, b)
			}
		},
		"Next": func(s *zcrx.Stream) (all []byte, err error) {
			var out []zcrx.Buffer
			for b, err := range s.Buffers() {
				if err != nil {
					return nil, err
				}
				all = append(all, b.Bytes()...)
				if out = append(out, b); len(out) == 5 {
					if err := zcrx.ReleaseAll(out...); err != nil {
						return nil, err
					}
					out = nil
				}
			}
			return all, zcrx.ReleaseAll(out...)
		},
		"mixed": func(s *zcrx.Stream) ([]byte, error) {
			all := make([]byte, 1000)
			if _, err := io.ReadFull(s, all); err != nil {
				return nil, err
			}
			b, err := s.Next()
			if err != nil {
				return nil, err
			}
			all = append(all, b.Bytes()...)
			c, err := s.ReadByte()
			if err != nil {
				return nil, err
			}
			all = append(all, c)
			rest := bytes.NewBuffer(all)
			_, err = s.WriteTo(rest)
			return rest.Bytes(), errors.Join(err, b.Release())
		},
	}
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		for name, read := range ways {
			t.Run(name, func(t *testing.T) {
				rx := open(t, zcrx.Options{Engine: engine, BufferBytes: 4096, AreaBytes: 1 << 20})
				sender, s := stream(t, rx)
				send(sender, want)
				got, err := read(s)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Fatalf("%d bytes, not those that were sent", len(got))
				}
				if out := rx.Stats().Outstanding; out != 0 {
					t.Errorf("%d buffers out", out)
				}
			})
		}
	})
}

func ignoreEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

func TestStreamDeadline(t *testing.T) {
	rx := open(t, zcrx.Options{})
	sender, s := stream(t, rx)
	var one [1]byte
	expect := func(what string, want error) {
		t.Helper()
		if _, err := s.Read(one[:]); !errors.Is(err, want) {
			t.Errorf("%s: %v, not %v", what, err, want)
		}
	}
	s.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	expect("a deadline that comes", os.ErrDeadlineExceeded)
	expect("the same again", os.ErrDeadlineExceeded)
	s.SetReadDeadline(time.Now().Add(-time.Second))
	sender.Write([]byte("ab"))
	expect("a deadline in the past", os.ErrDeadlineExceeded)
	s.SetReadDeadline(time.Time{})
	expect("no deadline", nil)
	expect("no deadline", nil)
	time.AfterFunc(20*time.Millisecond, func() { s.SetReadDeadline(time.Unix(1, 0)) })
	expect("a deadline set while reading", os.ErrDeadlineExceeded)
	s.SetReadDeadline(time.Now().Add(time.Hour))
	time.AfterFunc(20*time.Millisecond, func() { sender.Write([]byte("c")) })
	expect("data before the deadline", nil)
}

func TestStreamDeadlineOfWriteTo(t *testing.T) {
	rx := open(t, zcrx.Options{})
	sender, s := stream(t, rx)
	stop := make(chan struct{})
	defer close(stop)
	go func() { // never a pause in which the reader would have to wait
		for block := make([]byte, 1<<20); ; {
			select {
			case <-stop:
				return
			default:
				sender.Write(block)
			}
		}
	}()
	time.AfterFunc(10*time.Second, func() { sender.CloseWrite() })
	var begun sync.Once
	slow := writerFunc(func(p []byte) (int, error) {
		begun.Do(func() { s.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) })
		time.Sleep(time.Millisecond)
		return len(p), nil
	})
	if n, err := s.WriteTo(slow); n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestStreamCloseWhileReading(t *testing.T) {
	onEngines(t, func(t *testing.T, engine zcrx.Engine) {
		rx := open(t, zcrx.Options{Engine: engine})
		sender, receiver := pair(t)
		s, err := rx.Stream(receiver)
		if err != nil {
			t.Fatal(err)
		}
		closed := make(chan error)
		time.AfterFunc(20*time.Millisecond, func() { closed <- s.Close() })
		if _, err := io.ReadAll(s); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read: %v", err)
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if err := s.Close(); !errors.Is(err, zcrx.ErrClosed) {
			t.Errorf("second Close: %v", err)
		}
		sender.Write([]byte("plain"))
		plain := make([]byte, 10)
		if n, err := receiver.Read(plain); err != nil || string(plain[:n]) != "plain" {
			t.Errorf("the connection by itself: %q, %v", plain[:n], err)
		}
		if s := rx.Stats(); s.Streams != 0 || s.Outstanding != 0 {
			t.Errorf("stats: %+v", s)
		}
	})
}

func TestStreamOfClosedReceiver(t *testing.T) {
	rx := open(t, zcrx.Options{})
	sender, s := stream(t, rx)
	sender.Write([]byte("queued"))
	eventually(t, "data came", func() bool { return rx.Stats().Bytes == 6 })
	if err := rx.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(s)
	if string(got) != "queued" || !errors.Is(err, zcrx.ErrClosed) {
		t.Errorf("%q, %v", got, err)
	}
	if how, ended := s.End(); ended {
		t.Errorf("after Close of the receiver: %v", how)
	}
}

func TestStreamLimitAndReset(t *testing.T) {
	rx := open(t, zcrx.Options{AreaBytes: 1 << 20, BufferBytes: 4096})
	sender, receiver := pair(t)
	want := pattern(3 << 20)
	s, err := rx.Stream(receiver, zcrx.Limit(2<<20), zcrx.Window(102400))
	if err != nil {
		t.Fatal(err)
	}
	go sender.Write(want)
	time.Sleep(20 * time.Millisecond) // so that the window is full
	if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, want[:2<<20]) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if how, ended := s.End(); how != zcrx.EndLimit || !ended {
		t.Errorf("after the limit: %v, %v", how, ended)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	rest := make([]byte, 1<<20)
	if _, err := io.ReadFull(receiver, rest); err != nil || !bytes.Equal(rest, want[2<<20:]) {
		t.Fatalf("the rest: %v", err)
	}
	s, err = rx.Stream(receiver)
	if err != nil {
		t.Fatal(err)
	}
	sender.SetLinger(0)
	sender.Close()
	if _, err := io.ReadAll(s); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after a reset: %v", err)
	}
	if how, ended := s.End(); ended {
		t.Errorf("after a reset: %v", how)
	}
}
