package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"vbk/config"
	"vbk/store"
	"vbk/virt"
)

// world is the model of hosts and a store that the properties run in: it does
// what a plan says, step by step like the executor, and can be cut off before
// any step. Where an action would be wrong it says so.
type world struct {
	t         *rapid.T
	cfg       *config.Config
	have      Inventory
	now       time.Time
	serial    int
	fuel      int               // steps until the run is cut off
	forgotten []virt.Checkpoint // libvirt does not know them, their bitmaps are there
	undefined []virt.Domain     // machines that are on no host for some time
	failed    bool              // the last run could not do all of its plan
}

type cutOff struct{}

// run does a plan. fresh says that nothing happened since it was made, so that
// every action must hold. The answer is false if it was cut off.
func (w *world) run(p Plan, fresh bool, fuel int) (complete bool) {
	w.fuel, w.failed = fuel, false
	defer func() {
		if e := recover(); e != nil {
			if _, ok := e.(cutOff); !ok {
				panic(e)
			}
			complete = false
		}
	}()
	for _, i := range p.Instances {
		if len(i.Actions) > 0 {
			w.instance(i, fresh)
		}
	}
	return true
}

func (w *world) step() {
	if w.fuel == 0 {
		panic(cutOff{})
	}
	w.fuel--
}

func (w *world) instance(i Instance, fresh bool) {
	w.folder(i)
	w.cleanup(i)
	for _, planned := range i.Actions {
		if planned.Kind == KindCleanup {
			continue
		}
		a, verdict, why := Check(planned, w.decide(i))
		if fresh && verdict != Holds && !w.failed {
			w.t.Fatalf("%s: a fresh %s is %s: %s", i.Want.Address, planned.Kind, verdict, why)
		}
		switch {
		case verdict == Stale:
			return
		case verdict == Satisfied:
		case a.Kind == KindBackup && a.Backup.Redefine:
			w.redefine(i, a)
		case a.Kind == KindBackup:
			w.backup(i, *a.Backup)
		case a.Kind == KindPrune:
			w.prune(i, *a.Prune)
		case a.Kind == KindMerge:
			w.merge(i, *a.Merge)
		}
	}
}

func (w *world) decide(i Instance) Instance {
	seen := Seen{Folder: w.folder(i)}
	if i.Want.Release == "" {
		seen.Domain = *w.domain(i.Want.UUID)
	}
	return Decide(i.Want, seen, w.now)
}

func (w *world) domain(uuid string) *virt.Domain {
	for h := range w.have.Hosts {
		for d := range w.have.Hosts[h].Domains {
			if w.have.Hosts[h].Domains[d].UUID == uuid {
				return &w.have.Hosts[h].Domains[d]
			}
		}
	}
	w.t.Fatalf("no domain %s", uuid)
	return nil
}

// folder is the instance's folder, made if absent as locking does.
func (w *world) folder(i Instance) *store.Domain {
	name := i.Folder
	if name == "" {
		name = store.FolderName(i.Want.Domain, i.Want.UUID)
	}
	all := &w.have.Stores[0].Domains
	for n := range *all {
		if (*all)[n].Folder == name {
			return &(*all)[n]
		}
	}
	*all = append(*all, store.Domain{Folder: name})
	return &(*all)[len(*all)-1]
}

func (w *world) cleanup(i Instance) {
	now := w.decide(i)
	if len(now.Actions) == 0 || now.Actions[0].Kind != KindCleanup {
		return
	}
	c, f := now.Actions[0].Cleanup, w.folder(i)
	if c.Job != "" || len(c.Checkpoints) > 0 {
		w.cleanDomain(w.domain(i.Want.UUID), c)
	}
	w.step()
	f.Leftovers = nil
	w.step()
	f.Attempt = nil
}

func (w *world) cleanDomain(d *virt.Domain, c *Cleanup) {
	if c.Job != "" {
		w.step()
		if d.Job == nil || !strings.Contains(d.Job.Socket, storeID) {
			w.t.Fatalf("cleanup ends job %+v", d.Job)
		}
		d.Job = nil
	}
	for _, name := range c.Checkpoints {
		w.step()
		if !strings.HasPrefix(name, "vbk-"+storeID+"-") {
			w.t.Fatalf("cleanup deletes checkpoint %s", name)
		}
		d.Checkpoints = slices.DeleteFunc(slices.Clone(d.Checkpoints), func(c virt.Checkpoint) bool { return c.Name == name })
	}
}

