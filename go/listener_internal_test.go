// SPDX-License-Identifier: MIT

package zcrx

import (
	"context"
	"errors"
	"net"
	"testing"
)

func TestListenerEndsWhereNoConnectionCanBeRead(t *testing.T) {
	rx, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer rx.Close()
	rx.info.Area = AreaDMABuf // as if there were no bytes to see
	listener, err := Listen(context.Background(), "tcp", "127.0.0.1:0", rx)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := listener.Accept(); !errors.Is(err, ErrUnsupported) {
		t.Errorf("Accept gives %v", err)
	}
}
