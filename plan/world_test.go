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
	t      *rapid.T
	cfg    *config.Config
	have   Inventory
	now    time.Time
	serial int
	fuel   int // steps until the run is cut off
}

type cutOff struct{}

// run does a plan. fresh says that nothing happened since it was made, so that
// every action must hold. The answer is false if it was cut off.
func (w *world) run(p Plan, fresh bool, fuel int) (complete bool) {
	w.fuel = fuel
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
		if fresh && verdict != Holds {
			w.t.Fatalf("%s: a fresh %s is %s: %s", i.Want.Address, planned.Kind, verdict, why)
		}
		switch {
		case verdict == Stale:
			return
		case verdict == Satisfied:
		case a.Kind == KindBackup:
			w.backup(i, *a.Backup)
		case a.Kind == KindPrune:
			w.prune(i, *a.Prune)
		}
	}
}

func (w *world) decide(i Instance) Instance {
	return Decide(i.Want, Seen{Domain: *w.domain(i.Want.UUID), Folder: w.folder(i)}, w.now)
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
	c, d, f := now.Actions[0].Cleanup, w.domain(i.Want.UUID), w.folder(i)
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
	w.step()
	f.Leftovers = nil
	w.step()
	f.Attempt = nil
}

// backup goes through the steps of docs/format.md, "Commit".
func (w *world) backup(i Instance, b Backup) {
	d, f := w.domain(i.Want.UUID), w.folder(i)
	w.serial++
	c := store.Chain{Name: chainName(w.now, w.serial), Manifest: store.Manifest{ChainNumber: 1, UUID: i.Want.UUID, Domain: d.Name,
		Owner: store.Owner{Configuration: i.Want.Configuration, Address: i.Want.Address}}}
	for _, other := range f.Chains {
		c.Manifest.ChainNumber = max(c.Manifest.ChainNumber, other.Manifest.ChainNumber+1)
	}
	if b.Chain != "" {
		c = f.Chains[len(f.Chains)-1]
		w.mustExtend(*d, c, b)
	}
	p := store.Point{Sequence: b.Head + 1, Kind: b.Kind, Parent: b.Head, Start: w.now, Attempt: fmt.Sprintf("%08x", w.serial)}
	p.Checkpoint = store.CheckpointName(storeID, c.Name, p.Attempt, p.Sequence)
	checkpoint := virt.Checkpoint{Name: p.Checkpoint}
	for _, k := range b.Disks {
		p.Disks = append(p.Disks, store.PointDisk{Target: k.Target, Base: k.Base, Size: k.Size, Source: k.Source, FileSize: 1})
		checkpoint.Disks = append(checkpoint.Disks, virt.CheckpointDisk{Target: k.Target, Health: virt.Sound})
	}
	w.step()
	f.Attempt = &store.Attempt{Domain: i.Want.UUID}
	w.step()
	d.Checkpoints = append(slices.Clone(d.Checkpoints), checkpoint)
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
	checkpoint, known := findCheckpoint(d, b.Checkpoint)
	if !ok || c.Name != b.Chain || head.Sequence != b.Head || head.Checkpoint != b.Checkpoint || !known || !c.Sound(head.Sequence) {
		w.t.Fatalf("increment %+v on chain %s, head %d, problems %v", b, c.Name, head.Sequence, c.Problems)
	}
	for _, k := range b.Disks {
		old, had := head.Disk(k.Target)
		bitmap, tracked := checkpoint.Disk(k.Target)
		n := slices.IndexFunc(d.Disks, func(v virt.Disk) bool { return v.Target == k.Target })
		if !k.Base && (!had || !tracked || bitmap.Health != virt.Sound || old.Size != d.Disks[n].Size || old.Source != d.Disks[n].Source) {
			w.t.Fatalf("disk %s is read by a bitmap that does not tell its changes", k.Target)
		}
	}
}

func (w *world) prune(i Instance, p Prune) {
	f := w.folder(i)
	n := slices.IndexFunc(f.Chains, func(c store.Chain) bool { return c.Name == p.Chain })
	if n < 0 || n == len(f.Chains)-1 || f.Chains[n].Manifest.UUID != i.Want.UUID || f.Chains[n].Manifest.Number != p.Manifest {
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

// soundPoints are the folders that hold a point that restores.
func (w *world) soundPoints() []string {
	var all []string
	for _, f := range w.have.Stores[0].Domains {
		if slices.ContainsFunc(f.Chains, func(c store.Chain) bool {
			return slices.ContainsFunc(c.Manifest.Points, func(p store.Point) bool { return c.Sound(p.Sequence) })
		}) {
			all = append(all, f.Folder)
		}
	}
	return all
}
