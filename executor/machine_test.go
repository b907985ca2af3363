package executor_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vbk/config"
	"vbk/executor"
	"vbk/executor/bind"
	"vbk/nbd"
	"vbk/plan"
	"vbk/store"
	"vbk/store/local"
	"vbk/virt"
	"vbk/virt/libvirt"
	"vbk/virt/libvirt/embedtest"
	"vbk/virt/qcow2"
)

func TestMain(m *testing.M) {
	// A history takes longer than most properties; -rapid.checks asks for more.
	if err := flag.Set("rapid.checks", "20"); err != nil {
		panic(err)
	}
	os.Exit(embedtest.Main{M: m}.Run())
}

// connection is one for all tests of the process.
var connection struct {
	sync.Once
	host *libvirt.Host
	err  error
}

// machine is a real QEMU under a real libvirt, with a store in a folder.
type machine struct {
	*testing.T
	root   *embedtest.Root
	host   *libvirt.Host
	uuid   string
	config *config.Config
	now    time.Time
	rand   *mathrand.Rand
	sizes  map[string]int64
	compat map[string]string // of qcow2 images that have another one than usual
	images executor.Images
	quiet  bool              // the guest does nothing while a job runs
	dies   string            // what vbk asks of libvirt when it is killed
	left   []virt.Checkpoint // when a begin had failed
	half   func(virt.Backup) // libvirt is killed in the middle of a begin; what that leaves
	late   chan error        // vbk is killed while a begin waits for QEMU; how that ends
	dial   func(ctx context.Context, socket, export, bitmap string) (executor.Export, error)

	taken map[string]map[string][sha256.Size]byte // checkpoint -> target -> sum of an independent copy
}

// newMachine has a qcow2 disk vda, and vdb of this format.
func newMachine(t *testing.T, name, format string) *machine {
	return machineOf(t, name, embedtest.DiskSpec{Target: "vda", Size: 20<<20 + 512}, embedtest.DiskSpec{Target: "vdb", Size: 3 << 20, Format: format})
}

// machineOf has these disks.
func machineOf(t *testing.T, name string, disks ...embedtest.DiskSpec) *machine {
	root := embedtest.New(t)
	connection.Do(func() { connection.host, connection.err = libvirt.Connect(context.Background(), root.URI(), false) })
	if connection.err != nil {
		t.Fatal(connection.err)
	}
	return machineOn(t, root, connection.host, name, disks...)
}

// machineOn is a machine of a hypervisor.
func machineOn(t *testing.T, root *embedtest.Root, host *libvirt.Host, name string, disks ...embedtest.DiskSpec) *machine {
	m := &machine{
		T: t, root: root, host: host, now: time.Now().UTC(), rand: mathrand.New(mathrand.NewPCG(1, 2)),
		sizes: map[string]int64{}, dial: dialNBD,
		taken: map[string]map[string][sha256.Size]byte{},
	}
	for _, d := range disks {
		m.sizes[d.Target] = d.Size
	}
	m.uuid = root.Define(t, embedtest.Machine{Name: name, Disks: disks})
	dir := filepath.Join(t.TempDir(), "store")
	if _, err := local.Init(dir, m.now, rand.Reader); err != nil {
		t.Fatal(err)
	}
	m.config = &config.Config{
		Name: "test", TimeZone: time.UTC,
		Hosts:  []config.Host{{Name: "local", URI: root.URI(), MaxParallel: 1, ScratchDir: root.Dir()}},
		Stores: []config.Store{{Kind: "local", Name: "main", Path: dir}},
		Domains: []config.Domain{{Name: "all", UUIDs: []string{m.uuid}, Hosts: []string{"local"}, Policy: config.Policy{
			Store: "store.local.main", Every: config.Duration(24 * time.Hour), Offline: "skip",
			Chain: config.Chain{MaxIncrements: 100, OnBroken: "resync"}, Disks: config.Disks{Raw: "resync"}, Retention: config.Retention{MinChains: 1, MaxPrune: 100},
			Compression: config.Compression{Codec: "zstd", Level: 1},
		}}},
	}
	return m
}

func dialNBD(ctx context.Context, socket, export, bitmap string) (executor.Export, error) {
	return nbd.Dial(ctx, socket, export, nbd.Options{Bitmap: bitmap})
}

// write is what a guest does: data, zeroes and discards, at multiples of 512.
func (m *machine) write(n int) {
	m.Helper()
	for _, target := range slices.Sorted(maps.Keys(m.sizes)) {
		units := m.sizes[target] / 512
		for range n {
			from := m.rand.Int64N(units)
			length := min(units-from, 1+m.rand.Int64N(3000)) * 512
			switch m.rand.IntN(5) {
			case 0:
				m.root.WriteZero(m.T, m.uuid, target, from*512, length)
			case 1:
				m.root.Discard(m.T, m.uuid, target, from*512, length)
			default:
				m.root.Write(m.T, m.uuid, target, from*512, length, byte(1+m.rand.IntN(255)))
			}
		}
	}
}

