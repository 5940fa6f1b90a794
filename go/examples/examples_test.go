// SPDX-License-Identifier: MIT

//go:build linux

package examples

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// messages are what a program writes to standard error; the first line is sent to first.
type messages struct {
	text  bytes.Buffer
	first chan string
	told  bool
}

func (m *messages) String() string { return m.text.String() }

func (m *messages) Write(p []byte) (int, error) {
	n, err := m.text.Write(p)
	if line, _, whole := strings.Cut(m.String(), "\n"); whole && !m.told {
		m.told = true
		m.first <- line
	}
	return n, err
}

// program is an example that runs. What it wrote can be read once Wait has returned.
type program struct {
	*exec.Cmd
	out     bytes.Buffer
	errors  messages
	line    string // the first of errors
	address string
}

// directory is where the examples are built, each once.
var directory string

func TestMain(m *testing.M) {
	var err error
	if directory, err = os.MkdirTemp("", "zcrx-examples"); err != nil {
		log.Fatal(err)
	}
	code := m.Run()
	os.RemoveAll(directory)
	os.Exit(code)
}

func build(t *testing.T, name string) (path string) {
	t.Helper()
	path = filepath.Join(directory, name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if text, err := exec.Command("go", "build", "-o", path, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return path
}

// start builds an example, runs it, and waits until it tells where it listens.
func start(t *testing.T, name string, arguments ...string) *program {
	t.Helper()
	return run(t, exec.Command(build(t, name), append([]string{"-listen", "127.0.0.1:0"}, arguments...)...))
}

func run(t *testing.T, command *exec.Cmd) *program {
	t.Helper()
	p := &program{Cmd: command, errors: messages{first: make(chan string, 1)}}
	if p.Stdout == nil {
		p.Stdout = &p.out
	}
	p.Stderr = &p.errors
	// A signal that is ignored where the tests run (SIGINT, in a shell's background) would be ignored by the example, too.
	// One that is handled has its default after exec.
	handled := make(chan os.Signal, 1)
	signal.Notify(handled, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
	err := p.Start()
	signal.Stop(handled)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill(); p.Wait() })
	select {
	case line := <-p.errors.first:
		p.line = line
		found := regexp.MustCompile(`listening on (\S+[0-9])`).FindStringSubmatch(line)
		if found == nil {
			t.Fatalf("%q", line)
		}
		p.address = found[1]
	case <-time.After(time.Minute):
		t.Fatal("does not listen")
	}
	return p
}

func (p *program) connect(t *testing.T, data []byte) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := conn.Write(data); err != nil {
		t.Fatal(err)
	}
	return conn
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
	recv := start(t, "recv", "-output", output, "-connections", "2", "-sha256", "-json")
	const size = 32 << 20
	var want []string
	for i := range 2 { // the second connects when the first has sent more than sockets hold
		data := random(size + i)
		want = append(want, hashOf(data))
		recv.connect(t, data).Close()
	}
	if err := recv.Wait(); err != nil {
		t.Fatal(err)
	}
	var result struct {
		Bytes  int
		SHA256 []string
	}
	if err := json.Unmarshal(recv.out.Bytes(), &result); err != nil {
		t.Fatal(err, recv.out.String())
	}
	if result.Bytes != 2*size+1 || strings.Join(result.SHA256, " ") != strings.Join(want, " ") {
		t.Errorf("%s", recv.out.String())
	}
	for i, suffix := range []string{".0", ".1"} {
		data, err := os.ReadFile(output + suffix)
		if err != nil || hashOf(data) != want[i] {
			t.Errorf("file %d: %d bytes, %v", i, len(data), err)
		}
	}
}

func TestRecvListensOnBothFamilies(t *testing.T) {
	recv := run(t, exec.Command(build(t, "recv"), "-listen", "[::]:0"))
	_, port, err := net.SplitHostPort(recv.address)
	if err != nil {
		t.Fatal(recv.address, err)
	}
	recv.address = net.JoinHostPort("127.0.0.1", port)
	recv.connect(t, []byte("four")).Close()
	if err := recv.Wait(); err != nil || !strings.Contains(recv.out.String(), " 4 bytes") {
		t.Errorf("%v: %s", err, recv.out.String())
	}
}

