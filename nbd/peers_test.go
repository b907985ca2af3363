//go:build cgo

package nbd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"vbk/nbd"
)

// need skips, or fails where peers are required, without the programs.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			out = failed.Stderr
		}
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// start runs a server that takes its listening socket from us, by systemd's
// protocol: it can be dialled at once.
func start(t *testing.T, args ...string) (socket string, server *exec.Cmd) {
	t.Helper()
	folder, err := os.MkdirTemp("", "nbd")
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(folder, "socket")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	file, err := listener.File()
	if err != nil {
		t.Fatal(err)
	}
	server = exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"`, "sh"}, args...)...)
	server.ExtraFiles = []*os.File{file}
	server.Stderr = os.Stderr
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	listener.Close()
	file.Close()
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		os.RemoveAll(folder)
	})
	return socket, server
}

func readAll(t *testing.T, c *nbd.Conn) []byte {
	t.Helper()
	data := garbage(int(c.Size()))
	var reads []nbd.Read
	for offset := 0; offset < len(data); offset += 1 << 20 {
		reads = append(reads, nbd.Read{Offset: int64(offset), Data: data[offset:min(offset+1<<20, len(data))]})
	}
	if err := c.ReadBatch(t.Context(), reads); err != nil {
		t.Fatal(err)
	}
	return data
}

// nbdinfo's map of one context, as extents whose state is in Zero.
func nbdinfo(t *testing.T, socket, context string, set func(kind int) bool) []nbd.Extent {
	t.Helper()
	var entries []struct {
		Offset, Length int64
		Type           int
	}
	out := command(t, "nbdinfo", "--json", "--map="+context, "nbd+unix:///?socket="+socket)
	if err := json.Unmarshal([]byte(out), &entries); err != nil {
		t.Fatal(err)
	}
	var extents []nbd.Extent
	for _, e := range entries {
		extents = append(extents, nbd.Extent{Offset: e.Offset, Length: e.Length, Zero: set(e.Type)})
	}
	return merge(extents)
}

func merge(extents []nbd.Extent) []nbd.Extent {
	var merged []nbd.Extent
	for _, e := range extents {
		if n := len(merged); n > 0 && merged[n-1].Zero == e.Zero && merged[n-1].Dirty == e.Dirty {
			merged[n-1].Length += e.Length
			continue
		}
		merged = append(merged, e)
	}
	return merged
}

func TestQemuBitmap(t *testing.T) {
	need(t, "qemu-img", "qemu-io", "qemu-nbd", "nbdinfo")
	image := filepath.Join(t.TempDir(), "disk.qcow2")
	const size = 64<<20 + 3*512
	command(t, "qemu-img", "create", "-q", "-f", "qcow2", image, "67110400")
	command(t, "qemu-io", "-c", "write -P 0x11 0 5M", "-c", "write -P 0x22 20M 100k", "-c", "write -P 0x33 67109888 512", image)
	command(t, "qemu-img", "bitmap", "--add", image, "b")
	command(t, "qemu-io", "-c", "write -P 0x44 1M 64k", "-c", "write -z 2M 1M", "-c", "write -P 0x55 40M 3000", "-c", "write -z 67109888 512", image)
	raw := image + ".raw"
	command(t, "qemu-img", "convert", "-O", "raw", image, raw)
	want, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	socket, _ := start(t, "qemu-nbd", "-t", "-e", "4", "-r", "-f", "qcow2", "-B", "b", image)
	c := dial(t, socket, "", nbd.Options{Bitmap: "b"})
	if c.Size() != size || len(want) != size {
		t.Fatalf("%d bytes", c.Size())
	}
	if err := c.Prime(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(readAll(t, c), want) {
		t.Error("the data differs from qemu-img's")
	}
	extents, err := c.Extents(t.Context(), 0, size)
	if err != nil {
		t.Fatal(err)
	}
	var zero, dirty []nbd.Extent
	for _, e := range extents {
		zero = append(zero, nbd.Extent{Offset: e.Offset, Length: e.Length, Zero: e.Zero})
		dirty = append(dirty, nbd.Extent{Offset: e.Offset, Length: e.Length, Zero: e.Dirty})
		if area := want[e.Offset : e.Offset+e.Length]; e.Zero && len(bytes.Trim(area, "\x00")) > 0 {
			t.Errorf("%+v is not zero", e)
		}
	}
	if got, want := merge(zero), nbdinfo(t, socket, "base:allocation", func(kind int) bool { return kind&2 != 0 }); !reflect.DeepEqual(got, want) {
		t.Errorf("allocation\ngot  %v\nwant %v", got, want)
	}
	if got, want := merge(dirty), nbdinfo(t, socket, "qemu:dirty-bitmap:b", func(kind int) bool { return kind == 1 }); !reflect.DeepEqual(got, want) || len(got) < 5 {
		t.Errorf("bitmap\ngot  %v\nwant %v", got, want)
	}
	if _, err := nbd.Dial(t.Context(), socket, "", nbd.Options{Bitmap: "c"}); err == nil {
		t.Error("a bitmap that is not exported was found")
	}
}

func TestRestoreIntoQemu(t *testing.T) {
	need(t, "qemu-img", "qemu-nbd")
	const size = 9<<20 + 1536
	for _, format := range []string{"qcow2", "raw"} {
		t.Run(format, func(t *testing.T) {
			image := filepath.Join(t.TempDir(), "disk")
			command(t, "qemu-img", "create", "-q", "-f", format, image, "9438720")
			socket, server := start(t, "qemu-nbd", "-f", format, "--discard=unmap", image)
			want := pattern(size)
			var writes []nbd.Write
			for offset := 0; offset < size; offset += 1 << 20 {
				writes = append(writes, nbd.Write{Offset: int64(offset), Data: want[offset:min(offset+1<<20, size)]})
			}
			c := dial(t, socket, "", nbd.Options{})
			if err := c.WriteBatch(t.Context(), writes); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(c.Zero(3<<20-100, 2<<20), c.Flush(), c.Close()); err != nil {
				t.Fatal(err)
			}
			clear(want[3<<20-100 : 5<<20-100])
			if err := server.Wait(); err != nil { // it leaves after its last client
				t.Fatal(err)
			}
			command(t, "qemu-img", "convert", "-O", "raw", "-f", format, image, image+".raw")
			got, err := os.ReadFile(image + ".raw")
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, %v; the data differs", len(got), err)
			}
		})
	}
}