func (m *machine) plan() plan.Plan {
	inventory := plan.Survey(m.Context(), m.config, plan.Openers{
		Host:  func(context.Context, config.Host) (plan.Hypervisor, error) { return m.host, nil },
		Store: func(s config.Store) (plan.Repository, error) { return local.Open(s.Path) },
	}, m.now)
	return plan.Make(m.config, inventory, plan.Options{}, m.now)
}

// apply lets a day pass, plans and runs; it returns the first failure.
func (m *machine) apply() error {
	m.Helper()
	m.now = m.now.Add(25 * time.Hour)
	var failed error
	result := executor.Run(m.Context(), m.plan(), executor.Bindings{
		Hosts:  map[string]executor.Host{"local": witness{m.host, m}},
		Stores: map[string]executor.Store{"store.local.main": bind.Store{Store: m.store()}},
		Images: m.still(), Dial: m.dial, Now: func() time.Time { return m.now }, Random: rand.Reader,
		Self: store.Attempt{Host: "here", PID: os.Getpid()}, Version: "test", Parallel: 1,
		Events: func(e executor.Event) {
			if e.Kind == executor.Failed {
				failed = e.Err
			}
		},
	})
	if (failed != nil) != (result.Failed > 0) {
		m.Fatalf("%+v, but the failure is %v", result, failed)
	}
	return failed
}

func (m *machine) store() *local.Store {
	m.Helper()
	s, err := local.Open(m.config.Stores[0].Path)
	if err != nil {
		m.Fatal(err)
	}
	return s
}

// head is the newest point.
func (m *machine) head() store.Point {
	m.Helper()
	found, err := m.store().Domains(m.Context())
	if err != nil || len(found) != 1 {
		m.Fatalf("the store holds %+v: %v", found, err)
	}
	chains := found[0].Chains
	head, _ := chains[len(chains)-1].Head()
	return head
}

// witness copies the disks at the instant of a job, by other means; then the
// guest writes on.
type witness struct {
	*libvirt.Host
	m *machine
}

func (h witness) BeginBackup(ctx context.Context, uuid string, b virt.Backup) error {
	if h.m.late != nil {
		return h.beginsLate(uuid, b)
	}
	if h.m.half != nil {
		h.m.half(b)
		h.m.dies = "everything"
		return errKilled
	}
	err := h.Host.BeginBackup(ctx, uuid, b)
	if h.m.dead("BeginBackup") {
		return errKilled
	}
	if err != nil {
		d, failed := h.Host.Domain(ctx, uuid)
		h.m.left = d.Checkpoints
		return errors.Join(err, failed)
	}
	h.m.taken[b.Checkpoint] = h.m.sums()
	if !h.m.quiet {
		h.m.write(3)
	}
	return nil
}

// sums are those of independent copies of all disks.
func (m *machine) sums() map[string][sha256.Size]byte {
	saw := map[string][sha256.Size]byte{}
	for target := range m.sizes {
		saw[target] = sum(m.T, m.root.Copy(m.T, m.uuid, target))
	}
	return saw
}

// still is what serves images of a machine that is shut off.
func (m *machine) still() executor.Images {
	if m.images == nil {
		return stillImages{m: m}
	}
	return m.images
}

func sum(t *testing.T, path string) (s [sha256.Size]byte) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// settled wants no changes, nothing left behind, and the store in order.
func (m *machine) settled(kinds string) store.Domain {
	m.Helper()
	if p := m.plan(); !p.Empty() || p.Failed() {
		m.Fatalf("the plan after a good run is not empty: %+v %v", p.Instances, p.Failures)
	}
	found, err := m.store().Domains(m.Context())
	if err != nil || len(found) != 1 {
		m.Fatalf("the store holds %+v: %v", found, err)
	}
	findings, err := m.store().Check(m.Context(), found[0].Folder, true)
	if err != nil || len(findings) > 0 {
		m.Errorf("check found %+v: %v", findings, err)
	}
	var all []string
	var head store.Point
	for _, c := range found[0].Chains {
		for _, p := range c.Manifest.Points {
			all = append(all, string(p.Kind))
			head = p
		}
	}
	if got := strings.Join(all, " "); got != kinds {
		m.Errorf("points are %q, want %q", got, kinds)
	}
	d, err := m.host.Domain(m.Context(), m.uuid)
	if err != nil || d.Job != nil || len(d.Checkpoints) != 1 || d.Checkpoints[0].Name != head.Checkpoint {
		m.Errorf("the head has %s, the domain is %+v: %v", head.Checkpoint, d, err)
	}
	if left, _ := filepath.Glob(filepath.Join(m.root.Dir(), "vbk-*")); len(left) > 0 {
		m.Errorf("left in the scratch folder: %v", left)
	}
	return found[0]
}