// redefine tells libvirt of the head's checkpoint, if that is possible.
func (w *world) redefine(i Instance, planned Action) {
	w.step()
	d, f := w.domain(i.Want.UUID), w.folder(i)
	seen := Seen{Domain: *d, Folder: f, Unredefinable: "libvirt refuses"}
	for n, c := range w.forgotten {
		if c.Name == planned.Backup.Checkpoint {
			d.Checkpoints = append(slices.Clone(d.Checkpoints), c)
			w.forgotten = slices.Delete(w.forgotten, n, n+1)
			seen = Seen{Domain: *d, Folder: f}
			break
		}
	}
	a, verdict, why := SeenAgain(planned, Decide(i.Want, seen, w.now))
	switch {
	case verdict == Holds:
		w.failed = a.Backup.Chain != planned.Backup.Chain // what waits for the planned point is not to be done now
		w.backup(i, *a.Backup)
	case verdict == Stale && i.Want.Policy.Chain.OnBroken == "fail":
		w.failed = true
	case verdict == Stale:
		w.t.Fatalf("%s: redefined for nothing: %s", i.Want.Address, why)
	case verdict == Satisfied: // its bitmap says that there is nothing to do
		w.failed = true
	}
}

// backup goes through the steps of docs/format.md, "Commit".
func (w *world) backup(i Instance, b Backup) {
	d, f := w.domain(i.Want.UUID), w.folder(i)
	w.serial++
	c := store.Chain{Name: chainName(w.now, w.serial), Manifest: store.Manifest{ChainNumber: 1, UUID: i.Want.UUID, Domain: d.Name, Stream: b.Stream,
		HashKey: "k", Owner: store.Owner{Configuration: i.Want.Configuration, Address: i.Want.Address}}}
	for _, other := range f.Chains {
		c.Manifest.ChainNumber = max(c.Manifest.ChainNumber, other.Manifest.ChainNumber+1)
	}
	if b.Chain != "" {
		c = f.Chains[len(f.Chains)-1]
		w.mustExtend(*d, c, b)
	}
	p := store.Point{Sequence: b.Head + 1, Kind: b.Kind, Parent: b.Head, Start: w.now, Attempt: fmt.Sprintf("%08x", w.serial), ClockDoubt: ClockDoubt(&i.Want, f, w.now)}
	checkpoint := virt.Checkpoint{Name: store.CheckpointName(storeID, c.Name, p.Attempt, p.Sequence)}
	for _, k := range b.Disks {
		p.Disks = append(p.Disks, store.PointDisk{Target: k.Target, Base: k.Base, Size: k.Size, Source: k.Source, FileSize: 1})
		if !k.Untracked {
			checkpoint.Disks = append(checkpoint.Disks, virt.CheckpointDisk{Target: k.Target, Health: virt.Sound})
		}
	}
	w.step()
	f.Attempt = &store.Attempt{Domain: i.Want.UUID}
	w.step()
	if len(checkpoint.Disks) > 0 {
		p.Checkpoint = checkpoint.Name
		p.Files = []store.File{{Name: store.ExtraFileName(p.Sequence, p.Attempt, "checkpoint.xml")}}
		d.Checkpoints = append(slices.Clone(d.Checkpoints), checkpoint)
	}
	w.step()
	d.Job = &virt.Job{Operation: "backup", Socket: "/x/" + RunFolderPrefix(storeID) + "1/nbd"}
	w.step()
	f.Leftovers = []string{c.Name + "/file"}
	w.step()
	d.Job = nil
	w.step()
	f.Leftovers, f.UUID, f.Name = nil, i.Want.UUID, d.Name
	c.Manifest.Number++
	c.Manifest.Points = append(slices.Clone(c.Manifest.Points), p)
	if b.Chain != "" {
		f.Chains = f.Chains[:len(f.Chains)-1]
	}
	f.Chains = append(slices.Clone(f.Chains), c)
	w.cleanup(i)
}

// mustExtend says what would make an increment a silently wrong one.
func (w *world) mustExtend(d virt.Domain, c store.Chain, b Backup) {
	head, ok := c.Head()
	if !ok || c.Name != b.Chain || head.Sequence != b.Head || !c.Sound(head.Sequence) || c.Manifest.Stream != b.Stream || c.Manifest.Closed != "" {
		w.t.Fatalf("increment %+v on chain %s, head %d, problems %v", b, c.Name, head.Sequence, c.Problems)
	}
	for _, k := range b.Disks {
		old, had := head.Disk(k.Target)
		n := slices.IndexFunc(d.Disks, func(v virt.Disk) bool { return v.Target == k.Target })
		if k.Size != d.Disks[n].Size || k.Source != d.Disks[n].Source || k.Untracked != (d.Disks[n].Format == "raw") {
			w.t.Fatalf("disk %+v is %+v", k, d.Disks[n])
		}
		if k.Resync && (!had || k.Base || c.Manifest.Stream != store.V3 || c.Manifest.HashKey == "" || b.Kind != store.Resync) {
			w.t.Fatalf("disk %s is compared with what the chain does not have", k.Target)
		}
		if k.Base && had && c.Manifest.Stream != store.V3 {
			w.t.Fatalf("disk %s begins anew in a stream that cannot say so", k.Target)
		}
		if k.Whole() {
			continue
		}
		checkpoint, known := findCheckpoint(d, b.Checkpoint)
		bitmap, tracked := checkpoint.Disk(k.Target)
		same := head.Checkpoint == b.Checkpoint && head.Distrusted == "" && (head.Created.IsZero() || head.Created.Equal(checkpoint.Created))
		if !known || !same || !had || !tracked || bitmap.Health != virt.Sound || old.Size != k.Size || old.Source != k.Source {
			w.t.Fatalf("disk %s is read by a bitmap that does not tell its changes", k.Target)
		}
	}
}

