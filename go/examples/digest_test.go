// SPDX-License-Identifier: MIT

//go:build linux

package examples

import (
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	zcrx "github.com/zcrx/zcrx/go"
)

// startDigest returns the server, and where its metrics are.
func startDigest(t *testing.T, arguments ...string) (digest *program, metrics string) {
	t.Helper()
	digest = start(t, "digest", append([]string{"-metrics", "127.0.0.1:0"}, arguments...)...)
	found := regexp.MustCompile(`metrics on (\S+[0-9]),`).FindStringSubmatch(digest.line)
	if found == nil {
		t.Fatalf("%q", digest.line)
	}
	return digest, "http://" + found[1] + "/metrics"
}

// sample reads all metrics, by name and label.
func sample(t *testing.T, url string) map[string]uint64 {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Fatalf("%v, %v", response.Status, err)
	}
	values, typed := map[string]uint64{}, ""
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if strings.HasPrefix(line, "# TYPE ") && len(words) == 4 && (words[3] == "counter" || words[3] == "gauge") {
			typed = words[2]
		} else if !strings.HasPrefix(line, "# HELP ") {
			value, err := strconv.ParseUint(words[len(words)-1], 10, 64)
			if name, _, _ := strings.Cut(words[0], "{"); err != nil || len(words) != 2 || name != typed {
				t.Errorf("%q, after the type of %q", line, typed)
			}
			values[words[0]] = value
		}
	}
	return values
}

func digestOf(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Error(err)
	}
	if answer, err := io.ReadAll(conn); err != nil || string(answer) != want+"\n" {
		t.Errorf("%q, %v", answer, err)
	}
}

func TestDigest(t *testing.T) {
	for _, engine := range []zcrx.Engine{zcrx.EngineAuto, zcrx.EngineRecv} {
		digest, metrics := startDigest(t, "-receivers", "3", "-engine", engine.String(), "-pin")
		const uploads, size = 30, 1 << 20
		data := random(size + uploads)
		var all sync.WaitGroup
		var total uint64
		for i := range uploads {
			total += uint64(size + i)
			all.Add(1)
			go func() {
				defer all.Done()
				conn, err := net.Dial("tcp", digest.address)
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				if _, err := conn.Write(data[:size+i]); err != nil {
					t.Error(err)
				}
				digestOf(t, conn, hashOf(data[:size+i]))
			}()
		}
		all.Wait()
		values := sample(t, metrics)
		if values["zcrx_connections_total"] != uploads || values["zcrx_received_bytes_total"] != total || values["zcrx_receivers"] != 3 ||
			values["zcrx_connections_refused_total"] != 0 {
			t.Errorf("%v: %v", engine, values)
		}
		sum := uint64(0)
		for i := range 3 {
			each, found := values[`zcrx_receiver_received_bytes_total{receiver="`+strconv.Itoa(i)+`"}`]
			if sum += each; !found || each == 0 {
				t.Errorf("%v: receiver %d: %d bytes", engine, i, each)
			}
		}
		if sum != total {
			t.Errorf("%v: %d bytes of receivers, %d in all", engine, sum, total)
		}
		digest.Process.Signal(syscall.SIGTERM)
		if err := digest.Wait(); err != nil {
			t.Errorf("%v: %v: %s", engine, err, digest.errors.String())
		}
	}
}

func TestDigestLetsUploadsEnd(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		digest, metrics := startDigest(t, "-receivers", "2")
		data := random(3 << 20)
		conn := digest.connect(t, data[:1<<20])
		eventually(t, "the upload begins", func() bool { return sample(t, metrics)["zcrx_connections"] == 1 })
		digest.Process.Signal(signal)
		eventually(t, "the server does not listen any more", func() bool {
			another, err := net.Dial("tcp", digest.address)
			if err == nil {
				another.Close()
			}
			return err != nil
		})
		if _, err := conn.Write(data[1<<20:]); err != nil {
			t.Fatal(err)
		}
		digestOf(t, conn, hashOf(data))
		if err := digest.Wait(); err != nil {
			t.Errorf("after %v: %v: %s", signal, err, digest.errors.String())
		}
	}
}

func TestDigestCutsOffAfterTheGrace(t *testing.T) {
	digest, metrics := startDigest(t, "-receivers", "2", "-grace", "10ms")
	conn := digest.connect(t, random(1000))
	eventually(t, "the upload begins", func() bool { return sample(t, metrics)["zcrx_connections"] == 1 })
	digest.Process.Signal(syscall.SIGTERM)
	if err := digest.Wait(); err == nil || !strings.Contains(digest.errors.String(), "1 uploads were cut off") {
		t.Errorf("%v: %s", err, digest.errors.String())
	}
	if answer, _ := io.ReadAll(conn); len(answer) != 0 {
		t.Errorf("%q", answer)
	}
}

func TestDigestSaysWhatIsWrong(t *testing.T) {
	path := build(t, "digest")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		arguments []string
		code      int
		says      string
	}{
		{[]string{"--help"}, 0, "-receivers"},
		{[]string{"--no-such-flag"}, 2, "no-such-flag"},
		{[]string{"argument"}, 2, `"argument"`},
		{[]string{"--receivers", "1000"}, 1, "take 1 to 256"},
		{[]string{"--listen", taken.Addr().String()}, 1, "address already in use"},
		{[]string{"--listen", "127.0.0.1:0", "--metrics", taken.Addr().String()}, 1, "address already in use"},
		{[]string{"--listen", "127.0.0.1:0", "--interface", "no-such-nic"}, 1, "name a port"},
		{[]string{"--listen", "127.0.0.1:5000", "--engine", "zcrx", "--interface", "no-such-nic"}, 1, "no-such-nic"},
	} {
		command := exec.Command(path, c.arguments...)
		text, _ := command.CombinedOutput()
		if command.ProcessState.ExitCode() != c.code || !strings.Contains(string(text), c.says) {
			t.Errorf("%v: %v: %s", c.arguments, command.ProcessState, text)
		}
	}
}