// restored restores every point, in one format or the other, and compares whole
// disks.
func (m *machine) restored(d store.Domain) {
	m.Helper()
	for _, c := range d.Chains {
		for n, p := range c.Manifest.Points {
			saw := m.taken[store.CheckpointName(m.store().ID(), c.Name, p.Attempt, p.Sequence)]
			if len(saw) == 0 || len(p.Disks) != len(saw) {
				m.Fatalf("point %d has %d disks, copied were %d", p.Sequence, len(p.Disks), len(saw))
			}
			l, format := located{folder: d.Folder, chain: c.Name}, []string{"raw", "qcow2"}[n%2]
			r := executor.Restoration{Dir: m.TempDir(), Format: format}
			if _, err := restore(m.Context(), m.store(), l, p.Sequence, r, func(string, int64, int64) {}); err != nil {
				m.Fatal(err)
			}
			wantNames(m.T, r.Dir, len(saw)+1)
			for target, want := range saw {
				path := filepath.Join(r.Dir, target+"."+format)
				if format == "qcow2" {
					path = asRaw(m.T, path)
				}
				made := store.ImageOptions(qcow2.DefaultOptions) // as embedtest makes them
				made.Compat = cmp.Or(m.compat[target], made.Compat)
				if d, _ := p.Disk(target); d.Format == "qcow2" && d.Image != made {
					m.Errorf("the options of %s are recorded as %+v", target, d.Image)
				}
				if sum(m.T, path) != want {
					m.Errorf("%s of point %s.%d, restored as %s, differs", target, c.Name, p.Sequence, format)
				}
			}
		}
	}
}

func asRaw(t *testing.T, path string) string {
	t.Helper()
	raw := path + ".raw"
	for _, args := range [][]string{{"check", "-q", path}, {"convert", "-f", "qcow2", "-O", "raw", path, raw}} {
		if out, err := exec.Command("qemu-img", args...).CombinedOutput(); err != nil {
			t.Fatalf("qemu-img %s: %v: %s", args[0], err, out)
		}
	}
	return raw
}

// TestMachine backs up a real machine: a full and increments, a server that
// fails in the middle, and a QEMU that is killed; then older points are merged.
func TestMachine(t *testing.T) {
	m := newMachine(t, "executor", "qcow2")
	m.write(12)
	for range 4 {
		if err := m.apply(); err != nil {
			t.Fatal(err)
		}
		m.write(4)
	}
	m.settled("full inc inc inc")

	m.dial = m.dialBroken
	if err := m.apply(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("a server that fails: %v", err)
	}
	m.dial = dialNBD
	m.write(2)
	if err := m.apply(); err != nil {
		t.Fatal(err)
	}
	m.settled("full inc inc inc inc")

	m.root.Kill(t, m.uuid)
	m.root.Start(t, m.uuid)
	m.write(2)
	if err := m.apply(); err != nil {
		t.Fatal(err)
	}
	m.write(2)
	if err := m.apply(); err != nil {
		t.Fatal(err)
	}
	m.restored(m.settled("full inc inc inc inc resync inc"))

	keep := 3
	rules := &m.config.Domains[0].Policy.Retention
	rules.KeepLast, rules.Prune = &keep, "merge"
	m.write(2)
	if err := m.apply(); err != nil {
		t.Fatal(err)
	}
	m.restored(m.settled("full inc inc"))
}

// dialBroken reads through nbdkit, which lets every read fail; what is dirty
// comes from QEMU.
func (m *machine) dialBroken(ctx context.Context, socket, export, bitmap string) (executor.Export, error) {
	if _, err := exec.LookPath("nbdkit"); err != nil {
		if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
			m.Fatal("VBK_REQUIRE_PEERS=1: nbdkit is not installed")
		}
		return nil, fmt.Errorf("nbdkit is not installed, so this fails in another way: %w", syscall.EIO)
	}
	good, err := dialNBD(ctx, socket, export, bitmap)
	if err != nil {
		return nil, err
	}
	relay := filepath.Join(m.TempDir(), "s")
	server := exec.Command("nbdkit", "-f", "-U", relay, "--filter=error", "nbd", "socket="+socket, "export="+export, "error-pread=EIO", "error-pread-rate=100%")
	if err := server.Start(); err != nil {
		return nil, err
	}
	m.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if bad, err := dialNBD(ctx, relay, export, ""); err == nil {
			m.Cleanup(func() { _ = bad.Close() })
			return strange{Export: good, read: bad.ReadBatch}, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(5 * time.Millisecond): // the socket appears
		}
	}
}
