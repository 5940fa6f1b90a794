// SPDX-License-Identifier: MIT

package zcrx

import (
	"net"
	"time"

	"github.com/zcrx/zcrx/go/internal/core"
)

// NICVerdict is what a [NICProof] comes to.
type NICVerdict uint32

const (
	NICUndecided NICVerdict = core.ProofUndecided // nothing that this kernel counts decides it: the checks say what is missing
	NICZeroCopy  NICVerdict = core.ProofZeroCopy  // at most one byte in a thousand was copied
	NICPartly    NICVerdict = core.ProofPartly    // some were
	NICCopied    NICVerdict = core.ProofCopied    // nine in ten, or more
)

func (v NICVerdict) String() string {
	switch v {
	case NICZeroCopy:
		return "zero-copy"
	case NICPartly:
		return "partly"
	case NICCopied:
		return "copied"
	}
	return "undecided"
}

// NICProof is what became of one stream that was received through a queue. The counts are of that time alone, and [Unknown]
// where nobody tells.
type NICProof struct {
	Verdict       NICVerdict
	Checks        []Check // the reasons
	Bytes         uint64  // received
	Buffers       uint64  // in so many buffers
	CopiedBytes   uint64  // payload that lay outside of the area, as the kernel counts it; payload in packet heads is not in it
	CopiedBuffers uint64  // likewise
	Chunks        uint64  // of the area that the stream's buffers began
	NICChunks     uint64  // that the driver took from the area, at least
	QueueBytes    uint64  // that the queue received, headers included
	QueuePackets  uint64  // likewise
	EarlyBytes    uint64  // that lay in the socket before its flow was led to the queue
	AllocFailures uint64  // times the driver found no chunk
	Queue         uint32  // of the interface
	QueueNAPI     uint32  // 0: not told
	SocketNAPI    uint32  // on which the socket's last packet came; 0: on none, the peer is on this machine
	MTU           uint32  // of the interface; 0: not told
	BufferBytes   uint32  // the chunk
}

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
	return &NICProof{
		Verdict:       NICVerdict(p.Verdict),
		Checks:        newChecks(p.Checks),
		Bytes:         p.Bytes,
		Buffers:       p.Buffers,
		CopiedBytes:   p.CopiedBytes,
		CopiedBuffers: p.CopiedBuffers,
		Chunks:        p.Chunks,
		NICChunks:     p.NICChunks,
		QueueBytes:    p.QueueBytes,
		QueuePackets:  p.QueuePackets,
		EarlyBytes:    p.EarlyBytes,
		AllocFailures: p.AllocFailures,
		Queue:         p.Queue,
		QueueNAPI:     p.QueueNAPI,
		SocketNAPI:    p.SocketNAPI,
		MTU:           p.MTU,
		BufferBytes:   p.BufferBytes,
	}, nil
}
