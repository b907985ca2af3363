package executor_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"vbk/executor"
)

type oneDisk struct{ bare }

func (oneDisk) Targets() []string { return []string{"vda"} }

// interruptedHost is a host on which somebody presses Ctrl-C while the machine is paused
// to be flushed.
type interruptedHost struct {
	executor.Recovers
	cancel context.CancelFunc
	given  error // of the context that Flush has, after that
}

func (*interruptedHost) Pulling(context.Context, string, string) (done, total int64, active bool, err error) {
	return 0, 0, false, nil
}

func (h *interruptedHost) Flush(ctx context.Context, _ string) error {
	h.cancel()
	h.given = ctx.Err()
	return h.given
}

// TestInstantInterrupted: a machine that is paused to be flushed runs on before this
// command ends.
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
	h := &interruptedHost{cancel: cancel}
	if err := i.Follow(ctx, h, func(string, int64, int64) {}); !errors.Is(err, context.Canceled) || h.given != nil {
		t.Errorf("%v; flushing is given up with %v, and nobody lets the machine run on", err, h.given)
	}
	if _, err := os.Lstat(filepath.Join(dir, "vda.copied")); err != nil {
		t.Error(err)
	}
}
