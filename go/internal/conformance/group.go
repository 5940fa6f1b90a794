// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	zcrx "github.com/zcrx/zcrx/go"
)

// member is a receiver of the group, and what a channel knows of its streams.
type member struct {
	x       *executor
	rx      *zcrx.Receiver
	streams map[zcrx.StreamID]numbered
}

// numbered is a connection by its name: of those that the group accepts, the port of the peer.
type numbered struct {
	number uint64
	*connection
}

func (x *executor) openGroup(_ *strings.Builder, words []string) (string, error) {
	option, options, err := optionsOf(words[1:])
	if err != nil {
		return "", err
	}
	x.connections = nil
	x.group, err = zcrx.OpenGroup(zcrx.GroupOptions{
		Options: options, Count: int(number(words[0])), InboxEntries: int(optional(option["inbox_entries"])),
		SharedQueue: option["shared_queue"] == "1",
	})
	if err != nil {
		x.group = nil
		return "", err
	}
	for _, rx := range x.group.Receivers() {
		x.members = append(x.members, member{x, rx, make(map[zcrx.StreamID]numbered)})
	}
	return x.members[0].rx.Info().Engine.String(), nil
}

func (x *executor) closeGroup() error {
	group := x.group
	x.group, x.members = nil, nil
	return group.Close()
}

func (x *executor) groupAdd(_ *strings.Builder, words []string) (string, error) {
	return "", x.group.Add(x.of(words[0]).conn, zcrx.Tag(number(words[0])), zcrx.Limit(number(words[1])))
}

func (x *executor) groupListen(_ *strings.Builder, words []string) (string, error) {
	return "", x.group.AcceptFrom(x.listener, zcrx.Tag(number(words[0])))
}

func (x *executor) groupStats(*strings.Builder, []string) (string, error) {
	stats := x.group.Stats()
	sum := strings.ReplaceAll(" "+pairs(stats.Sum), " ", " sum_")
	own, _, _ := strings.Cut(pairs(stats), " Sum=")
	return own + sum, nil
}

// ---- on the channel of the receiver ----

func (m *member) leave(*strings.Builder, []string) (string, error) { return "done", m.rx.Close() }

func (m *member) receive(facts *strings.Builder, words []string) (string, error) {
	return m.x.receiveFrom(m.rx, m.report, facts, words)
}

func (m *member) report(e *zcrx.Event, hold bool) string {
	arrival := e.Arrival()
	switch {
	case arrival == nil:
		c := m.streams[e.Stream]
		return m.x.reportOf(c.connection, c.number, e, hold)
	case e.Kind == zcrx.Added:
		return m.added(e, arrival)
	}
	var failed syscall.Errno
	errors.As(e.Err, &failed)
	return fmt.Sprintf("refused %d %d %s\n", e.Tag, failed, flagsOf(arrival))
}

func (m *member) added(e *zcrx.Event, arrival *zcrx.Arrival) string {
	c := numbered{number: e.Tag}
	if arrival.Accepted {
		c.number = uint64(arrival.Conn.RemoteAddr().(*net.TCPAddr).Port)
		c.connection = &connection{place: c.number}
		arrival.Conn.Close()
	} else if c.connection = &m.x.connections[e.Tag]; arrival.Conn != c.conn {
		return fmt.Sprintf("odd connection %v\n", arrival.Conn)
	}
	m.streams[e.Stream] = c
	return fmt.Sprintf("added %x %d %d %s\n", e.Stream, c.number, e.Tag, flagsOf(arrival))
}

func flagsOf(arrival *zcrx.Arrival) string {
	var flags []string
	if arrival.Listener {
		flags = append(flags, "listener")
	}
	if arrival.Accepted {
		flags = append(flags, "accepted")
	}
	if arrival.Copied {
		flags = append(flags, "copied")
	}
	if flags == nil {
		return "-"
	}
	return strings.Join(flags, ",")
}
