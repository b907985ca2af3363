package executor_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"vbk/config"
	"vbk/executor"
	"vbk/executor/bind"
	"vbk/plan"
	"vbk/store"
	"vbk/store/local"
	"vbk/store/storetest"
	"vbk/virt"
	"vbk/virt/virttest"
)

const (
	uuid    = "4c1f9d2a-0000-4000-8000-000000000001"
	foreign = "nightly-of-somebody" // a checkpoint that is not ours
)

// reporter is what testing.T and rapid.T share.
type reporter interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// world is a hypervisor and a store in memory, with a configuration for them. It
// remembers what every checkpoint saw.
type world struct {
	t       reporter
	host    *virttest.Host
	disk    *storetest.Disk // of the store
	fs      local.FS        // the disk, or faults on it
	scratch string
	now     time.Time
	rand    *rand.Rand
	config  *config.Config

	// Seams, nil unless a test sets them.
	bind  func(*executor.Bindings)              // changes what a run acts with
	begun func()                                // what the guest does while a job runs
	dial  func(executor.Export) executor.Export // what becomes of an export
	step  func(op string) error                 // comes before all that is asked of hypervisor and export

	mu     sync.Mutex
	taken  map[string]map[string][]byte // attempt -> target -> content at its instant
	events []executor.Event             // of the last run
}

func newWorld(t reporter, scratch string, seed uint64) *world {
	keep := 3
	policy := config.Policy{
		Store: "store.local.main", Every: config.Duration(24 * time.Hour), Offline: "skip", Mode: "incremental",
		Chain:       config.Chain{MaxIncrements: 100, OnBroken: "resync"},
		Disks:       config.Disks{Raw: "resync"},
		Quiesce:     config.Quiesce{Mode: "try", Timeout: config.Duration(10 * time.Second)},
		Retention:   config.Retention{KeepLast: &keep, MinChains: 1, MaxPrune: 100},
		Compression: config.Compression{Codec: "zstd", Level: 1},
	}
	w := &world{
		t: t, host: virttest.New(), disk: storetest.NewDisk(), scratch: scratch,
		now:   time.Date(2026, 11, 22, 1, 30, 0, 0, time.UTC),
		rand:  rand.New(rand.NewPCG(seed, 1)),
		taken: map[string]map[string][]byte{},
		config: &config.Config{
			Name: "test", TimeZone: time.UTC,
			Hosts:   []config.Host{{Name: "local", URI: "twin", MaxParallel: 2, ScratchDir: scratch}},
			Stores:  []config.Store{{Kind: "local", Name: "main", Path: "/store"}},
			Domains: []config.Domain{{Name: "all", Match: []string{"*"}, Hosts: []string{"local"}, Policy: policy}},
		},
	}
	w.fs = w.disk
	w.host.Now = func() time.Time { return w.now }
	if _, err := local.InitOn(w.disk, "store", w.now, w.random()); err != nil {
		t.Fatalf("init store: %v", err)
	}
	return w
}

func (w *world) policy() *config.Policy { return &w.config.Domains[0].Policy }

// random is a source that several goroutines may read.
func (w *world) random() io.Reader {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(w.rand.Uint32())
	}
	return &lockedReader{r: rand.NewChaCha8(seed)}
}

type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *lockedReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(p)
}

// define makes the domain with disks of these sizes, half of them written.
func (w *world) define(sizes map[string]int64) {
	def := virt.Domain{Name: "web01", UUID: uuid, ProcessUID: -1, ProcessGID: -1}
	content := map[string][]byte{}
	for _, target := range slices.Sorted(maps.Keys(sizes)) {
		def.Disks = append(def.Disks, diskNamed(target))
		content[target] = make([]byte, sizes[target])
	}
	w.host.Define(def, content)
	for target := range sizes {
		w.scribble(target, 5)
	}
}

func (w *world) targets() []string {
	d, err := w.host.Domain(w.ctx(), uuid)
	if err != nil {
		w.t.Fatalf("survey: %v", err)
	}
	var all []string
	for _, disk := range d.Disks {
		all = append(all, disk.Target)
	}
	return all
}

func (w *world) store() *local.Store {
	w.t.Helper()
	s, err := local.OpenOn(w.fs, "store")
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	return s
}

