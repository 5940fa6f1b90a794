// SPDX-License-Identifier: MIT

//go:build linux && cgo

package core

// #cgo noescape zrx_receiver_receive
// #cgo nocallback zrx_receiver_receive
// #cgo noescape zrx_buffer_release
// #cgo nocallback zrx_buffer_release
// #cgo noescape zrx_event_release
// #cgo nocallback zrx_event_release
// #include <stdlib.h>
// #include <zcrx.h>
import "C"

import "unsafe"

// The Go structs that C reads and writes in place have C's layout.
var (
	_ [unsafe.Sizeof(Event{}) - C.sizeof_struct_zrx_event]struct{}
	_ [C.sizeof_struct_zrx_event - unsafe.Sizeof(Event{})]struct{}
	_ [unsafe.Sizeof(Buffer{}) - C.sizeof_struct_zrx_buffer]struct{}
	_ [C.sizeof_struct_zrx_buffer - unsafe.Sizeof(Buffer{})]struct{}
	_ [unsafe.Offsetof(Buffer{}.Length) - unsafe.Offsetof(C.struct_zrx_buffer{}.length)]struct{}
	_ [unsafe.Offsetof(C.struct_zrx_buffer{}.length) - unsafe.Offsetof(Buffer{}.Length)]struct{}
)

func (r Receiver) c() *C.struct_zrx_receiver { return (*C.struct_zrx_receiver)(r.pointer) }

// NewEvents makes room for a batch outside of Go's heap: it does not move, and cgo has nothing to check in it.
func NewEvents(count int) []Event {
	memory := C.calloc(C.size_t(count), C.sizeof_struct_zrx_event)
	return unsafe.Slice((*Event)(memory), count) // calloc of cgo does not return NULL
}

// FreeEvents frees what NewEvents made.
func FreeEvents(events []Event) { C.free(unsafe.Pointer(unsafe.SliceData(events))) }

// cOptions are the options as C takes them, until free is called.
func cOptions(o *Options) (options *C.struct_zrx_options, free func()) {
	options = &C.struct_zrx_options{
		size:           C.sizeof_struct_zrx_options,
		engine:         C.uint32_t(o.Engine),
		flags:          C.uint32_t(o.Flags),
		queue:          C.uint32_t(o.Queue),
		area_bytes:     C.uint64_t(o.AreaBytes),
		buffer_bytes:   C.uint32_t(o.BufferBytes),
		ring_entries:   C.uint32_t(o.RingEntries),
		refill_entries: C.uint32_t(o.RefillEntries),
		area_kind:      C.uint32_t(o.AreaKind),
		dmabuf_fd:      C.int32_t(o.DMABuf),
		nic_mode:       C.uint32_t(o.NICMode),
		steer:          C.uint32_t(o.Steer),
		steer_port:     C.uint32_t(o.SteerPort),
		window_bytes:   C.uint64_t(o.WindowBytes),
		area_max_bytes: C.uint64_t(o.AreaMaxBytes),
		busy_poll_us:   C.uint32_t(o.BusyPollUs),
		processor:      C.uint32_t(o.Processor),
	}
	options._interface, free = cName(o.Interface)
	return options, free
}

// cName is an interface's name as C takes it, NULL for none, until free is called.
func cName(name string) (text *C.char, free func()) {
	if name == "" {
		return nil, func() {}
	}
	text = C.CString(name)
	return text, func() { C.free(unsafe.Pointer(text)) }
}

func cStreamOptions(o *StreamOptions) C.struct_zrx_stream_options {
	return C.struct_zrx_stream_options{
		size:         C.sizeof_struct_zrx_stream_options,
		limit_bytes:  C.uint64_t(o.Limit),
		tag:          C.uint64_t(o.Tag),
		window_bytes: C.uint64_t(o.WindowBytes),
	}
}

// Open opens a receiver; on failure the error's code is not 0.
func Open(o *Options) (Receiver, Error) {
	options, free := cOptions(o)
	defer free()
	failure := C.struct_zrx_error{size: C.sizeof_struct_zrx_error}
	var receiver *C.struct_zrx_receiver
	if code := C.zrx_receiver_open(&receiver, options, &failure); code != 0 {
		return Receiver{}, goError(&failure)
	}
	return Receiver{unsafe.Pointer(receiver)}, Error{}
}

// Close closes the receiver: 0, CloseDeferred or a negative errno.
func (r Receiver) Close() int { return int(C.zrx_receiver_close(r.c())) }

// Add adds the socket; 0 or a negative errno.
func (r Receiver) Add(fd uintptr, o *StreamOptions) (stream uint64, code int) {
	var handle C.uint64_t
	options := cStreamOptions(o)
	code = int(C.zrx_receiver_add(r.c(), C.int(fd), &options, &handle))
	return uint64(handle), code
}

// Remove removes a stream; 0 or a negative errno.
func (r Receiver) Remove(stream uint64) int {
	return int(C.zrx_receiver_remove(r.c(), C.uint64_t(stream)))
}

// Pause pauses a stream; 0 or a negative errno.
func (r Receiver) Pause(stream uint64) int {
	return int(C.zrx_receiver_pause(r.c(), C.uint64_t(stream)))
}

