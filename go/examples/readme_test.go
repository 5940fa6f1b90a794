// SPDX-License-Identifier: MIT

//go:build linux

package examples

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What the README's program on a group needs around it.
const (
	before = `package main

import (
	"io"
	"log"
	"net"

	zcrx "github.com/zcrx/zcrx/go"
)

func main() {
`
	after = "}\n"
)

// The README's server runs as it is written there, but for the port.
func TestREADMEServer(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var text string
	for _, block := range strings.Split(string(readme), "```go\n")[1:] {
		if block, _, _ = strings.Cut(block, "```\n"); strings.Contains(block, "OpenGroup") {
			text = block
		}
	}
	anyPort := strings.Replace(text, `":5000"`, `"127.0.0.1:0"`, 1)
	if lines := strings.Count(text, "\n"); lines == 0 || lines >= 20 || anyPort == text {
		t.Fatalf("%d lines: %s", lines, text)
	}
	source := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(source, []byte(before+anyPort+after), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(directory, "readme")
	if out, err := exec.Command("go", "build", "-o", path, source).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	server := run(t, exec.Command(path))
	for range 8 {
		data := random(100000)
		conn := server.connect(t, data)
		conn.(*net.TCPConn).CloseWrite()
		if answer, err := io.ReadAll(conn); err != nil || !bytes.Equal(answer, data) {
			t.Errorf("%d bytes, %v", len(answer), err)
		}
	}
}
