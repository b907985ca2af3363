package executor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"vbk/nbd"
)

// connections to one qemu-nbd: writes to distant ranges overtake each other.
const connections = 4

// qcow2Target writes into a fresh qcow2 image through qemu-nbd.
type qcow2Target struct {
	path   string
	folder string // of the socket
	server *exec.Cmd
	output bytes.Buffer   // of the server
	exited chan error     // the server's end
	conns  chan *nbd.Conn // free ones
	all    []*nbd.Conn
}

func newQcow2Target(ctx context.Context, path string, size int64) (t *qcow2Target, err error) {
	t = &qcow2Target{path: path, exited: make(chan error, 1), conns: make(chan *nbd.Conn, connections)}
	defer func() {
		if err != nil {
			t.abandon()
		}
	}()
	if err := runTool(ctx, "qemu-img", "create", "-q", "-f", "qcow2", path, strconv.FormatInt(size, 10)); err != nil {
		return t, err
	}
	if t.folder, err = os.MkdirTemp("", "vbk-restore-"); err != nil {
		return t, err
	}
	if err := t.serve(); err != nil {
		return t, err
	}
	for range connections {
		conn, err := t.dial(ctx)
		if err != nil {
			return t, err
		}
		if conn.Size() < size {
			return t, fmt.Errorf("qemu-nbd exports %d bytes, the disk has %d", conn.Size(), size)
		}
		t.all = append(t.all, conn)
		t.conns <- conn
	}
	return t, nil
}

func (t *qcow2Target) socket() string { return filepath.Join(t.folder, "nbd") }

// serve starts qemu-nbd. It ends by itself with its last connection, so none
// stays behind if this process is killed; a context does not end it.
func (t *qcow2Target) serve() error {
	t.server = exec.Command("qemu-nbd", "--format=qcow2", "--cache=writeback",
		fmt.Sprintf("--shared=%d", connections), "--socket="+t.socket(), t.path)
	t.server.Stdout, t.server.Stderr = &t.output, &t.output
	if err := t.server.Start(); err != nil {
		t.server = nil
		return toolError("qemu-nbd", err, "")
	}
	go func() { t.exited <- t.server.Wait() }()
	return nil
}

// dial waits until the server listens.
func (t *qcow2Target) dial(ctx context.Context) (*nbd.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		if _, err := os.Stat(t.socket()); err == nil {
			if conn, err := nbd.Dial(ctx, t.socket(), "", nbd.Options{}); err == nil || ctx.Err() != nil {
				return conn, err
			}
		}
		select {
		case err := <-t.exited:
			t.server = nil
			return nil, toolError("qemu-nbd", err, t.output.String())
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for qemu-nbd: %w", context.Cause(ctx))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (t *qcow2Target) Data(offset int64, data []byte) error {
	conn := <-t.conns
	defer func() { t.conns <- conn }()
	_, err := conn.WriteAt(data, offset)
	return err
}

// Zero has nothing to do: a fresh image reads as zeroes, and each range comes
// once.
func (t *qcow2Target) Zero(int64, int64) error { return nil }

// finish flushes, waits for the server's end, and syncs the file that it has
// written.
func (t *qcow2Target) finish() error {
	defer t.abandon()
	if err := t.all[0].Flush(); err != nil {
		return err
	}
	t.closeAll()
	err := <-t.exited
	t.server = nil
	if err != nil {
		return toolError("qemu-nbd", err, t.output.String())
	}
	f, err := os.OpenFile(t.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (t *qcow2Target) closeAll() {
	for _, c := range t.all {
		_ = c.Close() // after a flush nothing is lost by it
	}
	t.all = nil
}

func (t *qcow2Target) abandon() {
	t.closeAll()
	if t.server != nil {
		_ = t.server.Process.Kill()
		<-t.exited
		t.server = nil
	}
	_ = os.RemoveAll(t.folder)
}

// runTool runs a program of the distribution.
func runTool(ctx context.Context, name string, args ...string) error {
	output, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return toolError(name, err, string(output))
	}
	return nil
}

func toolError(name string, err error, output string) error {
	if errors.Is(err, exec.ErrNotFound) {
		return &hintError{fmt.Errorf("%s is not installed", name), "apt-get install qemu-utils, or restore with -format raw"}
	}
	if output = strings.TrimSpace(output); output != "" {
		return fmt.Errorf("%s: %s", name, output)
	}
	return fmt.Errorf("%s: %w", name, err)
}
