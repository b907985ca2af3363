package local_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"syscall"
	"testing"

	"vbk/format"
	"vbk/store"
	"vbk/store/local"
	"vbk/store/storetest"
)

// written is a point of one disk that the tests of merging make: chunks of 64 KiB
// that repeat a byte.
type written struct {
	size   int64
	chunks map[int64]byte // by number
}

// history is a base and two increments. The first point goes into the second; then
// a fifth of the base is dead.
var history = []written{
	{1 << 20, map[int64]byte{0: 1, 1: 2, 2: 3, 3: 4, 4: 5}},
	{1 << 20, map[int64]byte{1: 6}},
	{1 << 20, map[int64]byte{2: 7}},
}

// content is the disk after the first n points of the history.
func content(n int) []byte {
	disk := make([]byte, history[0].size)
	for _, p := range history[:n] {
		for k, b := range p.chunks {
			copy(disk[k*format.Grain:], bytes.Repeat([]byte{b}, format.Grain))
		}
	}
	return disk
}

// write adds a point to a manifest.
func (w *world) write(f *local.Folder, m store.Manifest, fill func(*format.Writer) error, size int64) (store.Manifest, error) {
	p := store.Point{Kind: store.Full, Parent: -1, Attempt: w.attempt(), Start: start, End: start, Version: "test"}
	if n := len(m.Points); n > 0 {
		p.Kind, p.Parent, p.Sequence = store.Increment, n-1, n
	}
	base := p.Parent < 0
	d := store.PointDisk{Target: "vda", File: store.DataFileName("vda", base, p.Sequence, p.Attempt), Base: base, Size: size}
	err := w.file(f, m, &d, func(out *local.File) (format.Summary, error) {
		writer, err := format.NewWriter(out, format.Header{
			StoreID: m.StoreID, Chain: m.Chain, Sequence: p.Sequence, Attempt: p.Attempt, Domain: m.Domain, UUID: m.UUID,
			Disk: "vda", Size: size, Base: base, Disks: []string{"vda"}, HashKey: m.HashKey, Time: start, Version: "test",
		}, format.Options{})
		if err == nil {
			err = fill(writer)
		}
		if err != nil {
			return format.Summary{}, err
		}
		return writer.Close()
	})
	p.Disks = []store.PointDisk{d}
	m.Number++
	m.Points = append(m.Points[:len(m.Points):len(m.Points)], p)
	return m, err
}

func (w *world) file(f *local.Folder, m store.Manifest, d *store.PointDisk, fill func(*local.File) (format.Summary, error)) error {
	out, err := f.Create(m.Chain, d.File)
	if err != nil {
		return err
	}
	sum, err := fill(out)
	d.FileSize, d.Data, d.Stored, d.FooterHash = sum.FileSize, sum.Data, sum.Stored, fmt.Sprintf("%016x", sum.FooterHash)
	return errors.Join(err, out.Close())
}

// mergeFirst makes the first two points of a chain one, as the executor does.
func (w *world) mergeFirst(s *local.Store, f *local.Folder, m store.Manifest) (_ store.Manifest, err error) {
	r, err := s.OpenChain(folder, m.Chain)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	var files []format.Named
	var sources []io.Closer
	defer func() {
		for _, src := range sources {
			err = errors.Join(err, src.Close())
		}
	}()
	open := opener(r, &sources)
	for _, p := range m.Points[:2] {
		src, size, err := open(p.Disks[0].File)
		if err != nil {
			return m, err
		}
		file, err := format.OpenWith(src, size, open)
		if err != nil {
			return m, err
		}
		files = append(files, format.Named{Name: p.Disks[0].File, File: file})
	}
	p := m.Points[1]
	p.Kind, p.Parent, p.Merged = store.Full, -1, 1
	d := p.Disks[0]
	d.File, d.Base = store.DataFileName("vda", true, p.Sequence, w.attempt()), true
	err = w.file(f, m, &d, func(out *local.File) (format.Summary, error) {
		o := format.MergeOptions{Version: "test"}
		if f.CanShare(m.Chain, files[0].Name) {
			o.Share = out.Share
		}
		merged, err := format.Merge(ctx, out, files, o)
		for _, s := range merged.Slots {
			d.Shares = append(d.Shares, s.Name)
		}
		return merged.Summary, err
	})
	p.Disks = []store.PointDisk{d}
	m.Number++
	m.Points = append([]store.Point{p}, m.Points[2:]...)
	return m, err
}

// opener opens files of a chain, and remembers to close them.
func opener(r *local.Reader, sources *[]io.Closer) format.Opener {
	return func(name string) (io.ReaderAt, int64, error) {
		src, err := r.Open(name)
		if err != nil {
			return nil, 0, err
		}
		*sources = append(*sources, src)
		return src, src.Size(), nil
	}
}

