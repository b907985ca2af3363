//go:build bench

package bench

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"vbk/virt/libvirt/embedtest"
)

// TestGuest measures how long a guest's writes of 64 KiB take, one at a time all over
// the data, while nothing runs, while vbk and while the peer makes a full.
func TestGuest(t *testing.T) {
	s := newSite(t, embedtest.DiskSpec{Target: "vda", Size: 8 * gib})
	s.fill(t)
	s.configure(t, "  compression {\n    codec = \"none\"\n  }")
	idle := contender{name: "nothing", prepare: s.fresh, command: func() *exec.Cmd { return exec.Command("sleep", "3") }}
	fmt.Printf("\n### A guest's writes of 64 KiB, meanwhile\n\n| meanwhile | writes | median | 99 of 100 below | longest |\n| --- | --- | --- | --- | --- |\n")
	for range 2 {
		for _, c := range []contender{idle, s.apply("vbk apply"), s.peer(t, "virtnbdbackup -l full")} {
			took := s.disturbed(t, c)
			slices.Sort(took)
			ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
			fmt.Printf("| %s | %d | %.1f ms | %.1f ms | %.1f ms |\n", c.name, len(took), ms(took[len(took)/2]), ms(took[len(took)*99/100]), ms(took[len(took)-1]))
		}
	}
}

// disturbed runs a command and says how long each write of the guest took.
func (s *site) disturbed(t *testing.T, c contender) (took []time.Duration) {
	c.prepare(t)
	cmd := c.command()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- cmd.Wait() }()
	for i := int64(0); ; i++ {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			return took
		default:
		}
		start := time.Now()
		s.root.Write(t, s.uuid, "vda", (i*7919%(2*gib>>16))<<16, 64<<10, byte(i))
		took = append(took, time.Since(start))
	}
}

// TestHost measures what a full leaves in the page cache, and whether the limits
// are kept. It wants the store on a disk: VBK_BENCH_STORE=/var/tmp.
func TestHost(t *testing.T) {
	s := newSite(t, embedtest.DiskSpec{Target: "vda", Size: 8 * gib})
	var fs syscall.Statfs_t
	if err := syscall.Statfs(s.dir, &fs); err != nil || fs.Type == 0x01021994 {
		t.Skip("the store is on a tmpfs, all of which is page cache")
	}
	s.fill(t)
	s.configure(t, "  compression {\n    codec = \"none\"\n  }")
	fmt.Printf("\n### The page cache, before and after a full of 2 GiB\n\n| command | it grew by |\n| --- | --- |\n")
	for _, c := range []contender{s.apply("vbk apply"), s.nbdcopy(), s.peer(t, "virtnbdbackup -l full")} {
		c.prepare(t)
		c.prepare = nil
		before := cached(t)
		measure(t, c)
		fmt.Printf("| %s | %d MiB |\n", c.name, (cached(t)-before)>>10)
	}
	for _, limit := range []string{"limits.read of the host", "limits.write of the store"} {
		s.limited(t, limit, "200MiB/s")
		c := s.apply(limit + " = 200MiB/s")
		r := measure(t, c)
		fmt.Printf("%s: %s\n", c.name, lineWith(r.out, "web01@"))
	}
}

// cached is what the page cache holds, in KiB.
func cached(t *testing.T) (kib int64) {
	t.Helper()
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if n, _ := fmt.Sscanf(lines.Text(), "Cached: %d kB", &kib); n == 1 {
			return kib
		}
	}
	t.Fatal("/proc/meminfo has no Cached")
	return 0
}

func lineWith(text, what string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, what) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
