// SPDX-License-Identifier: MIT

//go:build linux

package examples

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// start builds an example and runs it; it returns where it listens.
func start(t *testing.T, name string, arguments ...string) (command *exec.Cmd, out *bytes.Buffer, address string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), name)
	if text, err := exec.Command("go", "build", "-o", program, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	out = new(bytes.Buffer)
	command = exec.Command(program, append([]string{"-listen", "127.0.0.1:0"}, arguments...)...)
	command.Stdout = out
	messages, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(2*time.Minute, func() { command.Process.Kill() })
	t.Cleanup(func() { late.Stop(); command.Process.Kill(); command.Wait() })
	line, err := bufio.NewReader(messages).ReadString('\n')
	found := regexp.MustCompile(`listening on ([0-9.:]+)`).FindStringSubmatch(line)
	if err != nil || found == nil {
		t.Fatalf("%q, %v", line, err)
	}
	go io.Copy(io.Discard, messages)
	return command, out, found[1]
}

func random(size int) []byte {
	data := make([]byte, size)
	source := rand.NewChaCha8([32]byte{1})
	source.Read(data)
	return data
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func TestRecv(t *testing.T) {
	output := filepath.Join(t.TempDir(), "output")
	command, out, address := start(t, "recv", "-output", output, "-connections", "2", "-sha256", "-json")
	const size = 32 << 20
	var want []string
	for i := range 2 { // the second connects when the first has sent more than sockets hold
		data := random(size + i)
		want = append(want, hashOf(data))
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write(data); err != nil {
			t.Fatal(err)
		}
		conn.(*net.TCPConn).CloseWrite()
	}
	if err := command.Wait(); err != nil {
		t.Fatal(err)
	}
	var result struct {
		Bytes  int
		SHA256 []string
	}
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		t.Fatal(err, out)
	}
	if result.Bytes != 2*size+1 || strings.Join(result.SHA256, " ") != strings.Join(want, " ") {
		t.Errorf("%s", out)
	}
	for i, suffix := range []string{".0", ".1"} {
		data, err := os.ReadFile(output + suffix)
		if err != nil || hashOf(data) != want[i] {
			t.Errorf("file %d: %d bytes, %v", i, len(data), err)
		}
	}
}

func TestUpload(t *testing.T) {
	directory := t.TempDir()
	command, _, address := start(t, "upload", "-directory", directory)
	data := random(5 << 20)
	request, err := http.NewRequest("PUT", "http://"+address+"/file", bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || response.StatusCode != http.StatusCreated || string(answer) != hashOf(data)+"\n" {
		t.Errorf("%d %q, %v", response.StatusCode, answer, err)
	}
	stored, err := os.ReadFile(filepath.Join(directory, "file"))
	if err != nil || !bytes.Equal(stored, data) {
		t.Errorf("%d bytes stored, %v", len(stored), err)
	}
	http.DefaultClient.CloseIdleConnections()
	command.Process.Signal(syscall.SIGTERM)
	if err := command.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}