// merge takes a run of points into the next one.
func (w *world) merge(i Instance, m Merge) {
	f := w.folder(i)
	n := slices.IndexFunc(f.Chains, func(c store.Chain) bool { return c.Name == m.Chain })
	if n < 0 || f.Chains[n].Manifest.Stream != store.V3 || f.Chains[n].Manifest.UUID != i.Want.UUID || i.Want.Release != "" {
		w.t.Fatalf("merge %+v is in chain %d of %d", m, n, len(f.Chains))
	}
	c := f.Chains[n]
	from := slices.IndexFunc(c.Manifest.Points, func(p store.Point) bool { return p.Sequence == m.Gone[0] })
	if from < 0 || from+len(m.Gone) >= len(c.Manifest.Points) {
		w.t.Fatalf("merge %+v in chain of %d points", m, len(c.Manifest.Points))
	}
	run := c.Manifest.Points[from : from+len(m.Gone)+1]
	into := run[len(m.Gone)]
	for k, p := range run {
		if p.Sequence != m.sequences()[k] || k > 0 && p.Parent != run[k-1].Sequence || !c.Sound(p.Sequence) || k < len(m.Gone) && p.Protected.Holds(w.now) {
			w.t.Fatalf("merge %+v takes in %+v, problems %v", m, p, c.Problems)
		}
		if k < len(m.Gone) {
			into.Merged += 1 + p.Merged
		}
	}
	if into.Parent = run[0].Parent; into.Parent < 0 {
		into.Kind = store.Full
	}
	w.step()
	f.Chains = slices.Clone(f.Chains)
	f.Chains[n].Manifest.Points = slices.Concat(c.Manifest.Points[:from], []store.Point{into}, c.Manifest.Points[from+len(run):])
	f.Chains[n].Manifest.Number++
	f.Leftovers = append(slices.Clone(f.Leftovers), m.Chain+"/file")
	w.step()
	f.Leftovers = nil
}

func (w *world) prune(i Instance, p Prune) {
	f := w.folder(i)
	n := slices.IndexFunc(f.Chains, func(c store.Chain) bool { return c.Name == p.Chain })
	if n < 0 || n == len(f.Chains)-1 && i.Want.Release == "" || f.Chains[n].Manifest.UUID != i.Want.UUID ||
		!slices.Equal(attempts(f.Chains[n].Manifest.Points), p.Attempts) {
		w.t.Fatalf("prune %+v is chain %d of %d", p, n, len(f.Chains))
	}
	w.step()
	f.Chains = slices.Delete(slices.Clone(f.Chains), n, n+1)
	f.Leftovers = append(slices.Clone(f.Leftovers), p.Chain+"/file")
	w.step()
	f.Leftovers = nil
}

// foreign is everything that is not ours to touch, as text.
func (w *world) foreign() string {
	var all []any
	for _, h := range w.have.Hosts {
		for _, d := range h.Domains {
			for _, c := range d.Checkpoints {
				if !strings.HasPrefix(c.Name, "vbk-"+storeID+"-2") {
					all = append(all, c)
				}
			}
			if d.Job != nil && !ownSocket(storeID, d.Job.Socket) {
				all = append(all, d.Job)
			}
		}
	}
	for _, f := range w.have.Stores[0].Domains {
		for _, c := range f.Chains {
			if c.Manifest.Owner.Configuration == "site-b" {
				all = append(all, c.Name, f.Folder)
			}
		}
	}
	text, err := json.Marshal(append(all, w.have.Stores[1:]))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// soundPoints are the folders of machines that hold a point that restores.
func (w *world) soundPoints() []string {
	var all []string
	for _, f := range w.have.Stores[0].Domains {
		if w.defined(f.UUID) && slices.ContainsFunc(f.Chains, func(c store.Chain) bool {
			return slices.ContainsFunc(c.Manifest.Points, func(p store.Point) bool { return c.Sound(p.Sequence) })
		}) {
			all = append(all, f.Folder)
		}
	}
	return all
}

func (w *world) defined(uuid string) bool {
	return slices.ContainsFunc(w.have.Hosts, func(h Host) bool {
		return slices.ContainsFunc(h.Domains, func(d virt.Domain) bool { return d.UUID == uuid })
	})
}

// protected are the points that nothing may delete.
func (w *world) protected() (all []string) {
	for _, f := range w.have.Stores[0].Domains {
		for _, c := range f.Chains {
			for _, p := range c.Manifest.Points {
				if p.Protected.Holds(w.now) {
					all = append(all, fmt.Sprintf("%s.%d", c.Name, p.Sequence))
				}
			}
		}
	}
	return all
}
