package executor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"vbk/nbd"
)

// connections to one qemu-nbd: writes to distant ranges overtake each other.
const connections = 4

// imageTarget writes into an existing image through qemu-nbd, which locks it as every QEMU
// does.
type imageTarget struct {
	path   string
	format string
	folder string // of the socket
	server *exec.Cmd
	output bytes.Buffer   // of the server
	exited chan error     // the server's end
	conns  chan *nbd.Conn // free ones
	all    []*nbd.Conn
}

// openImage opens an image that has at least size bytes.
func openImage(ctx context.Context, path, format string, size int64) (t *imageTarget, err error) {
	t = &imageTarget{path: path, format: format, exited: make(chan error, 1), conns: make(chan *nbd.Conn, connections)}
	defer func() {
		if err != nil {
			t.abandon()
		}
	}()
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
			return t, fmt.Errorf("%s has %d bytes, the disk has %d", path, conn.Size(), size)
		}
		t.all = append(t.all, conn)
		t.conns <- conn
	}
	return t, nil
}

func (t *imageTarget) socket() string { return filepath.Join(t.folder, "nbd") }

// serve starts qemu-nbd. It ends by itself with its last connection, so none
// stays behind if this process is killed; a context does not end it.
func (t *imageTarget) serve() error {
	t.server = exec.Command("qemu-nbd", "--format="+t.format, "--cache=writeback",
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
func (t *imageTarget) dial(ctx context.Context) (*nbd.Conn, error) {
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

func (t *imageTarget) Data(offset int64, data []byte) error {
	conn := <-t.conns
	defer func() { t.conns <- conn }()
	_, err := conn.WriteAt(data, offset)
	return err
}

func (t *imageTarget) Zero(offset, length int64) error {
	conn := <-t.conns
	defer func() { t.conns <- conn }()
	return conn.Zero(offset, length)
}

func (t *imageTarget) ReadAt(p []byte, offset int64) (int, error) {
	conn := <-t.conns
	defer func() { t.conns <- conn }()
	return conn.ReadAt(p, offset)
}

// finish flushes, waits for the server's end, and syncs the file that it has
// written.
func (t *imageTarget) finish() error {
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

func (t *imageTarget) closeAll() {
	for _, c := range t.all {
		_ = c.Close() // after a flush nothing is lost by it
	}
	t.all = nil
}

func (t *imageTarget) abandon() {
	t.closeAll()
	if t.server != nil {
		_ = t.server.Process.Kill()
		<-t.exited
		t.server = nil
	}
	_ = os.RemoveAll(t.folder)
}

func toolError(name string, err error, output string) error {
	if errors.Is(err, exec.ErrNotFound) {
		return &hintError{fmt.Errorf("%s is not installed", name), "apt-get install qemu-utils, or restore into a new file with -o"}
	}
	if output = strings.TrimSpace(output); output != "" {
		return fmt.Errorf("%s: %s", name, output)
	}
	return fmt.Errorf("%s: %w", name, err)
}
