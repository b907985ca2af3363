package executor_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"vbk/executor"
	"vbk/virt"
)

type oneDisk struct{ bare }

func (oneDisk) Targets() []string { return []string{"vda"} }

// interruptedHost is a host on which somebody presses Ctrl-C while the machine is paused
// to be flushed.
type interruptedHost struct {
	executor.Recovers
	cancel context.CancelFunc
	given  error // of the context that Flush has, after that
	guards int   // that stand by
	fails  error // what Flush ends with
}

func (h *interruptedHost) guard() (release func() error, err error) {
	h.guards++
	return func() error { h.guards--; return nil }, nil
}

func (*interruptedHost) Pulling(context.Context, string, string) (done, total int64, active bool, err error) {
	return 0, 0, false, nil
}

func (h *interruptedHost) Flush(ctx context.Context, _ string) error {
	h.cancel()
	if h.given = ctx.Err(); h.guards != 1 {
		return errors.Join(h.given, errors.New("nobody guards the machine"))
	}
	return errors.Join(h.given, h.fails)
}

// TestInstantInterrupted: a machine that is paused to be flushed runs on before this
// command ends, and its guard goes then, but not where nobody knows whether it does.
func TestInstantInterrupted(t *testing.T) {
	needQEMU(t)
	dir := t.TempDir()
	definition := "<domain type='qemu'><name>now</name><uuid>" + otherUUID + "</uuid></domain>"
	if err := os.WriteFile(filepath.Join(dir, "restored.xml"), []byte(definition), 0o600); err != nil {
		t.Fatal(err)
	}
	i, err := executor.Machine{}.Instant(oneDisk{}, executor.Restoration{Dir: dir, Resume: true}, "domain/chain.0")
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range i.Images() {
		if out, err := exec.Command("qemu-img", "create", "-q", "-f", "qcow2", image, "1M").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	h := &interruptedHost{cancel: cancel, fails: errors.New("it does not answer")}
	i.Guard = h.guard
	if err := i.Follow(ctx, h, func(string, int64, int64) {}); h.guards != 1 {
		t.Errorf("%v: %d guards", err, h.guards)
	}
	for _, why := range []error{virt.ErrNotRunning, virt.ErrNoDomain} { // somebody else has paused it, or it is gone
		ctx, cancel = context.WithCancel(t.Context())
		h = &interruptedHost{cancel: cancel, fails: why}
		i.Guard = h.guard
		if err := i.Follow(ctx, h, func(string, int64, int64) {}); err == nil || h.guards != 0 {
			t.Errorf("%v, %v: %d guards would let a machine run on that vbk has not paused", why, err, h.guards)
		}
	}
	ctx, cancel = context.WithCancel(t.Context())
	h = &interruptedHost{cancel: cancel}
	i.Guard = h.guard
	if err := i.Follow(ctx, h, func(string, int64, int64) {}); !errors.Is(err, context.Canceled) || h.given != nil {
		t.Errorf("%v; flushing is given up with %v, and nobody lets the machine run on", err, h.given)
	}
	if h.guards != 0 {
		t.Error("the guard stays")
	}
	if _, err := os.Lstat(filepath.Join(dir, "vda.copied")); err != nil {
		t.Error(err)
	}
}

// TestEndDrill: what ends a drill removes the folder of one and nothing else.
func TestEndDrill(t *testing.T) {
	const uri = "qemu:///embed?root=/nowhere"
	mine := filepath.Join(t.TempDir(), "mine")
	drill := filepath.Join(t.TempDir(), "vbk-drill-1")
	for _, dir := range []string{mine, drill} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ uuid, folder string }{{otherUUID, mine}, {"../../etc", drill}, {"", drill}} {
		if err := executor.EndDrill(t.Context(), nil, uri, c.uuid, c.folder); err == nil {
			t.Errorf("%q, %s: no error", c.uuid, c.folder)
		}
	}
	for range 2 { // what is gone is gone
		if err := executor.EndDrill(t.Context(), emptyHost{}, uri, otherUUID, drill); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(drill); !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
}

type emptyHost struct{ executor.Drills }

func (emptyHost) Destroy(context.Context, string) error { return nil }

// TestInstantServerBegins: a server that has its socket and does not answer yet keeps it;
// what a dead one has left goes.
func TestInstantServerBegins(t *testing.T) {
	dir := t.TempDir()
	definition := "<domain type='qemu'><name>now</name><uuid>" + otherUUID + "</uuid></domain>"
	if err := os.WriteFile(filepath.Join(dir, "restored.xml"), []byte(definition), 0o600); err != nil {
		t.Fatal(err)
	}
	i, err := executor.Machine{}.Instant(oneDisk{}, executor.Restoration{Dir: dir, Resume: true}, "domain/chain.0")
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: i.Socket()}); err != nil {
		t.Fatal(err)
	}
	if i.Served(t.Context()) {
		t.Error("nobody listens, and it is served")
	}
	if err := unix.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
	if !i.Served(t.Context()) {
		t.Error("the socket of the server that began is gone")
	}
	for range 2 {
		if err := i.RemoveSocket(); err != nil || i.Served(t.Context()) {
			t.Errorf("what a dead server has left stays: %v", err)
		}
	}
}