func TestRecvToStandardOutput(t *testing.T) {
	for _, name := range []string{"-", "/dev/stdout"} {
		recv := start(t, "recv", "-output", name, "-json")
		recv.connect(t, []byte("only this")).Close()
		if err := recv.Wait(); err != nil || recv.out.String() != "only this" || !strings.Contains(recv.errors.String(), `"bytes":9`) {
			t.Errorf("%s: %v: %q, %q", name, err, recv.out.String(), recv.errors.String())
		}
	}
}

func TestRecvSaysWhyItCannotWrite(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	toNobody := exec.Command(build(t, "recv"), "-listen", "127.0.0.1:0", "-output", "-")
	toNobody.Stdout = writer
	recv := run(t, toNobody)
	reader.Close()
	writer.Close()
	recv.connect(t, []byte("for nobody"))
	recv.Wait()
	if recv.ProcessState.ExitCode() != 1 || !strings.Contains(recv.errors.String(), "broken pipe") {
		t.Errorf("%v: %q", recv.ProcessState, recv.errors.String())
	}
	empty := exec.Command(toNobody.Path, "-listen", "127.0.0.1:0", "-output", "")
	if text, _ := empty.CombinedOutput(); empty.ProcessState.ExitCode() != 2 {
		t.Errorf("an empty name: %v: %s", empty.ProcessState, text)
	}
	few := exec.Command("sh", "-c", `ulimit -n 100; exec "$0" -listen 127.0.0.1:0 -connections 100`, toNobody.Path)
	if text, _ := few.CombinedOutput(); few.ProcessState.ExitCode() != 1 || !strings.Contains(string(text), "descriptors") {
		t.Errorf("few descriptors: %v: %s", few.ProcessState, text)
	}
}

func TestRecvEndsOrderlyAtASignal(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM} {
		recv := start(t, "recv")
		recv.connect(t, []byte("x"))
		recv.Process.Signal(signal)
		recv.Wait()
		status := recv.ProcessState.Sys().(syscall.WaitStatus)
		// It says so after the receiver was closed.
		if status.Signal() != signal || !strings.Contains(recv.errors.String(), "stopped by signal") {
			t.Errorf("%v: %v: %q", signal, recv.ProcessState, recv.errors.String())
		}
	}
}

// half sends the head of a PUT and half of its body, and waits until the server stores it.
func half(t *testing.T, upload *program, directory string, data []byte) net.Conn {
	t.Helper()
	conn := upload.connect(t, fmt.Appendf(nil, "PUT /file HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", len(data)))
	if _, err := conn.Write(data[:len(data)/2]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the upload begins", func() bool { return len(files(t, directory)) > 0 })
	return conn
}

func files(t *testing.T, directory string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not so after a minute: ", what)
		}
	}
}

func TestUploadLetsRequestsEnd(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP} {
		directory := t.TempDir()
		upload := start(t, "upload", "-directory", directory)
		data := random(5 << 20)
		conn := half(t, upload, directory, data)
		upload.Process.Signal(signal)
		eventually(t, "the server does not listen any more", func() bool {
			another, err := net.Dial("tcp", upload.address)
			if err == nil {
				another.Close()
			}
			return err != nil
		})
		if _, err := conn.Write(data[len(data)/2:]); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusCreated || string(answer) != hashOf(data)+"\n" {
			t.Errorf("%d %q, %v", response.StatusCode, answer, err)
		}
		if err := upload.Wait(); err != nil {
			t.Errorf("after %v: %v: %s", signal, err, upload.errors.String())
		}
		if stored, err := os.ReadFile(filepath.Join(directory, "file")); err != nil || !bytes.Equal(stored, data) {
			t.Errorf("%d bytes stored, %v", len(stored), err)
		}
	}
}

func TestUploadLeavesNoHalfFiles(t *testing.T) {
	directory := t.TempDir()
	upload := start(t, "upload", "-directory", directory, "-grace", "10ms")
	half(t, upload, directory, random(5<<20))
	upload.Process.Signal(syscall.SIGTERM)
	if err := upload.Wait(); err == nil || !strings.Contains(upload.errors.String(), "cut off") {
		t.Errorf("%v: %s", err, upload.errors.String())
	}
	if left := files(t, directory); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
}

func TestUpload(t *testing.T) {
	directory := t.TempDir()
	upload := start(t, "upload", "-directory", directory)
	data := random(5 << 20)
	request, err := http.NewRequest("PUT", "http://"+upload.address+"/file", bytes.NewReader(data))
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
	upload.Process.Signal(syscall.SIGTERM)
	if err := upload.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}
