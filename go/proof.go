// SPDX-License-Identifier: MIT

package zcrx

import (
	"net"
	"time"

	"github.com/zcrx/zcrx/go/internal/core"
)

// ProveNIC receives a real stream through a queue of options.Interface, drops it, and tells how much of it was copied, and why. The
// connection's peer is on another machine and sends. It ends after limit bytes (0: at the stream's end) or when the timeout is
// over (negative: never; ETIMEDOUT if not a byte came). The NIC is afterwards as it was. It blocks, and cannot be cancelled.
func ProveNIC(options Options, conn net.Conn, limit uint64, timeout time.Duration) (*NICProof, error) {
	source, err := connSource(conn)
	if err != nil {
		return nil, err
	}
	c := options.core()
	var p core.NICProof
	var failure core.Error
	err = source.control(func(fd uintptr) { p, failure = core.ProveNIC(&c, fd, limit, int64(timeout)) })
	if err != nil {
		return nil, err
	}
	if failure.Code != 0 {
		return nil, newOpError(opProve, failure)
	}
	proof := newNICProof(p)
	return &proof, nil
}
