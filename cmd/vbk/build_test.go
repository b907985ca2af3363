package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vbk/virt"
	"vbk/virt/virttest"
)

// program is a built vbk with the folder that it works in.
type program struct{ path, dir string }

// buildProgram compiles the command; cgo is "0" or "1".
func buildProgram(t *testing.T, cgo string) program {
	t.Helper()
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skipf("no Go tool to build with: %v", err)
	}
	p := program{filepath.Join(t.TempDir(), "vbk"), t.TempDir()}
	cmd := exec.Command(goTool, "build", "-o", p.path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build with CGO_ENABLED=%s: %v\n%s", cgo, err, out)
	}
	return p
}

func (p program) command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.path, args...)
	cmd.Dir = p.dir
	return cmd
}

// run wants an exit code and returns stdout and stderr.
func (p program) run(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	cmd := p.command(args...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	t.Logf("$ vbk %s\n%s%s", strings.Join(args, " "), &o, &e)
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("vbk %s: exit code %d, want %d", strings.Join(args, " "), got, code)
	}
	return o.String(), e.String()
}

func wantText(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Fatalf("%q is not in\n%s", p, text)
		}
	}
}

const staticConfiguration = `store "local" "backup" {
  path = "backup"
}

domain "web" {
  match = ["web*"]
  store = store.local.backup
}
`

// TestStaticBuild: the build without cgo reads what the normal one has written.
func TestStaticBuild(t *testing.T) {
	p := buildProgram(t, "0")
	wantStatic(t, p.path)
	if err := os.WriteFile(filepath.Join(p.dir, "backup.vbk.hcl"), []byte(staticConfiguration), 0o600); err != nil {
		t.Fatal(err)
	}
	first, second := makeStore(t, p.dir)

	version, _ := p.run(t, 0, "version")
	wantText(t, version, "static, without libvirt and NBD")
	p.run(t, 0, "fmt", "-check")
	p.run(t, 0, "validate")
	list, _ := p.run(t, 0, "list")
	if n := strings.Count(list, "web01@"); n != 2 {
		t.Fatalf("vbk list shows %d points, want 2", n)
	}
	p.run(t, 0, "verify", "-read-data")
	p.wantUnread(t, "verify", "-read-data")
	p.run(t, 0, "restore", "web01@2026-11-22T12:00", "-o", "first", "-format", "raw")
	wantContent(t, filepath.Join(p.dir, "first", "vda.raw"), first)
	p.run(t, 0, "restore", "web01@latest", "-o", "second", "-format", "raw")
	wantContent(t, filepath.Join(p.dir, "second", "vda.raw"), second)

	p.run(t, 0, "restore", "-i", "backup", "-o", "by-path", "-format", "raw")
	wantContent(t, filepath.Join(p.dir, "by-path", "vda.raw"), second)
	files, err := filepath.Glob(filepath.Join(p.dir, "backup", "*", "*", "*.v3"))
	if err != nil || len(files) != 2 {
		t.Fatalf("files %v (%v)", files, err)
	}
	p.run(t, 0, append([]string{"dump"}, files...)...)

	const which = "this is the static build of vbk, which has no libvirt: install the .deb or .rpm, or build vbk with cgo"
	_, problem := p.run(t, 3, "plan")
	wantText(t, problem, "vbk: host.local: connect to qemu:///system: "+which)
	_, problem = p.run(t, 3, "apply", "-auto-approve")
	wantText(t, problem, which)
	_, problem = p.run(t, 1, "init")
	wantText(t, problem, which)
	p.run(t, 0, "restore", "web01@latest", "-o", "third")
	raw := filepath.Join(p.dir, "third.raw")
	if out, err := exec.Command("qemu-img", "convert", "-f", "qcow2", "-O", "raw", filepath.Join(p.dir, "third", "vda.qcow2"), raw).CombinedOutput(); err != nil {
		t.Fatalf("qemu-img: %v: %s", err, out)
	}
	wantContent(t, raw, second)
	testUnread(t, p)
}

// wantUnread runs a command whose output nobody reads: it goes on to its end.
func (p program) wantUnread(t *testing.T, args ...string) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	cmd := p.command(args...)
	cmd.Stdout = writer
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Run(); err != nil {
		t.Errorf("vbk %s | true: %v", strings.Join(args, " "), err)
	}
}

func wantStatic(t *testing.T, path string) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if libraries, err := f.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Fatalf("the static build needs %v (%v)", libraries, err)
	}
}

func wantContent(t *testing.T, path string, want []byte) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%s does not hold what the machine held: %v", path, err)
	}
}

// makeStore runs this build in the directory, with a machine in memory: a full
// and an increment.
func makeStore(t *testing.T, dir string) (first, second []byte) {
	t.Helper()
	h := &twin{Host: virttest.New()}
	th := &theatre{
		hosts:  map[string]*twin{"qemu:///system": h},
		random: &dice{source: rand.NewChaCha8(sha256.Sum256([]byte(t.Name())))},
		time:   clock{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)},
	}
	const uuid = "4c1f9d2a-0000-4000-8000-000000000000"
	h.Define(virt.Domain{Name: "web01", UUID: uuid, ProcessUID: -1, Disks: []virt.Disk{{Target: "vda", Type: "file", Source: "/images/vda"}}},
		map[string][]byte{"vda": slices.Concat(noise(1<<20, "first"), make([]byte, 1<<20))})
	run := func(args ...string) {
		var out bytes.Buffer
		env := &environment{
			stdin: strings.NewReader(""), stdout: &out, stderr: &out, getenv: func(string) string { return "" }, root: true, dir: dir,
			now: th.clock, random: th.random, openHost: th.openHost, dial: th.dial,
		}
		if code := env.main(context.Background(), append([]string{"vbk"}, args...)); code != 0 {
			t.Fatalf("vbk %v: exit code %d\n%s", args, code, &out)
		}
	}
	run("init")
	run("apply", "-auto-approve")
	first = h.Content(uuid, "vda")
	th.time.pass(25 * time.Hour)
	h.Write(uuid, "vda", 1<<19, noise(1<<20, "second"))
	h.Zero(uuid, "vda", 0, 1<<18)
	run("apply", "-auto-approve")
	return first, h.Content(uuid, "vda")
}
