package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"

	"github.com/rogpeppe/go-internal/testscript"
)

// Pull has qemu-img do what a QEMU would, at once: through the server that vbk has
// started, as the image's header names it.
func (h *twin) Pull(ctx context.Context, uuid, target string, _ int64) error {
	d, err := h.Domain(ctx, uuid)
	if err != nil {
		return err
	}
	for _, disk := range d.Disks {
		if disk.Target == target {
			if out, err := exec.CommandContext(ctx, "qemu-img", "rebase", "-f", "qcow2", "-b", "", disk.Source).CombinedOutput(); err != nil {
				return fmt.Errorf("pull disk %s: %w: %s", target, err, out)
			}
			return nil
		}
	}
	return fmt.Errorf("domain %s has no disk %s", uuid, target)
}

// Pulling finds every pull ended.
func (*twin) Pulling(context.Context, string, string) (done, total int64, active bool, err error) {
	return 0, 0, false, nil
}

// Flush has nothing to do: qemu-img has.
func (*twin) Flush(context.Context, string) error { return nil }

// Continue has nothing to do: errors do not pause the twin's machines.
func (*twin) Continue(context.Context, string) error { return nil }

// Unpause has nothing to do: nothing pauses them either.
func (*twin) Unpause(context.Context, string) error { return nil }

// detach runs a vbk beside the script's.
func (th *theatre) detach(ts *testscript.TestScript) func(args []string, log string) (detached, error) {
	return func(args []string, log string) (detached, error) {
		env := th.environment(ts)
		var out bytes.Buffer
		env.stdout, env.stderr = &out, &out
		ctx, cancel := context.WithCancel(context.Background())
		ts.Defer(cancel)
		ended := make(chan error, 1)
		go func() {
			var err error
			if code := env.main(ctx, append([]string{"vbk"}, args...)); code != 0 {
				err = fmt.Errorf("exit code %d: %s", code, &out)
			}
			ended <- err
		}()
		return detached{1, ended}, nil
	}
}
