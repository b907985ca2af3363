//go:build bench

package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"vbk/virt/libvirt/embedtest"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 {
		for word, do := range map[string]func(socket string) error{"floor": floor, "extents": extents} {
			if os.Args[1] != word {
				continue
			}
			if err := do(os.Args[2]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(embedtest.Main{M: m}.Run())
}

// run is one measured command.
type run struct {
	wall, cpu, qemu time.Duration // cpu of the command, and of the QEMU it read from
	peak            int64         // bytes of memory
	out             string
}

// contender is a command that is measured; prepare comes before each run, and is
// not.
type contender struct {
	name    string
	prepare func(t *testing.T)
	command func() *exec.Cmd
	pid     func() int // of the QEMU; nil: none
	after   func(t *testing.T, r *run)
}

func measure(t *testing.T, c contender) run {
	t.Helper()
	if c.prepare != nil {
		c.prepare(t)
	}
	var r run
	before := cpuOf(c.pid)
	cmd := c.command()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	err := cmd.Run()
	r.wall = time.Since(start)
	if err != nil {
		t.Fatalf("%s: %v\n%s", c.name, err, &out)
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	r.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	r.peak, r.qemu, r.out = usage.Maxrss<<10, cpuOf(c.pid)-before, out.String()
	if c.after != nil {
		c.after(t, &r)
	}
	return r
}

// cpuOf is the processor time that a process has used.
func cpuOf(pid func() int) time.Duration {
	if pid == nil {
		return 0
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid()))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] {
		n, _ := strconv.ParseInt(f, 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100
}

// compare lets the contenders take turns and prints a table: medians, and how
// many times as long as the first each takes.
func compare(t *testing.T, title string, rounds int, all ...contender) {
	t.Helper()
	runs := make([][]run, len(all))
	for range rounds {
		for i, c := range all {
			runs[i] = append(runs[i], measure(t, c))
		}
	}
	first := median(runs[0], func(r run) time.Duration { return r.wall })
	fmt.Printf("\n### %s\n\n| command | time | ratio | its CPU | QEMU's CPU | peak memory |\n| --- | --- | --- | --- | --- | --- |\n", title)
	for i, c := range all {
		wall := median(runs[i], func(r run) time.Duration { return r.wall })
		fmt.Printf("| %s | %.2f s | %.2f | %.2f s | %.2f s | %d MiB |\n", c.name, wall.Seconds(), wall.Seconds()/first.Seconds(),
			median(runs[i], func(r run) time.Duration { return r.cpu }).Seconds(), median(runs[i], func(r run) time.Duration { return r.qemu }).Seconds(),
			median(runs[i], func(r run) int64 { return r.peak })>>20)
	}
}

func median[V ~int64](runs []run, of func(run) V) V {
	var all []V
	for _, r := range runs {
		all = append(all, of(r))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// site is a machine with a built vbk beside it.
type site struct {
	root *embedtest.Root
	uuid string
	dir  string
	vbk  string
}

func newSite(t *testing.T, disks ...embedtest.DiskSpec) *site {
	t.Helper()
	s := &site{root: embedtest.Detached(t), dir: t.TempDir()}
	if other := os.Getenv("VBK_BENCH_STORE"); other != "" { // stores and copies there, images where TMPDIR is
		dir, err := os.MkdirTemp(other, "vbk-bench")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		s.dir = dir
	}
	s.vbk = filepath.Join(s.dir, "vbk")
	must(t, exec.Command("go", "build", "-o", s.vbk, "../cmd/vbk"))
	s.uuid = s.root.Define(t, embedtest.Machine{Name: "web01", Disks: disks})
	must(t, exec.Command("chmod", "1777", s.root.Dir())) // the peers put QEMU's socket there
	return s
}

// configure writes a configuration; policy is lines of the domain block.
func (s *site) configure(t *testing.T, policy string) {
	t.Helper()
	s.write(t, "", "", policy)
}

// limited writes a configuration without compression and with one limit.
func (s *site) limited(t *testing.T, limit, rate string) {
	t.Helper()
	host, store := "", ""
	if strings.HasPrefix(limit, "limits.read") {
		host = fmt.Sprintf("  limits {\n    read = %q\n  }\n", rate)
	} else {
		store = fmt.Sprintf("  limits {\n    write = %q\n  }\n", rate)
	}
	s.write(t, host, store, "  compression {\n    codec = \"none\"\n  }")
}

func (s *site) write(t *testing.T, host, store, domain string) {
	t.Helper()
	text := fmt.Sprintf("host \"local\" {\n  uri = %q\n  scratch_dir = %q\n%s}\nstore \"local\" \"s\" {\n  path = \"store\"\n%s}\ndomain \"web\" {\n  match = [\"web01\"]\n  store = store.local.s\n  every = \"1s\"\n%s\n}\n",
		s.root.URI(), s.root.Dir(), host, store, domain)
	if err := os.WriteFile(filepath.Join(s.dir, "b.vbk.hcl"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *site) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.vbk, args...)
	cmd.Dir = s.dir
	return cmd
}

// fresh starts the machine anew and forgets all backups.
func (s *site) fresh(t *testing.T) {
	t.Helper()
	s.restart(t)
	for _, left := range []string{"store", "peer", "copy.raw"} {
		if err := os.RemoveAll(filepath.Join(s.dir, left)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range strings.Fields(must(t, s.virsh("checkpoint-list", "--name", s.uuid))) {
		must(t, s.virsh("checkpoint-delete", "--metadata", s.uuid, name))
	}
	must(t, s.command("init"))
}

func (s *site) restart(t *testing.T) {
	t.Helper()
	s.root.Kill(t, s.uuid)
	s.root.Start(t, s.uuid)
}

func (s *site) pid() int { return s.root.PID(s.uuid) }

func (s *site) virsh(args ...string) *exec.Cmd {
	return exec.Command("virsh", append([]string{"-q", "-c", s.root.URI()}, args...)...)
}

func must(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return string(out)
}
