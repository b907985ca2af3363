package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"vbk/store"
	"vbk/virt"
)

func (w *world) pass() {
	minutes := rapid.SampledFrom([]int{10, 70, 360, 1440, 1500, 4 * 1440, 30 * 1440}).Draw(w.t, "minutes")
	w.now = w.now.Add(time.Duration(minutes) * time.Minute)
}

func (w *world) anyDomain() *virt.Domain {
	var all []string
	for _, h := range w.have.Hosts {
		for _, d := range h.Domains {
			all = append(all, d.UUID)
		}
	}
	return w.domain(rapid.SampledFrom(all).Draw(w.t, "domain"))
}

// comeAndGo undefines a machine, or defines it again.
func (w *world) comeAndGo() {
	if len(w.undefined) > 0 {
		w.have.Hosts[0].Domains = append(slices.Clone(w.have.Hosts[0].Domains), w.undefined...)
		w.undefined = nil
		return
	}
	d := *w.anyDomain()
	for h := range w.have.Hosts {
		w.have.Hosts[h].Domains = slices.DeleteFunc(slices.Clone(w.have.Hosts[h].Domains), func(o virt.Domain) bool { return o.UUID == d.UUID })
	}
	d.Checkpoints = slices.DeleteFunc(slices.Clone(d.Checkpoints), func(c virt.Checkpoint) bool { return strings.HasPrefix(c.Name, "vbk-"+storeID+"-2") })
	w.undefined = []virt.Domain{d}
}

// anyChain is a chain of a folder of ours; false if there is none.
func (w *world) anyChain() (*store.Chain, bool) {
	var all []*store.Chain
	for f := range w.have.Stores[0].Domains {
		if folder := &w.have.Stores[0].Domains[f]; folder.UUID != "3" {
			folder.Chains = slices.Clone(folder.Chains)
			for c := range folder.Chains {
				all = append(all, &folder.Chains[c])
			}
		}
	}
	if len(all) == 0 {
		return nil, false
	}
	return rapid.SampledFrom(all).Draw(w.t, "chain"), true
}

// happen is something that happens to domains, their disks or the store.
func (w *world) happen() {
	d := w.anyDomain()
	d.Disks, d.Checkpoints = slices.Clone(d.Disks), slices.Clone(d.Checkpoints)
	switch what := rapid.IntRange(0, 13).Draw(w.t, "what"); what {
	case 0:
		d.Job = nil
		d.State = rapid.SampledFrom([]virt.State{virt.Running, virt.Running, virt.Paused, virt.ShutOff}).Draw(w.t, "state")
	case 1:
		d.Disks[0].Size += gib
	case 2:
		d.Disks[0].Source += "x"
	case 3:
		w.serial++
		added := disk(fmt.Sprintf("vdx%d", w.serial))
		added.Format = rapid.SampledFrom([]string{"qcow2", "qcow2", "raw"}).Draw(w.t, "format")
		d.Disks = append(d.Disks, added)
	case 4:
		d.Disks = d.Disks[max(0, len(d.Disks)-1):]
	case 5, 6: // a bitmap breaks, or the checkpoint goes
		n := rapid.IntRange(0, len(d.Checkpoints)-1).Draw(w.t, "checkpoint")
		if c := d.Checkpoints[n]; len(c.Disks) > 0 && what == 5 {
			d.Checkpoints[n].Disks = append(slices.Clone(c.Disks[1:]), virt.CheckpointDisk{Target: c.Disks[0].Target, Health: virt.Broken})
		} else if n > 1 {
			d.Checkpoints = slices.Delete(d.Checkpoints, n, n+1)
		}
	case 7:
		if d.Job == nil && d.State.Active() {
			d.Job = &virt.Job{Operation: "block copy"}
		} else if d.Job != nil && d.Job.Socket == "" {
			d.Job = nil
		}
	case 8:
		w.damage()
	case 9: // a clock was wrong, another configuration was here, or somebody repaired the chain
		if c, ok := w.anyChain(); ok {
			w.happenTo(c)
		}
	case 10:
		w.comeAndGo()
	case 11: // the command line protects a point
		if c, ok := w.anyChain(); ok {
			c.Manifest.Points = slices.Clone(c.Manifest.Points)
			p := &c.Manifest.Points[rapid.IntRange(0, len(c.Manifest.Points)-1).Draw(w.t, "point")]
			p.Protected = rapid.SampledFrom([]*store.Protection{nil, {Why: "audit"}, {Until: w.now.Add(3 * day)}}).Draw(w.t, "protection")
		}
	case 13:
		w.forget(d)
	case 12:
		w.cfg.Domains = slices.Clone(w.cfg.Domains)
		w.cfg.Domains[0].Policy.Mode = rapid.SampledFrom([]string{"incremental", "full"}).Draw(w.t, "new mode")
	}
}

// forget lets libvirt forget a checkpoint whose bitmaps stay.
func (w *world) forget(d *virt.Domain) {
	if n := len(d.Checkpoints) - 1; n > 1 {
		w.forgotten = append(w.forgotten, d.Checkpoints[n])
		d.Checkpoints = d.Checkpoints[:n]
	}
}

func (w *world) happenTo(c *store.Chain) {
	c.Manifest.Points = slices.Clone(c.Manifest.Points)
	newest := &c.Manifest.Points[len(c.Manifest.Points)-1]
	switch rapid.IntRange(0, 5).Draw(w.t, "chain event") {
	case 0:
		newest.Start = w.now.Add(time.Duration(rapid.IntRange(-90, 90).Draw(w.t, "days")) * day)
	case 1:
		c.Manifest.Owner.Configuration = "site-b"
	case 2:
		c.Problems = nil
	case 3:
		c.Manifest.Owner.Address = "domain.old[\"hv1/x\"]"
	case 4:
		newest.Distrusted = "imported"
	case 5:
		newest.Created = w.now
	}
}

// damage adds a problem to a chain; false if there is none.
func (w *world) damage() bool {
	c, ok := w.anyChain()
	if !ok {
		return false
	}
	head, _ := c.Head()
	from := rapid.IntRange(0, head.Sequence+1).Draw(w.t, "from") // one beyond the head: a manifest is missing
	p := problem(from, rapid.SampledFrom([]int{0, 0, from + 1, from + 3}).Draw(w.t, "until"))
	if rapid.IntRange(0, 9).Draw(w.t, "harmless") == 0 {
		p.From, p.Until = store.NoPoint, 0
	}
	c.Problems = append(slices.Clone(c.Problems), p)
	return true
}