func TestNbdkitSizes(t *testing.T) {
	need(t, "nbdkit")
	for _, size := range []string{"1", "511", "512", "4097", "1048575", "1048577", "5000001"} {
		for _, args := range [][]string{nil, {"--no-sr"}, {"--filter=noextents"}} {
			socket, _ := start(t, append(append([]string{"nbdkit", "-f"}, args...), "pattern", size)...)
			c := dial(t, socket, "", nbd.Options{})
			data := readAll(t, c)
			for i := 0; i+8 <= len(data); i += 8 { // the plugin's words are their own offset
				if word := int(data[i+7]) | int(data[i+6])<<8 | int(data[i+5])<<16 | int(data[i+4])<<24; word != i {
					t.Fatalf("%s bytes, %v: %d at %d", size, args, word, i)
				}
			}
			extents, err := c.Extents(t.Context(), 0, c.Size())
			if want := []nbd.Extent{{0, c.Size(), false, true}}; err != nil || !reflect.DeepEqual(extents, want) {
				t.Errorf("%v, %v", extents, err)
			}
			c.Close()
		}
	}
}

func TestNbdkitSparse(t *testing.T) {
	need(t, "nbdkit", "nbdinfo")
	socket, _ := start(t, "nbdkit", "-f", "data", "data=@1048576 1 2 3 @104857600 4 @7516192768 5", "size=8000000001")
	c := dial(t, socket, "", nbd.Options{})
	extents, err := c.Extents(t.Context(), 0, c.Size())
	if err != nil {
		t.Fatal(err)
	}
	for i := range extents {
		extents[i].Dirty = false
	}
	want := nbdinfo(t, socket, "base:allocation", func(kind int) bool { return kind&2 != 0 })
	if !reflect.DeepEqual(extents, want) || len(want) != 7 {
		t.Errorf("got  %v\nwant %v", extents, want)
	}
}

func TestNbdkitFailures(t *testing.T) {
	need(t, "nbdkit")
	for _, test := range []struct {
		name string
		args []string
		say  string
	}{
		{"read error", []string{"--filter=error", "memory", "8M", "error-pread=EIO", "error-pread-rate=100%"}, "input/output error"},
		{"read error, simple", []string{"--no-sr", "--filter=error", "memory", "8M", "error-pread=ENOSPC", "error-pread-rate=100%"}, "no space left"},
		{"unaligned", []string{"--filter=blocksize-policy", "memory", "8M", "blocksize-minimum=512", "blocksize-maximum=1M", "blocksize-error-policy=error"}, "minimum block of 512 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			socket, _ := start(t, append([]string{"nbdkit", "-f"}, test.args...)...)
			c := dial(t, socket, "", nbd.Options{})
			err := c.ReadBatch(t.Context(), []nbd.Read{{Offset: 1, Data: garbage(1 << 20)}})
			mustFail(t, c, err)
			if !strings.Contains(err.Error(), test.say) {
				t.Errorf("%q lacks %q", err, test.say)
			}
		})
	}
	t.Run("extents error", func(t *testing.T) {
		socket, _ := start(t, "nbdkit", "-f", "--filter=error", "memory", "8M", "error-extents=EIO", "error-extents-rate=100%")
		c := dial(t, socket, "", nbd.Options{})
		_, err := c.Extents(t.Context(), 0, c.Size())
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("%v", err)
		}
		mustFail(t, c, err)
	})
}

// The server's largest request is honoured: nbdkit would refuse a larger one.
func TestNbdkitMaximum(t *testing.T) {
	need(t, "nbdkit")
	socket, _ := start(t, "nbdkit", "-f", "--filter=blocksize-policy", "--filter=truncate", "pattern", "6000000", "truncate=6000128",
		"blocksize-minimum=512", "blocksize-preferred=4096", "blocksize-maximum=64K", "blocksize-error-policy=error")
	c := dial(t, socket, "", nbd.Options{})
	if err := c.Prime(t.Context()); err != nil {
		t.Error(err)
	}
	data := readAll(t, c)
	if len(data) != 6000128 || !bytes.Equal(data[6000000:], make([]byte, 128)) || data[6000000-1] != 5999992&0xff {
		t.Error("wrong data")
	}
}

func TestNbdkitStallsOrDies(t *testing.T) {
	need(t, "nbdkit")
	slow := []string{"nbdkit", "-f", "--filter=delay", "memory", "64M", "rdelay=3600", "delay-extents=3600"}
	t.Run("deadline", func(t *testing.T) {
		socket, _ := start(t, slow...)
		c := dial(t, socket, "", nbd.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := c.Prime(ctx)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		mustFail(t, c, err)
	})
	t.Run("killed", func(t *testing.T) {
		socket, server := start(t, slow...)
		c := dial(t, socket, "", nbd.Options{})
		go func() { _ = server.Process.Kill() }()
		_, err := c.ReadAt(garbage(1<<20), 0)
		mustFail(t, c, err)
	})
}