// Resume lets a paused stream go on; 0 or a negative errno.
func (r Receiver) Resume(stream uint64) int {
	return int(C.zrx_receiver_resume(r.c(), C.uint64_t(stream)))
}

// StreamStats reads the figures of a stream; 0 or a negative errno.
func (r Receiver) StreamStats(stream uint64) (StreamStats, int) {
	s := C.struct_zrx_stream_stats{size: C.sizeof_struct_zrx_stream_stats}
	if code := C.zrx_stream_stats(r.c(), C.uint64_t(stream), &s); code != 0 {
		return StreamStats{}, int(code)
	}
	return goStreamStats(&s), 0
}

// Receive fills events and returns how many, or a negative errno. A negative timeout waits for ever.
func (r Receiver) Receive(events []Event, timeoutNS int64) int {
	first := (*C.struct_zrx_event)(unsafe.Pointer(unsafe.SliceData(events)))
	return int(C.zrx_receiver_receive(r.c(), first, C.uint32_t(len(events)), C.int64_t(timeoutNS)))
}

// Wake makes a receive that sleeps, or the next one, return.
func (r Receiver) Wake() { C.zrx_receiver_wake(r.c()) }

// LastError tells what the last failed call of the owner's thread was about.
func (r Receiver) LastError() Error {
	var failure C.struct_zrx_error
	failure.size = C.sizeof_struct_zrx_error
	C.zrx_receiver_error(r.c(), &failure)
	return goError(&failure)
}

// Stats reads the counters.
func (r Receiver) Stats() Stats {
	var s C.struct_zrx_stats
	s.size = C.sizeof_struct_zrx_stats
	C.zrx_receiver_stats(r.c(), &s)
	return goStats(&s)
}

// Info tells what was opened.
func (r Receiver) Info() Info {
	var i C.struct_zrx_info
	i.size = C.sizeof_struct_zrx_info
	C.zrx_receiver_info(r.c(), &i)
	return goInfo(&i, r.refused())
}

// refused tells for each engine that is better than the one in use why it is not.
func (r Receiver) refused() (refused []Refusal) {
	for engine := range uint32(EngineCount) {
		failure := C.struct_zrx_error{size: C.sizeof_struct_zrx_error}
		if C.zrx_receiver_refusal(r.c(), C.uint32_t(engine), &failure) == 1 {
			refused = append(refused, Refusal{engine, goError(&failure)})
		}
	}
	return refused
}

// ReleaseEvents releases the buffers of a batch; 0 or the first negative errno.
func ReleaseEvents(events []Event) int {
	first := (*C.struct_zrx_event)(unsafe.Pointer(unsafe.SliceData(events)))
	return int(C.zrx_event_release(first, C.uint32_t(len(events))))
}

// ReleaseBuffers releases buffers; 0 or the first negative errno.
func ReleaseBuffers(buffers []Buffer) int {
	first := (*C.struct_zrx_buffer)(unsafe.Pointer(unsafe.SliceData(buffers)))
	return int(C.zrx_buffer_release(first, C.uint32_t(len(buffers))))
}

// Probe asks what this kernel lets this process do.
func Probe() (Capabilities, int) {
	c := C.struct_zrx_capabilities{size: C.sizeof_struct_zrx_capabilities}
	checks, free := newChecks(ProbeChecks)
	defer free()
	c.checks, c.check_capacity = checks, ProbeChecks
	if code := C.zrx_probe(&c); code != 0 {
		return Capabilities{}, int(code)
	}
	var refused []Refusal
	for engine := range uint32(EngineCount) {
		failure := C.struct_zrx_error{size: C.sizeof_struct_zrx_error}
		if C.zrx_probe_refusal(C.uint32_t(engine), &failure) == 1 {
			refused = append(refused, Refusal{engine, goError(&failure)})
		}
	}
	return goCapabilities(&c, refused, goChecks(checks, min(c.check_count, ProbeChecks))), 0
}

// Version is that of the C library in use.
func Version() string { return C.GoString(C.zrx_version()) }

// EngineName is an engine's name, or "" if there is none of this number.
func EngineName(engine uint32) string { return C.GoString(C.zrx_engine_name(C.uint32_t(engine))) }

// StageName is a stage's name.
func StageName(stage uint32) string { return C.GoString(C.zrx_stage_name(C.uint32_t(stage))) }

// EngineByName is the reverse of EngineName; 0 or a negative errno.
func EngineByName(name string) (uint32, int) {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	var engine C.uint32_t
	code := C.zrx_engine_by_name(text, &engine)
	return uint32(engine), int(code)
}

// newChecks makes room for checks outside of Go's heap, until free is called.
func newChecks(capacity int) (checks *C.struct_zrx_check, free func()) {
	memory := C.calloc(C.size_t(capacity), C.sizeof_struct_zrx_check)
	return (*C.struct_zrx_check)(memory), func() { C.free(memory) }
}

func goChecks(checks *C.struct_zrx_check, count C.uint32_t) (out []Check) {
	list := unsafe.Slice(checks, count)
	for i := range list {
		out = append(out, goCheck(&list[i]))
	}
	return out
}
