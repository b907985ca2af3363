package embedtest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Pause stops the processors of a machine that runs.
func (r *Root) Pause(t testing.TB, uuid string) {
	t.Helper()
	if _, err := qmp(r.socket(uuid), "stop", map[string]any{}); err != nil {
		t.Fatalf("pause %s: %v", r.machines[uuid].Name, err)
	}
}

// Resume lets a paused machine run.
func (r *Root) Resume(t testing.TB, uuid string) {
	t.Helper()
	if _, err := qmp(r.socket(uuid), "cont", map[string]any{}); err != nil {
		t.Fatalf("resume %s: %v", r.machines[uuid].Name, err)
	}
}

func (l Linux) copyTo(t testing.TB, dir string) *Linux {
	t.Helper()
	to := Linux{Kernel: filepath.Join(dir, "vmlinuz"), Initrd: filepath.Join(dir, "initrd.gz")}
	for from, to := range map[string]string{l.Kernel: to.Kernel, l.Initrd: to.Initrd} {
		data, err := os.ReadFile(from)
		if err == nil {
			err = place(to, data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return &to
}

// Console is what a Linux has said on its serial console.
func (r *Root) Console(uuid string) []byte {
	said, _ := os.ReadFile(r.console(uuid)) // none yet
	return said
}

func (r *Root) console(uuid string) string {
	return filepath.Join(filepath.Dir(r.socket(uuid)), "console")
}

// WaitConsole waits until a Linux has said something on its serial console.
func (r *Root) WaitConsole(t testing.TB, uuid, text string) {
	t.Helper()
	r.WaitConsoleCount(t, uuid, text, 1)
}

// WaitConsoleCount waits until it has said it so many times.
func (r *Root) WaitConsoleCount(t testing.TB, uuid, text string, count int) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(3 * time.Minute); ; {
		if bytes.Count(r.Console(uuid), []byte(text)) >= count {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s has not said %q %d times, but:\n%s", r.machines[uuid].Name, text, count, r.Console(uuid))
		}
	}
}

// CheckPair wants the file system in a raw copy of a Linux's vda to be whole
// (e2fsck finds nothing to do, once the journal is replayed), and the numbers in its
// files first and second to be equal. It returns the number.
func (r *Root) CheckPair(t testing.TB, raw string) string {
	t.Helper()
	needPrograms(t, "e2fsck", "debugfs")
	if out, err := exec.Command("e2fsck", "-f", "-p", raw).CombinedOutput(); err != nil {
		// 1: the journal was replayed, or the like.
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Fatalf("e2fsck: %v: %s", err, out)
		}
	}
	if out, err := exec.Command("e2fsck", "-f", "-n", raw).CombinedOutput(); err != nil {
		t.Fatalf("e2fsck finds more: %v: %s", err, out)
	}
	var numbers [2]string
	for i, name := range []string{"/first", "/second"} {
		out, err := exec.Command("debugfs", "-R", "cat "+name, raw).Output()
		if err != nil {
			t.Fatalf("debugfs: cat %s: %v", name, err)
		}
		numbers[i] = strings.TrimSpace(string(out))
	}
	if numbers[0] != numbers[1] || numbers[0] == "" {
		t.Fatalf("the guest's files hold %q and %q", numbers[0], numbers[1])
	}
	return numbers[0]
}