// diskAt is the disk after the first points of a chain.
func diskAt(t testing.TB, s *local.Store, m store.Manifest, points int) []byte {
	t.Helper()
	r, err := s.OpenChain(folder, m.Chain)
	if err != nil {
		t.Fatal(err)
	}
	sources := []io.Closer{r}
	defer func() {
		for _, src := range sources {
			if err := src.Close(); err != nil {
				t.Error(err)
			}
		}
	}()
	open := opener(r, &sources)
	var files []*format.File
	for _, p := range m.Points[:points] {
		src, size, err := open(p.Disks[0].File)
		if err != nil {
			t.Fatal(err)
		}
		file, err := format.OpenWith(src, size, open)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	img, err := format.NewImage(files...)
	if err != nil {
		t.Fatal(err)
	}
	disk := make([]byte, img.Size())
	if _, err := img.ReadAt(disk, 0); err != nil {
		t.Fatal(err)
	}
	return disk
}

// merger is a run that makes the history, unless it is there, merges its first two
// points, unless that was done, and leaves nothing behind.
type merger struct{ *world }

func (w merger) run(fsys local.FS) error {
	s, err := local.OpenOn(fsys, "test")
	if err != nil {
		return err
	}
	f, err := s.Lock(ctx, folder, rec(1))
	if err != nil {
		return err
	}
	if err := w.work(s, f); err != nil {
		return errors.Join(err, f.Abandon())
	}
	return f.Unlock()
}

func (w merger) work(s *local.Store, f *local.Folder) error {
	d, err := f.Look(ctx)
	if err != nil {
		return err
	}
	if err := f.RemoveLeftovers(ctx, d.Leftovers); err != nil {
		return err
	}
	if err := f.Record(rec(2)); err != nil {
		return err
	}
	m := d.Chains[0].Manifest
	if len(m.Points) == len(history) {
		if m, err = w.mergeFirst(s, f, m); err != nil {
			return err
		}
		if err := f.Commit(ctx, m); err != nil {
			return err
		}
	}
	return f.Trim(ctx, m.Chain)
}

// withHistory is a disk with three points.
func withHistory(t testing.TB, reflink bool) (*storetest.Disk, merger) {
	disk, w := storetest.NewDisk(), newWorld(1)
	disk.Reflink = reflink
	s := w.init(t, disk)
	f := lock(t, s)
	m := w.newChain(s.ID(), 1)
	for _, p := range history {
		var err error
		m, err = w.write(f, m, func(out *format.Writer) error {
			for k, b := range p.chunks {
				if err := out.Data(k*format.Grain, bytes.Repeat([]byte{b}, format.Grain)); err != nil {
					return err
				}
			}
			return nil
		}, p.size)
		if err == nil {
			err = f.Commit(ctx, m)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	unlock(t, f)
	return disk, merger{w}
}

// exact wants all points that are listed to be what they were, and no finding that
// keeps one from being restored.
func exact(t testing.TB, fsys local.FS) store.Manifest {
	t.Helper()
	s, err := local.OpenOn(fsys, "test")
	if err != nil {
		t.Fatal(err)
	}
	d := domain(t, s)
	if len(d.Chains) != 1 || len(d.Chains[0].Problems) > 0 {
		t.Fatalf("found %+v", d)
	}
	m := d.Chains[0].Manifest
	for n, p := range m.Points {
		if !bytes.Equal(diskAt(t, s, m, n+1), content(p.Sequence+1)) {
			t.Fatalf("point %d is not what it was", p.Sequence)
		}
	}
	findings, err := s.Check(ctx, folder, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if f.From != store.NoPoint {
			t.Fatalf("finding: %+v", f)
		}
	}
	return m
}

// TestDieInAMerge: a run that dies between any two effects loses no point, and the
// next one gets to the end.
func TestDieInAMerge(t *testing.T) {
	for _, reflink := range []bool{false, true} {
		effects := 0
		for fired := true; fired && !t.Failed(); effects++ {
			all := deaths(effects + 1)
			for _, how := range []string{"before, lost", "before, kept", "half, mixed", "after, lost"} {
				fate := all[how]
				disk, w := withHistory(t, reflink)
				faults := &storetest.Faults{FS: disk, At: effects + 1, Die: true,
					Half: strings.HasPrefix(how, "half"), Done: strings.HasPrefix(how, "after")}
				_ = w.run(faults)
				if fired = faults.Fired(); !fired {
					break
				}
				t.Run(fmt.Sprintf("%v %d %s", reflink, effects+1, how), func(t *testing.T) {
					after := disk.Crash(fate)
					exact(t, after)
					runs := map[bool]int{true: 2, false: 1}[how == "half, mixed"] // the second changes nothing
					for range runs {
						if err := w.run(after); err != nil {
							t.Fatal(err)
						}
						wantMerged(t, after, reflink)
					}
				})
			}
		}
		if effects < 30 {
			t.Errorf("the run has %d effects, too few to be the whole of it", effects)
		}
	}
}

// TestFailInAMerge lets each effect fail once, and the process live on.
func TestFailInAMerge(t *testing.T) {
	for n := 1; ; n++ {
		disk, w := withHistory(t, false)
		faults := &storetest.Faults{FS: disk, At: n, Err: syscall.EIO, Half: n%2 == 0}
		err := w.run(faults)
		if !faults.Fired() {
			break
		}
		if err != nil && !errors.Is(err, syscall.EIO) {
			t.Errorf("effect %d: %v", n, err)
		}
		disk.KillProcess()
		exact(t, disk)
		exact(t, disk.Crash(storetest.Lose))
		if err := w.run(disk); err != nil {
			t.Fatal(err)
		}
		wantMerged(t, disk, false)
	}
}

// wantMerged wants what an undisturbed run leaves.
func wantMerged(t testing.TB, fsys local.FS, reflink bool) {
	t.Helper()
	m := exact(t, fsys)
	s, err := local.OpenOn(fsys, "test")
	if err != nil {
		t.Fatal(err)
	}
	d := domain(t, s)
	if s := sequences(m); len(s) != 2 || s[0] != 1 || len(d.Leftovers) > 0 {
		t.Fatalf("points %v, leftovers %v", s, d.Leftovers)
	}
	clean(t, s)
	shares := m.Points[0].Disks[0].Shares
	if reflink {
		if len(shares) > 0 {
			t.Fatalf("chunks lie in %v", shares)
		}
		return
	}
	if len(shares) != 2 {
		t.Fatalf("chunks lie in %v", shares)
	}
	for _, name := range shares {
		data := bytesOf(t, fsys, path.Join(folder, m.Chain, name))
		dead := bytes.Contains(data, bytes.Repeat([]byte{2}, format.Grain)) // superseded by 6
		if dead {
			t.Errorf("%s holds what nobody names", name)
		}
	}
}

func bytesOf(t testing.TB, fsys local.FS, name string) []byte {
	t.Helper()
	h, err := fsys.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	size, err := h.Size()
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, size)
	if _, err := h.ReadAt(data, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return data
}

// TestMergedManifestRots: the manifests from before a merge are gone with the files
// that they name, and still the newest is not the only one.
func TestMergedManifestRots(t *testing.T) {
	disk, w := withHistory(t, false)
	if err := w.run(disk); err != nil {
		t.Fatal(err)
	}
	s, err := local.OpenOn(disk, "test")
	if err != nil {
		t.Fatal(err)
	}
	m := domain(t, s).Chains[0].Manifest
	if err := disk.Flip(path.Join(folder, m.Chain, store.ManifestName(m.Number)), 9); err != nil {
		t.Fatal(err)
	}
	c := domain(t, s).Chains[0]
	if got := sequences(c.Manifest); len(got) != 2 || !c.Sound(got[0]) || !c.Sound(got[1]) {
		t.Fatalf("points %v: %+v", got, c.Problems)
	}
	for n, p := range c.Manifest.Points {
		if !bytes.Equal(diskAt(t, s, c.Manifest, n+1), content(p.Sequence+1)) {
			t.Errorf("point %d is not what it was", p.Sequence)
		}
	}
}

// TestTrimUnderAReader: nothing goes and nothing is punched while the chain is
// read.
func TestTrimUnderAReader(t *testing.T) {
	disk, w := withHistory(t, false)
	s, err := local.OpenOn(disk, "test")
	if err != nil {
		t.Fatal(err)
	}
	m := domain(t, s).Chains[0].Manifest
	r, err := s.OpenChain(folder, m.Chain)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.run(disk); !errors.Is(err, store.ErrInUse) {
		t.Fatalf("trim: %v", err)
	}
	for n := range m.Points { // by the manifest from before
		if !bytes.Equal(diskAt(t, s, m, n+1), content(n+1)) {
			t.Errorf("point %d is not what it was", n)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestPunch: the rest of the file stays, and so does a file that has two names.
func TestPunch(t *testing.T) {
	eachFS(t, func(t *testing.T, fsys local.FS) {
		text := strings.Repeat("x", 4*format.Align)
		put(t, fsys, "file", text)
		want := text[:format.Align] + strings.Repeat("\x00", format.Align) + text[2*format.Align:]
		if err := fsys.Punch("file", []format.Range{{Offset: format.Align, Length: format.Align}}); err != nil {
			t.Fatal(err)
		}
		if got := string(bytesOf(t, fsys, "file")); got != want {
			t.Errorf("%d bytes, not what was to stay", len(got))
		}
		if err := fsys.Link("file", "copy"); err != nil {
			t.Fatal(err)
		}
		if err := fsys.Punch("file", []format.Range{{Offset: 0, Length: format.Align}}); err != nil {
			t.Fatal(err)
		}
		if got := string(bytesOf(t, fsys, "copy")); got != want {
			t.Error("a file with two names was punched")
		}
		if err := fsys.Punch("none", nil); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a file that is not there: %v", err)
		}
	})
}
