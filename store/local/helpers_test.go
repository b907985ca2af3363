package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"vbk/format"
	"vbk/store"
	"vbk/store/local"
)

const (
	uuid   = "4c1f9d2a-0000-4000-8000-000000000001"
	folder = "web01-4c1f9d2a"
	key    = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
)

var (
	ctx   = context.Background()
	start = time.Date(2026, 11, 22, 1, 30, 0, 0, time.UTC)
)

// world draws names; it outlives the crashes of what it works on.
type world struct{ random io.Reader }

func newWorld(seed byte) *world {
	return &world{rand.NewChaCha8([32]byte{seed})}
}

func (w *world) init(t testing.TB, fsys local.FS) *local.Store {
	t.Helper()
	s, err := local.InitOn(fsys, "test", start, w.random)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newChain is the manifest of a chain without points.
func (w *world) newChain(storeID string, number int) store.Manifest {
	name, err := store.ChainName(start, w.random)
	if err != nil {
		panic(err)
	}
	return store.Manifest{
		FormatVersion: store.FormatVersion, StoreID: storeID, Chain: name, ChainNumber: number,
		Domain: "web01", UUID: uuid, HashKey: key, Written: start, Version: "test",
	}
}

func (w *world) attempt() string {
	id, err := store.NewID(w.random)
	if err != nil {
		panic(err)
	}
	return id
}

// next writes the files of the next point, a full if it is the first, and
// returns the manifest that lists it.
func (w *world) next(f *local.Folder, m store.Manifest, targets ...string) (store.Manifest, error) {
	p := store.Point{Kind: store.Full, Parent: -1, Attempt: w.attempt(), Start: start, End: start, Version: "test"}
	if n := len(m.Points); n > 0 {
		p.Kind, p.Parent = store.Increment, m.Points[n-1].Sequence
		p.Sequence = p.Parent + 1
	}
	if len(m.Points) == 0 { // as the executor does before anything of the chain is there
		begun := rec(1)
		begun.Chain = m.Chain
		if err := f.Record(begun); err != nil {
			return m, err
		}
	}
	if len(targets) == 0 {
		targets = []string{"vda"}
	}
	for _, target := range targets {
		d, err := writeDisk(f, m, p, target, targets)
		if err != nil {
			return m, err
		}
		p.Disks = append(p.Disks, d)
	}
	xml, err := f.Write(m.Chain, store.ExtraFileName(p.Sequence, p.Attempt, "domain.xml"), xmlOf(m.Chain, p.Sequence))
	if err != nil {
		return m, err
	}
	p.Files = []store.File{xml}
	m.Number++
	m.Points = append(m.Points[:len(m.Points):len(m.Points)], p)
	return m, nil
}

func xmlOf(chain string, sequence int) []byte {
	return fmt.Appendf(nil, "<domain>%s %d</domain>", chain, sequence)
}

func writeDisk(f *local.Folder, m store.Manifest, p store.Point, target string, all []string) (store.PointDisk, error) {
	// A target named "+vdb" joins the chain here.
	name := strings.TrimPrefix(target, "+")
	base := p.Kind == store.Full || name != target
	file, err := f.Create(m.Chain, store.DataFileName(name, base, p.Sequence, p.Attempt))
	if err != nil {
		return store.PointDisk{}, err
	}
	w, err := format.NewWriter(file, format.Header{
		StoreID: m.StoreID, Chain: m.Chain, Sequence: p.Sequence, Attempt: p.Attempt, Domain: m.Domain, UUID: m.UUID,
		Disk: name, Size: 1 << 20, Base: base, Disks: strings.Fields(strings.ReplaceAll(strings.Join(all, " "), "+", "")), HashKey: m.HashKey, Time: start, Version: "test",
	}, format.Options{})
	var sum format.Summary
	if err == nil {
		err = w.Data(0, bytes.Repeat([]byte{byte(p.Sequence + 1)}, format.Grain))
	}
	if err == nil {
		sum, err = w.Close()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return store.PointDisk{}, err
	}
	return store.PointDisk{
		Target: name, File: store.DataFileName(name, base, p.Sequence, p.Attempt), Base: base, Size: 1 << 20,
		FileSize: sum.FileSize, Data: sum.Data, Stored: sum.Stored, FooterHash: fmt.Sprintf("%016x", sum.FooterHash),
	}, nil
}

// chainOf commits a new chain with n points and returns its manifest.
func (w *world) chainOf(t testing.TB, s *local.Store, n int) store.Manifest {
	t.Helper()
	f := lock(t, s)
	defer unlock(t, f)
	d, err := f.Look(ctx)
	if err != nil {
		t.Fatal(err)
	}
	number := 1
	for _, c := range d.Chains {
		number = c.Manifest.ChainNumber + 1
	}
	m := w.newChain(s.ID(), number)
	for range n {
		m = w.grow(t, f, m)
	}
	return m
}

// grow commits one more point.
func (w *world) grow(t testing.TB, f *local.Folder, m store.Manifest, targets ...string) store.Manifest {
	t.Helper()
	m, err := w.next(f, m, targets...)
	if err == nil {
		err = f.Commit(ctx, m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func rec(pid int) store.Attempt {
	return store.Attempt{Host: "backup1", BootID: "b", PID: pid, Since: start, Checkpoint: fmt.Sprintf("checkpoint-%d", pid)}
}

func lock(t testing.TB, s *local.Store) *local.Folder {
	t.Helper()
	f, err := s.Lock(ctx, folder, rec(1))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func unlock(t testing.TB, f *local.Folder) {
	t.Helper()
	if err := f.Unlock(); err != nil {
		t.Fatal(err)
	}
}

func domain(t testing.TB, s *local.Store) store.Domain {
	t.Helper()
	d, err := s.Domain(ctx, folder)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// clean demands that the checker finds nothing, and ends most tests.
func clean(t testing.TB, s *local.Store) {
	t.Helper()
	findings, err := s.Check(ctx, folder, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		t.Errorf("finding: %+v", f)
	}
}

// sequences of a chain's points.
func sequences(m store.Manifest) []int {
	var s []int
	for _, p := range m.Points {
		s = append(s, p.Sequence)
	}
	return s
}