// plan surveys and plans.
func (w *world) plan(o plan.Options) plan.Plan {
	inventory := plan.Survey(w.ctx(), w.config, plan.Openers{
		Host:  func(context.Context, config.Host) (plan.Hypervisor, error) { return w.host, nil },
		Store: func(config.Store) (plan.Repository, error) { return local.OpenOn(w.fs, "store") },
	}, w.now)
	return plan.Make(w.config, inventory, o, w.now)
}

// run does a plan, with fresh bindings.
func (w *world) run(ctx context.Context, p plan.Plan) executor.Result {
	b := executor.Bindings{
		Hosts: map[string]executor.Host{"local": twin{w.host, w}}, Images: twin{w.host, w},
		Dial: w.open,
		Now:  func() time.Time { return w.now }, Random: w.random(),
		Self: store.Attempt{Host: "here", BootID: "1", PID: 1}, Version: "test", Parallel: 4,
		Events: func(e executor.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if e.Kind != executor.Progress {
				w.events = append(w.events, e)
			}
		},
	}
	if s, err := local.OpenOn(w.fs, "store"); err == nil {
		b.Stores = map[string]executor.Store{"store.local.main": bind.Store{Store: s}}
	}
	if w.bind != nil {
		w.bind(&b)
	}
	w.mu.Lock()
	w.events = nil
	w.mu.Unlock()
	return executor.Run(ctx, p, b)
}

func (w *world) open(_ context.Context, socket, export, bitmap string) (executor.Export, error) {
	if err := w.before("Dial"); err != nil {
		return nil, err
	}
	e, err := w.host.Open(socket, export, bitmap)
	if err != nil {
		return nil, err
	}
	if w.dial != nil {
		return w.dial(twinExport{e, w}), nil
	}
	return twinExport{e, w}, nil
}

func (w *world) before(op string) error {
	if w.step == nil {
		return nil
	}
	return w.step(op)
}

// apply plans and runs.
func (w *world) apply(o plan.Options) executor.Result {
	return w.run(w.ctx(), w.plan(o))
}

// nextDay lets a day pass, with writes.
func (w *world) nextDay() {
	w.now = w.now.Add(25 * time.Hour)
	for _, target := range w.targets() {
		w.scribble(target, 3)
	}
}

// succeed applies, and wants what must be true after a good run.
func (w *world) succeed(o plan.Options) executor.Result {
	w.t.Helper()
	r := w.apply(o)
	if r.Failed > 0 {
		w.t.Fatalf("apply: %+v: %v", r, w.failure())
	}
	w.settled()
	return r
}

// failure is the first error that the last run told.
func (w *world) failure() error {
	for _, e := range w.events {
		if e.Kind == executor.Failed {
			return e.Err
		}
	}
	return nil
}

// settled wants no changes, nothing left behind, and every point exact.
func (w *world) settled() {
	w.t.Helper()
	if p := w.plan(plan.Options{}); !p.Empty() || p.Failed() {
		w.t.Fatalf("the plan after a good run is not empty: %+v %v", p.Instances, p.Failures)
	}
	w.clean()
	w.exact()
}

// clean wants no job, run folder or checkpoint of ours but the open chain's.
func (w *world) clean() {
	w.t.Helper()
	d, err := w.host.Domain(w.ctx(), uuid)
	if err != nil {
		w.t.Fatalf("survey: %v", err)
	}
	if d.Job != nil {
		w.t.Errorf("a job is left: %+v", d.Job)
	}
	if d.State == virt.Paused && w.policy().Offline == "start_paused" {
		w.t.Errorf("the domain is left paused")
	}
	if w.host.Frozen(uuid) {
		w.t.Errorf("the guest is left frozen")
	}
	var head string
	if points := w.points(); len(points) > 0 {
		head = points[len(points)-1].point.Checkpoint
	}
	for _, c := range d.Checkpoints {
		if c.Name != head && c.Name != foreign && d.State.Active() {
			w.t.Errorf("checkpoint %s is left, the head has %s", c.Name, head)
		}
	}
	left, err := os.ReadDir(w.scratch)
	if err != nil || len(left) > 0 {
		w.t.Errorf("left in the scratch folder: %v %v", left, err)
	}
}

