//go:build linux

package embedtest

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Polkit is a polkit of a test's own, on a system bus of its own, without systemd. Its
// actions are those that the packages have installed.
type Polkit struct {
	rules   string // their folder
	process *exec.Cmd
}

const polkitd = "/usr/lib/polkit-1/polkitd"

// NewPolkit starts one in the sandbox. The daemon finds it.
func (d *Daemon) NewPolkit(t testing.TB) *Polkit {
	t.Helper()
	needPrograms(t, "dbus-daemon", "dbus-send")
	if _, err := os.Stat(polkitd); err != nil {
		need(t, "polkitd is not installed")
	}
	p := &Polkit{rules: "/etc/polkit-1/rules.d"}
	for _, dir := range []string{p.rules, "/run/dbus"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
			t.Fatalf("mount %s: %v", dir, err)
		}
		t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	}
	bus := exec.Command("dbus-daemon", "--system", "--nofork", "--nopidfile", "--print-address")
	out, err := bus.StdoutPipe()
	if err == nil {
		err = bus.Start()
	}
	if err == nil {
		t.Cleanup(func() { _ = bus.Process.Kill(); _ = bus.Wait() })
		_, err = bufio.NewReader(out).ReadString('\n') // it listens
	}
	if err != nil {
		t.Fatalf("start a system bus: %v", err)
	}
	t.Cleanup(p.stop)
	p.Rule(t, "")
	return p
}

func (p *Polkit) stop() {
	if p.process != nil {
		_ = p.process.Process.Kill()
		_ = p.process.Wait()
	}
}

// Rule makes this the only rule besides those of the packages, in effect when it returns.
func (p *Polkit) Rule(t testing.TB, text string) {
	t.Helper()
	p.stop() // a rule that is merely written takes effect some time later
	if err := os.WriteFile(filepath.Join(p.rules, "50-vbk.rules"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	p.process = exec.Command(polkitd, "--no-debug")
	if err := p.process.Start(); err != nil {
		t.Fatal(err)
	}
	pid := strconv.Itoa(p.process.Process.Pid)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(time.Minute); ; {
		out, _ := exec.Command("dbus-send", "--system", "--print-reply", "--dest=org.freedesktop.DBus", "/", "org.freedesktop.DBus.GetConnectionUnixProcessID", "string:org.freedesktop.PolicyKit1").Output()
		if fields := strings.Fields(string(out)); len(fields) > 0 && fields[len(fields)-1] == pid {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("polkitd does not come onto its bus")
		}
	}
}

// Account gives the sandbox a user until the test ends; group is its own, too.
func Account(t testing.TB, name string, uid int) {
	t.Helper()
	NeedSandbox(t)
	id := strconv.Itoa(uid)
	for file, line := range map[string]string{"/etc/passwd": name + ":x:" + id + ":" + id + "::/nonexistent:/usr/sbin/nologin\n", "/etc/group": name + ":x:" + id + ":\n"} {
		old, err := os.ReadFile(file)
		if err == nil {
			err = bind(filepath.Join(t.TempDir(), filepath.Base(file)), file, append(old, line...), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Unmount(file, syscall.MNT_DETACH) })
	}
}
