// SPDX-License-Identifier: MIT

// Package core is the C library seen from Go: the same calls, with Go's types, one crossing for a batch.
// It is the only package that knows C. What it hands out has C's rules, which package zcrx makes safe.
package core

//go:generate go run constants_generate.go ../../../bindings/amalgamation/zcrx.h constants.go

import "unsafe"

// Receiver is a handle of the C library.
type Receiver struct{ pointer unsafe.Pointer }

// Buffer is struct zrx_buffer. Its pointers point outside of Go's heap.
type Buffer struct {
	Data       unsafe.Pointer // nil where the memory has no CPU view
	Offset     uint64
	Area       unsafe.Pointer // nil: no buffer
	Slot       uint32
	Generation uint32
	Length     uint32
	_          uint32
}

// Bytes is the view that the buffer is; nil where the memory has none.
func (b *Buffer) Bytes() []byte {
	return unsafe.Slice((*byte)(b.Data), b.Length)
}

// Event is struct zrx_event.
type Event struct {
	Kind   uint16
	Flags  uint16
	Error  int32
	Stream uint64
	Tag    uint64
	Buffer Buffer
}

// Options is struct zrx_options as far as Go offers it. Zero is the default.
type Options struct {
	Engine        uint32
	Flags         uint32
	Queue         uint32
	Interface     string
	AreaBytes     uint64
	BufferBytes   uint32
	RingEntries   uint32
	RefillEntries uint32
	AreaKind      uint32
	DMABuf        int32
	NICMode       uint32
	Steer         uint32
	SteerPort     uint32
}

// Error is struct zrx_error.
type Error struct {
	Code       int32
	Stage      uint32
	Message    string
	KernelText string
	Hint       string
}

// Refusal is why an engine is not used, or cannot be.
type Refusal struct {
	Engine uint32
	Why    Error
}

// Stats is struct zrx_stats without its size.
type Stats struct {
	Stall             uint32
	Bytes             uint64
	Buffers           uint64
	Released          uint64
	Outstanding       uint64
	Streams           uint64
	Parked            uint64
	Parks             uint64
	RearmsRingFull    uint64
	RearmsNoBuffer    uint64
	RearmsSilent      uint64
	RearmsInterrupted uint64
	Backlog           uint64
	BacklogHigh       uint64
	Flushes           uint64
	CopiedBytes       uint64
	CopiedBuffers     uint64
	AllocFailures     uint64
	Waits             uint64
	Wakes             uint64
}

// Info is struct zrx_info.
type Info struct {
	Engine        uint32
	ZeroCopy      bool
	Features      uint32
	Interface     string
	Queue         uint32
	AreaKind      uint32
	AreaBytes     uint64
	BufferBytes   uint32
	RingEntries   uint32
	RefillEntries uint32
	Refused       []Refusal
}

// Check is struct zrx_check.
type Check struct {
	State  uint32
	Name   string
	Detail string
	Hint   string
}

// Capabilities is struct zrx_capabilities.
type Capabilities struct {
	Engines       uint32
	Features      uint32
	PageBytes     uint32
	KernelVersion uint32
	Refused       []Refusal
	Checks        []Check
}

// NICReport is struct zrx_nic_report.
type NICReport struct {
	Index       uint32
	Queue       uint32
	QueueCount  uint32
	Driver      string
	Firmware    string
	RingEntries uint32
	Split       uint32
	HDSThresh   uint32
	NTuple      bool
	Rules       uint32
	RSSEntries  uint32
	RSSToQueue  uint32
	Bound       uint32
	NAPI        uint32
	Checks      []Check
}

// NICStep is struct zrx_nic_step.
type NICStep struct {
	Setting string
	Command string
}

// NICProof is struct zrx_nic_proof.
type NICProof struct {
	Verdict       uint32
	Bytes         uint64
	Buffers       uint64
	CopiedBytes   uint64
	CopiedBuffers uint64
	Chunks        uint64
	NICChunks     uint64
	QueueBytes    uint64
	QueuePackets  uint64
	EarlyBytes    uint64
	AllocFailures uint64
	Queue         uint32
	QueueNAPI     uint32
	SocketNAPI    uint32
	MTU           uint32
	BufferBytes   uint32
	Checks        []Check
}