// attempt is the one that the record of a domain's folder names.
func (w *world) attempt(uuid string) string {
	fsys := w.fs
	switch f := fsys.(type) { // whatever becomes of the run's own store
	case *storetest.Faults:
		fsys = f.FS
	case *storetest.Unreadable:
		fsys = f.FS
	}
	s, err := local.OpenOn(fsys, "store")
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	found, err := s.Domains(w.ctx())
	if err != nil {
		w.t.Fatalf("survey store: %v", err)
	}
	for _, d := range found {
		if d.Attempt != nil && d.Attempt.Domain == uuid {
			return d.Attempt.ID
		}
	}
	w.t.Fatalf("a job begins, and no attempt is recorded")
	return ""
}

type located struct {
	folder, chain string
	point         store.Point
}

// points lists all points, oldest first.
func (w *world) points() []located {
	w.t.Helper()
	domains, err := w.store().Domains(w.ctx())
	if err != nil {
		w.t.Fatalf("survey store: %v", err)
	}
	var all []located
	for _, d := range domains {
		for _, c := range d.Chains {
			for _, p := range c.Manifest.Points {
				all = append(all, located{d.Folder, c.Name, p})
			}
		}
	}
	return all
}

// exact wants every point to hold what its checkpoint saw, byte for byte, and
// the store's own checker to find nothing.
func (w *world) exact() {
	w.t.Helper()
	for _, l := range w.points() {
		w.mu.Lock()
		saw := w.taken[l.point.Attempt]
		w.mu.Unlock()
		if len(saw) != len(l.point.Disks) || len(saw) == 0 {
			w.t.Errorf("point %s.%d has %d disks, the domain had %d", l.chain, l.point.Sequence, len(l.point.Disks), len(saw))
		}
		for target, want := range saw {
			if got, err := w.read(l, target); err != nil || !bytes.Equal(got, want) {
				w.t.Errorf("point %s.%d: disk %s differs (%d bytes, want %d): %v", l.chain, l.point.Sequence, target, len(got), len(want), err)
			}
		}
	}
	domains, err := w.store().Domains(w.ctx())
	if err != nil {
		w.t.Fatalf("survey store: %v", err)
	}
	for _, d := range domains {
		findings, err := w.store().Check(w.ctx(), d.Folder, true)
		if err != nil || len(findings) > 0 {
			w.t.Errorf("check of %s found %+v: %v", d.Folder, findings, err)
		}
	}
}

// read reads a disk of a point whole.
func (w *world) read(l located, target string) ([]byte, error) { return readIn(w.store(), l, target) }

func readIn(s *local.Store, l located, target string) ([]byte, error) {
	c, err := bind.Store{Store: s}.OpenChain(l.folder, l.chain)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	image, err := executor.OpenDisk(c, l.point.Sequence, target)
	if err != nil {
		return nil, err
	}
	content := make([]byte, image.Size())
	_, err = image.ReadAt(content, 0)
	return content, errors.Join(err, image.Close())
}

// kinds describes the points: "full inc inc".
func (w *world) kinds() string {
	var all []string
	for _, l := range w.points() {
		all = append(all, string(l.point.Kind))
	}
	return strings.Join(all, " ")
}

func (w *world) wantKinds(want string) {
	w.t.Helper()
	if got := w.kinds(); got != want {
		w.t.Fatalf("points are %q, want %q", got, want)
	}
}

// addForeign makes a checkpoint that is not ours, and must stay.
func (w *world) addForeign() {
	w.t.Helper()
	b := virt.Backup{Socket: "/foreign/socket", Checkpoint: foreign}
	for _, target := range w.targets() {
		b.Disks = append(b.Disks, virt.BackupDisk{Target: target, Scratch: "/foreign/" + target})
	}
	ctx := w.ctx()
	if err := errors.Join(w.host.BeginBackup(ctx, uuid, b), w.host.EndBackup(ctx, uuid, b.Socket)); err != nil {
		w.t.Fatalf("%v", err)
	}
}

func (w *world) hasCheckpoint(name string) bool {
	_, err := w.host.CheckpointXML(w.ctx(), uuid, name)
	return err == nil
}

// head is the newest point.
func (w *world) head() store.Point {
	w.t.Helper()
	all := w.points()
	if len(all) == 0 {
		w.t.Fatalf("there is no point")
	}
	return all[len(all)-1].point
}

func (w *world) ctx() context.Context { return context.Background() }
