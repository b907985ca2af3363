package local_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"vbk/store"
	"vbk/store/local"
	"vbk/store/storetest"
)

// keeper is the scenario of the crash tests: a run that leads from any state
// to two things, one chain with the number 2 and four points. It remembers
// what it has been promised.
type keeper struct {
	*world
	promised map[string]store.Manifest // by chain: what Commit said is there
}

func newKeeper() *keeper { return &keeper{newWorld(1), map[string]store.Manifest{}} }

func (k *keeper) run(fsys local.FS) error {
	s, err := local.InitOn(fsys, "test", start, k.random)
	if err != nil {
		return err
	}
	f, err := s.Lock(ctx, folder, rec(1))
	if err != nil {
		return err
	}
	if err := k.work(s, f); err != nil {
		return errors.Join(err, f.Abandon())
	}
	return f.Unlock()
}

func (k *keeper) work(s *local.Store, f *local.Folder) error {
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
	var chains []store.Manifest
	for _, c := range d.Chains {
		if len(c.Problems) > 0 {
			return fmt.Errorf("chain %s: %+v", c.Name, c.Problems)
		}
		chains = append(chains, c.Manifest)
		k.promised[c.Name] = c.Manifest // what is seen under the lock is relied on
	}
	if len(chains) == 0 {
		chains = append(chains, k.newChain(s.ID(), 1))
	}
	first := chains[0]
	if first.ChainNumber == 1 {
		if len(chains) == 1 {
			if err := k.fill(f, first, 1); err != nil {
				return err
			}
			chains = append(chains, k.newChain(s.ID(), 2))
		}
		if err := k.fill(f, chains[1], 4); err != nil {
			return err
		}
		delete(k.promised, first.Chain)
		return f.Release(ctx, first.Chain)
	}
	return k.fill(f, first, 4)
}

func (k *keeper) fill(f *local.Folder, m store.Manifest, points int) error {
	for len(m.Points) < points {
		var err error
		if m, err = k.next(f, m); err != nil {
			return err
		}
		if err := f.Commit(ctx, m); err != nil {
			return errors.Join(err, unchanged(f, m, err))
		}
		k.promised[m.Chain] = m
	}
	return nil
}

// unchanged demands that a commit that failed, and knows it, did not happen.
func unchanged(f *local.Folder, m store.Manifest, cause error) error {
	if errors.Is(cause, storetest.ErrDied) || errors.Is(cause, store.ErrUncertain) {
		return nil
	}
	d, err := f.Look(ctx)
	for _, c := range d.Chains {
		if c.Name == m.Chain && c.Manifest.Number == m.Number {
			err = errHappened
		}
	}
	return err
}

var errHappened = errors.New("the manifest is there all the same")

