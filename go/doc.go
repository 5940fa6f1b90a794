// SPDX-License-Identifier: MIT

// Package zcrx receives TCP into buffers that are views, not copies.
//
// Where the NIC, its driver and the kernel can do io_uring zero-copy receive (zcrx), the bytes that a program sees are the memory that
// the NIC wrote. Everywhere else the same program runs on the best engine there is: [Receiver.Info] tells which, and why no
// better one.
//
// # Receiving
//
// A [Receiver] owns an area of memory and an operating system thread. Connections are added to it, and then
//
//   - [Receiver.Receive] calls a function with the events of all of them: the cheapest way, one crossing into C for a batch;
//   - [Receiver.Events] is the same as an iterator in the caller's goroutine;
//   - a [Stream] reads one connection: an io.Reader, an io.WriterTo that passes views to Write, and [Stream.Next] for
//     views one by one;
//   - a [Group] is several receivers that share the connections of a server, one for each of several processors or NIC queues;
//   - a [Listener] makes connections whose Read goes through a receiver, or those of a group: an http.Server can sit on it.
//
// The bytes of a stream are delivered once and in order, and then its end or an error, once.
//
// # Buffers
//
// The buffer of an event is lent until the function that got it returns. [Buffer.Take] makes it the caller's until
// [Buffer.Release], which any goroutine may call, in any order; [ReleaseAll] releases many at once. A taken buffer stays valid and
// unchanged whatever happens to its connection, stream or receiver: also after [Receiver.Close].
//
// A Buffer that is used too late panics; it does not show other bytes. A second release is refused with [ErrReleased]. A taken buffer
// that is forgotten is counted in [Stats].Forgotten when the garbage collector finds it. Its memory is given back only if its bytes
// were never asked for: a slice may be in use still, which the garbage collector cannot see. So each forgotten Release
// may cost memory of the area until the process ends. What cannot be detected is a slice that is used after Release.
//
// # Memory
//
// A connection's buffers hold no more of the area than its [Window]; one that is at it waits, by TCP's means, until some come back, and then
// goes on by itself: nothing is lost, and there is no event. So a consumer that stalls, be it a Stream that nobody reads, a function that keeps what
// it takes, or a handler that does not read its request, costs itself and nobody else. [Stats].Paused tells how many connections wait so,
// [Receiver.StreamStats] how much one holds. [Receiver.Pause] has a connection wait at will. An area can grow where [Options].AreaMaxBytes says so.
//
// # Goroutines
//
// All methods may be called by any number of goroutines at once. Calls that the kernel allows on one thread only are made on the
// receiver's own thread. The function that Receive calls runs on it too, so it should not block. One Receive or Events runs at a time for each receiver; a
// program that wants more processors at work opens a [Group].
//
// Events of connections added by [Receiver.Add] wait for the next Receive or Events while there is none, in buffers that count for
// their windows.
//
// # Groups
//
// [OpenGroup] opens several receivers, each with a thread, an area and, on a NIC, a queue of its own. A server on them is
//
//	group, err := zcrx.OpenGroup(zcrx.GroupOptions{})
//	...
//	err = http.Serve(group.Listen(listener), handler)
//
// Each connection goes to the receiver at whose queue it arrives, else to the one with the fewest. [Group.AcceptFrom] and [Group.Add]
// give the connections to [Receiver.Receive] instead, by an Added event. [Group.Close] closes all of it, in whatever order the
// receivers are closed otherwise.
//
// # Zero-copy
//
// Name the interface in [Options], and run with CAP_NET_ADMIN:
//
//	rx, err := zcrx.Open(zcrx.Options{Interface: "eth0", RequireZeroCopy: true})
//
// Open sets the NIC up (header/data split, RSS, a flow rule for each connection that is added) and Close puts everything back. An error
// is an [*OpError]: its Hint says what to do. [Probe] tells what this machine can do before anything is opened,
// [InspectNIC] how an interface stands, and [PlanNIC] what Open would change. A program that receives with fewer rights is
// prepared for by [ApplyNIC] and, afterwards, [UndoNIC]; what a killed process left is put back by the next Open, or
// [RestoreNIC]. [ProveNIC] receives a stream and tells how much of it was copied, and why.
//
// # Building
//
// The package compiles the C core by cgo, with liburing (2.3 or newer) and libmnl; on Debian:
//
//	apt install gcc pkg-config liburing-dev libmnl-dev
//
// The build tag zcrx_system links an installed libzcrx instead. On other systems than Linux, and with CGO_ENABLED=0, the package
// compiles, and Open returns [ErrUnsupported] and says what to do.
package zcrx
