// SPDX-License-Identifier: MIT

// Package core is the C library seen from Go: the same calls, with Go's types, one crossing for a batch.
// It is the only package that knows C. What it hands out has C's rules, which package zcrx makes safe.
package core

//go:generate ../../../bindings/generate

import "unsafe"

// Receiver is a handle of the C library.
type Receiver struct{ pointer unsafe.Pointer }

// Group is a handle of the C library.
type Group struct{ pointer unsafe.Pointer }

// Buffer is struct zrx_buffer. Its pointers point outside of Go's heap, and are numbers here: so neither the garbage collector nor
// cgo, which checks each pointer that it passes, has anything to look at in a list of Buffers.
type Buffer struct {
	Data       uintptr // 0 where the memory has no CPU view
	Offset     uint64
	Area       uintptr // 0: no buffer
	Slot       uint32
	Generation uint32
	Length     uint32
	_          uint32
}

// View is where the bytes are; nil where the memory has no CPU view.
func (b *Buffer) View() unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&b.Data)) }

// Bytes is the view that the buffer is; nil where the memory has none.
func (b *Buffer) Bytes() []byte {
	return unsafe.Slice((*byte)(b.View()), b.Length)
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
	WindowBytes   uint64
	AreaMaxBytes  uint64
	BusyPollUs    uint32
	Processor     uint32
}

// GroupOptions is struct zrx_group_options. Zero is the default.
type GroupOptions struct {
	Flags        uint32
	Count        uint32
	InboxEntries uint32
	Receiver     Options
}

// StreamOptions is struct zrx_stream_options. Zero is the default.
type StreamOptions struct {
	Limit       uint64
	Tag         uint64
	WindowBytes uint64
}

// Refusal is why an engine is not used, or cannot be.
type Refusal struct {
	Engine uint32
	Why    Error
}
