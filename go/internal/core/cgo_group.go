// SPDX-License-Identifier: MIT

//go:build linux && cgo

package core

// #include <stdlib.h>
// #include <zcrx.h>
//
// // Go may not pass a struct that points to another of Go's.
// static int open_group(struct zrx_group **group, const struct zrx_group_options *options,
//                       const struct zrx_options *receiver, struct zrx_error *error)
// {
// 	struct zrx_group_options whole = *options;
//
// 	whole.receiver = receiver;
// 	return zrx_group_open(group, &whole, error);
// }
import "C"

import "unsafe"

func (g Group) c() *C.struct_zrx_group { return (*C.struct_zrx_group)(g.pointer) }

// OpenGroup opens a group; on failure the error's code is not 0.
func OpenGroup(o *GroupOptions) (Group, Error) {
	receiver, free := cOptions(&o.Receiver)
	defer free()
	options := C.struct_zrx_group_options{
		size:          C.sizeof_struct_zrx_group_options,
		flags:         C.uint32_t(o.Flags),
		count:         C.uint32_t(o.Count),
		inbox_entries: C.uint32_t(o.InboxEntries),
	}
	failure := C.struct_zrx_error{size: C.sizeof_struct_zrx_error}
	var group *C.struct_zrx_group
	if code := C.open_group(&group, &options, receiver, &failure); code != 0 {
		return Group{}, goError(&failure)
	}
	return Group{unsafe.Pointer(group)}, Error{}
}

// Close closes the group: 0, CloseDeferred or a negative errno.
func (g Group) Close() int { return int(C.zrx_group_close(g.c())) }

// Receivers are those of the group, all of which are open.
func (g Group) Receivers() []Receiver {
	receivers := make([]Receiver, C.zrx_group_count(g.c()))
	for i := range receivers {
		receivers[i] = Receiver{unsafe.Pointer(C.zrx_group_receiver(g.c(), C.uint32_t(i)))}
	}
	return receivers
}

// Add hands a socket over; on failure the error's code is not 0.
func (g Group) Add(fd uintptr, o *StreamOptions) Error {
	options := cStreamOptions(o)
	failure := C.struct_zrx_error{size: C.sizeof_struct_zrx_error}
	if C.zrx_group_add(g.c(), C.int(fd), &options, &failure) != 0 {
		return goError(&failure)
	}
	return Error{}
}

// Listen accepts the connections of a listening socket; on failure the error's code is not 0.
func (g Group) Listen(fd uintptr, o *StreamOptions) Error {
	options := cStreamOptions(o)
	failure := C.struct_zrx_error{size: C.sizeof_struct_zrx_error}
	if C.zrx_group_listen(g.c(), C.int(fd), &options, &failure) != 0 {
		return goError(&failure)
	}
	return Error{}
}

// Stats reads the counters of the group and of its receivers, of which there are count.
func (g Group) Stats(count int) GroupStats {
	memory := C.calloc(C.size_t(count+1), C.sizeof_struct_zrx_stats) // outside of Go's heap: the struct points to it
	defer C.free(memory)
	list := unsafe.Slice((*C.struct_zrx_stats)(memory), count+1)
	sum, each := &list[count], list[:count]
	sum.size, list[0].size = C.sizeof_struct_zrx_stats, C.sizeof_struct_zrx_stats
	s := C.struct_zrx_group_stats{size: C.sizeof_struct_zrx_group_stats, sum: sum}
	s.receivers, s.receiver_capacity = &list[0], C.uint32_t(count)
	C.zrx_group_stats(g.c(), &s)
	receivers := make([]Stats, count)
	for i := range each {
		receivers[i] = goStats(&each[i])
	}
	return goGroupStats(&s, goStats(sum), receivers)
}
