// SPDX-License-Identifier: MIT

//go:build linux

package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"slices"
	"time"
)

// peer is the sender and what it connects to.
type peer struct {
	listener net.Listener
	sender   *exec.Cmd
}

const senderPatience = time.Minute

func listen() *peer {
	host := os.Getenv("ZRX_RIG_LOCAL")
	if host == "" {
		host = "127.0.0.1"
	}
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	listener, err := config.Listen(context.Background(), "tcp", net.JoinHostPort(host, "0"))
	check(err == nil, "listen: %v", err)
	return &peer{listener: listener}
}

func (p *peer) port() uint16 { return uint16(p.listener.Addr().(*net.TCPAddr).Port) }

// start starts the sender: a command line, to which where and what to send is added.
func (p *peer) start(s *scenario, sender []string) {
	words := slices.Concat(sender, []string{p.listener.Addr().String()}, s.words)
	if namespace := os.Getenv("ZRX_RIG_PEER_NETNS"); namespace != "" {
		words = append([]string{"ip", "netns", "exec", namespace}, words...)
	}
	p.sender = exec.Command(words[0], words[1:]...)
	p.sender.Stdout, p.sender.Stderr = os.Stdout, os.Stderr
	err := p.sender.Start()
	check(err == nil, "cannot start the sender: %v", err)
}

func (p *peer) accept() net.Conn {
	conn, err := p.listener.Accept()
	check(err == nil, "accept: %v", err)
	return conn
}

func (p *peer) goOn(conn net.Conn) {
	_, err := conn.Write([]byte{0})
	check(err == nil, "the sender left before it was let go on: %v", err)
}

func (p *peer) wait() {
	p.listener.Close()
	late := time.AfterFunc(senderPatience, func() { fail("the sender is still there after %v", senderPatience) })
	err := p.sender.Wait()
	late.Stop()
	check(err == nil, "the sender failed: %v", err)
}