// audit demands of the disk after a crash that every promise is kept and that
// all it lists is whole.
func (k *keeper) audit(t *testing.T, fsys local.FS) {
	t.Helper()
	s, err := local.OpenOn(fsys, "test")
	if errors.Is(err, store.ErrNotMarked) && len(k.promised) == 0 {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	domains, err := s.Domains(ctx)
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]store.Manifest{}
	for _, d := range domains {
		for _, c := range d.Chains {
			there[c.Name] = c.Manifest
			readAll(t, s, c)
		}
		findings, err := s.Check(ctx, d.Folder, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range findings {
			if f.From != store.NoPoint {
				t.Fatalf("finding: %+v", f)
			}
		}
	}
	for name, m := range k.promised {
		if got := len(there[name].Points); got < len(m.Points) {
			t.Fatalf("chain %s has %d points, %d were promised", name, got, len(m.Points))
		}
	}
}

// readAll demands that every listed point reads back as it was written.
func readAll(t *testing.T, s *local.Store, c store.Chain) {
	t.Helper()
	r, err := s.OpenChain(folder, c.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, p := range c.Manifest.Points {
		if !c.Sound(p.Sequence) {
			t.Fatalf("point %d is not sound: %+v", p.Sequence, c.Problems)
		}
		data, err := r.ReadFile(p.Files[0].Name)
		if err != nil || !bytes.Equal(data, xmlOf(c.Name, p.Sequence)) {
			t.Fatalf("point %d: %q, %v", p.Sequence, data, err)
		}
	}
}

// converge demands that another run ends where an undisturbed one does.
func (k *keeper) converge(t *testing.T, fsys local.FS) {
	t.Helper()
	for _, again := range []bool{false, true} { // the second time it changes nothing
		if err := k.run(fsys); err != nil {
			t.Fatal(err)
		}
		s, err := local.OpenOn(fsys, "test")
		if err != nil {
			t.Fatal(err)
		}
		d := domain(t, s)
		if len(d.Chains) != 1 || d.Chains[0].Manifest.ChainNumber != 2 || len(d.Chains[0].Manifest.Points) != 4 {
			t.Fatalf("ended at %+v", d)
		}
		if d.Attempt != nil || len(d.Leftovers) > 0 {
			t.Fatalf("attempt %v, leftovers %v stay", d.Attempt, d.Leftovers)
		}
		if again {
			clean(t, s)
		}
	}
}

// deaths are how a run ends at an effect, and what a power failure leaves of
// what was not synced by then.
func deaths(n int) map[string]storetest.Fate {
	random := rand.New(rand.NewPCG(7, uint64(n)))
	mixed := func(n int) int { return random.IntN(n + 1) }
	namesOnly := func(n int) int { return min(n, 1) } // ext4 without fsync: empty files
	return map[string]storetest.Fate{
		"before, lost": storetest.Lose, "before, kept": storetest.Keep, "before, mixed": mixed,
		"half, kept": storetest.Keep, "half, mixed": mixed, "half, names only": namesOnly,
		"after, lost": storetest.Lose, "after, mixed": mixed,
	}
}

// TestDieAtEveryEffect is the promise of this package: a run that dies between
// any two effects loses nothing that was committed, and the next run gets to
// the same end.
func TestDieAtEveryEffect(t *testing.T) {
	effects := 0
	for n := 1; ; n++ {
		fired := true
		for how, fate := range deaths(n) {
			disk, k := storetest.NewDisk(), newKeeper()
			faults := &storetest.Faults{FS: disk, At: n, Die: true,
				Half: strings.HasPrefix(how, "half"), Done: strings.HasPrefix(how, "after")}
			_ = k.run(faults) // some effects come after the commit: nil is right there
			if fired = faults.Fired(); !fired {
				break
			}
			t.Run(fmt.Sprintf("%d %s", n, how), func(t *testing.T) {
				after := disk.Crash(fate)
				k.audit(t, after)
				k.converge(t, after)
			})
			if t.Failed() {
				return
			}
		}
		if !fired {
			break
		}
		effects = n
	}
	if effects < 100 {
		t.Errorf("the run has %d effects, too few to be the whole scenario", effects)
	}
}

// TestDieTwice lets the run that cleans up after a crash be cut off as well:
// first the process dies, then the power fails.
func TestDieTwice(t *testing.T) {
	total := func() int {
		counter := &storetest.Faults{FS: storetest.NewDisk()}
		if err := newKeeper().run(counter); err != nil {
			t.Fatal(err)
		}
		return counter.Count()
	}()
	random := rand.New(rand.NewPCG(3, 4))
	mixed := func(n int) int { return random.IntN(n + 1) }
	for range 200 {
		first, second := 1+random.IntN(total), 1+random.IntN(total)
		disk, k := storetest.NewDisk(), newKeeper()
		_ = k.run(&storetest.Faults{FS: disk, At: first, Die: true, Half: true})
		disk = disk.KillProcess()
		k.audit(t, disk)
		_ = k.run(&storetest.Faults{FS: disk, At: second, Die: true})
		for _, fate := range []storetest.Fate{storetest.Lose, mixed} {
			after, k := disk.Crash(fate), &keeper{k.world, maps.Clone(k.promised)}
			k.audit(t, after)
			k.converge(t, after)
		}
		if t.Failed() {
			t.Fatalf("died at %d, then at %d", first, second)
		}
	}
}

// TestFailAtEveryEffect lets the N-th effect fail and the process live on: the
// error is returned or was of no consequence, and no promise is broken.
func TestFailAtEveryEffect(t *testing.T) {
	causes := map[string]error{
		"disk full": syscall.ENOSPC, "short write": syscall.ENOSPC, "reply lost": syscall.EIO,
	}
	for name, cause := range causes {
		for n := 1; ; n++ {
			disk, k := storetest.NewDisk(), newKeeper()
			faults := &storetest.Faults{FS: disk, At: n, Err: cause, Half: name == "short write", Done: name == "reply lost"}
			err := k.run(faults)
			if !faults.Fired() {
				break
			}
			t.Run(fmt.Sprintf("%s at %d", name, n), func(t *testing.T) {
				if err != nil && !errors.Is(err, cause) || errors.Is(err, errHappened) {
					t.Errorf("wrong error: %v", err)
				}
				k.audit(t, disk)
				k.audit(t, disk.Crash(storetest.Lose))
				k.converge(t, disk)
			})
			if t.Failed() {
				return
			}
		}
	}
}

// TestSyncFailureCondemnsFile: a file whose sync failed is in no point, even
// if its bytes are all there.
func TestSyncFailureCondemnsFile(t *testing.T) {
	disk, w := storetest.NewDisk(), newWorld(1)
	id := w.init(t, disk).ID()
	m := w.newChain(id, 1)
	name := store.ExtraFileName(0, w.attempt(), "domain.xml")
	for _, syncs := range []bool{true, false} {
		faults := &storetest.Faults{FS: disk, Err: syscall.EIO}
		s, err := local.OpenOn(faults, "test")
		if err != nil {
			t.Fatal(err)
		}
		f := lock(t, s)
		file, err := f.Create(m.Chain, name+fmt.Sprint(syncs))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(file, "x"); err != nil {
			t.Fatal(err)
		}
		if !syncs {
			faults.At = faults.Count() + 1
		}
		if err := file.Close(); (err == nil) != syncs {
			t.Fatalf("close: %v", err)
		}
		if err := file.Close(); (err == nil) != syncs {
			t.Fatalf("close again: %v", err)
		}
		m := m
		m.Number = 1
		m.Points = []store.Point{{Kind: store.Full, Parent: -1, Attempt: "00000001",
			Files: []store.File{{Name: name + fmt.Sprint(syncs), Size: 1, Hash: store.Hash([]byte("x"))}}}}
		if !syncs {
			if err := f.Commit(ctx, m); !errors.Is(err, syscall.EIO) {
				t.Errorf("commit: %v", err)
			}
		}
		unlock(t, f)
	}
}

// TestLookIsDurable: what a run sees under the lock stays when the power fails
// right then, whatever killed the run before.
func TestLookIsDurable(t *testing.T) {
	for n := 1; ; n++ {
		disk, k := storetest.NewDisk(), newKeeper()
		faults := &storetest.Faults{FS: disk, At: n, Die: true, Done: true}
		_ = k.run(faults)
		if !faults.Fired() {
			break
		}
		disk.KillProcess()
		s := k.init(t, disk)
		f := lock(t, s)
		d, err := f.Look(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range d.Chains {
			k.promised[c.Name] = c.Manifest
		}
		k.audit(t, disk.Crash(storetest.Lose))
	}
}

// TestRecordIsDurable: names are recorded before they are used.
func TestRecordIsDurable(t *testing.T) {
	disk := storetest.NewDisk()
	f := lock(t, newWorld(1).init(t, disk))
	for _, pid := range []int{1, 2} {
		if pid > 1 {
			if err := f.Record(rec(pid)); err != nil {
				t.Fatal(err)
			}
		}
		s, err := local.OpenOn(disk.Crash(storetest.Lose), "test")
		if err != nil {
			t.Fatal(err)
		}
		if p := lock(t, s).Previous(); p == nil || p.PID != pid {
			t.Errorf("the record of %d is %+v", pid, p)
		}
	}
}
