//go:build cgo

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"vbk/virt/libvirt/embedtest"
)

// TestRealInit has a real vbk, as another user and as root, meet what keeps a store or a
// host from serving: it says what is wrong, and what it says mends it.
func TestRealInit(t *testing.T) {
	embedtest.NeedSandbox(t)
	i := initiate{program: buildProgram(t, "1")}
	open(t, i.path)
	t.Run("stores", i.testStores)
	t.Run("mount points", i.testUnmounted)
	i.daemon = embedtest.NewDaemon(t)
	t.Run("connections", i.testConnections)
	t.Run("versions", i.testVersions)
	t.Run("scratch", i.testScratch)
	t.Run("polkit", i.testPolkit)
	t.Run("from host", i.testFromHost)
}

// initiate is a program whose init is tried.
type initiate struct {
	program
	daemon *embedtest.Daemon
}

// someone runs vbk in a directory of its own.
type someone struct {
	initiate
	dir  string
	cred *syscall.Credential // nil: root
	caps []uintptr           // what it may nevertheless
	env  []string
}

const nobody = 65534

// as is a user with a directory that is open to all.
func (i initiate) as(t *testing.T, uid uint32, groups ...uint32) *someone {
	t.Helper()
	s := &someone{initiate: i, dir: t.TempDir()}
	if uid != 0 {
		s.cred = &syscall.Credential{Uid: uid, Gid: uid, Groups: groups}
	}
	open(t, s.dir)
	return s
}

// open opens a path to everybody, up to the root.
func open(t *testing.T, path string) {
	t.Helper()
	for at := path; at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// has writes a configuration with this host and store.
func (s *someone) has(t *testing.T, uri, scratch, store string) {
	t.Helper()
	text := fmt.Sprintf(realConfiguration, uri, scratch, "24h")
	text = strings.Replace(text, `path = "backup"`, fmt.Sprintf("path = %q", store), 1)
	if err := os.WriteFile(filepath.Join(s.dir, "backup.vbk.hcl"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// edit changes the configuration.
func (s *someone) edit(t *testing.T, old, now string) {
	t.Helper()
	name := filepath.Join(s.dir, "backup.vbk.hcl")
	text, err := os.ReadFile(name)
	if err == nil {
		err = os.WriteFile(name, []byte(strings.Replace(string(text), old, now, 1)), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// awaitDue waits until something is to be done.
func (s *someone) awaitDue(t *testing.T) {
	t.Helper()
	real{program: program{s.path, s.dir}}.awaitDue(t)
}

// vbk wants an exit code, and returns all that is printed.
func (s *someone) vbk(t *testing.T, code int, args ...string) string {
	t.Helper()
	cmd := exec.Command(s.path, append([]string{"-chdir", s.dir}, args...)...)
	cmd.Dir = "/"
	cmd.Env = append(append(os.Environ(), "HOME="+s.dir), s.env...)
	if s.cred != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred, AmbientCaps: s.caps}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	t.Logf("$ vbk %s\n%s", strings.Join(args, " "), &out)
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("vbk %s: exit code %d, want %d (%v)", strings.Join(args, " "), got, code, err)
	}
	return out.String()
}

// command finds the first command of a hint.
var firstCommand = regexp.MustCompile(`^(?:[^:;]*?: )?([a-z/]+ .*?)(?:, or .*|; .*|, and .*)?$`)

// mend runs, as root, the command of the hint that follows an error.
func mend(t *testing.T, out, wanted string, env ...string) {
	t.Helper()
	_, after, found := strings.Cut(out, wanted)
	_, hint, hinted := strings.Cut(after, "vbk: hint: ")
	hint, _, _ = strings.Cut(hint, "\n")
	if !found || !hinted {
		t.Fatalf("no %q with a hint in\n%s", wanted, out)
	}
	m := firstCommand.FindStringSubmatch(hint)
	if m == nil {
		t.Fatalf("no command in the hint %q", hint)
	}
	cmd := exec.Command("sh", "-euc", m[1])
	cmd.Env = append(os.Environ(), env...)
	if printed, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("the hint %q: %s: %v: %s", hint, m[1], err, printed)
	}
	t.Logf("# %s", m[1])
}
