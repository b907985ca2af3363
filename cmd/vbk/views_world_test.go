package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vbk/plan"
	"vbk/store"
	"vbk/virt"
)

// viewsWorld is a configuration and an inventory in a directory.
type viewsWorld struct {
	*rapid.T
	dir  string
	have plan.Inventory
}

func newViewsWorld(t *testing.T, rt *rapid.T) viewsWorld {
	w := viewsWorld{T: rt, dir: t.TempDir()}
	_, w.have = fleet(t, rapid.IntRange(1, 10).Draw(rt, "machines"))
	for s := range w.have.Stores {
		for n := range w.have.Stores[s].Domains {
			w.folder(&w.have.Stores[s].Domains[n])
		}
	}
	for h := range w.have.Hosts {
		for n := range w.have.Hosts[h].Domains {
			w.domain(&w.have.Hosts[h].Domains[n])
		}
	}
	text, err := plan.EncodeInventory(w.have)
	if err != nil {
		t.Fatal(err)
	}
	base, _, _ := strings.Cut(fleetConfiguration, `policy "nightly"`)
	w.write("inventory.json", text)
	w.write("backup.vbk.hcl", []byte(base+w.blocks()))
	return w
}

func (w viewsWorld) pick(of ...string) string { return rapid.SampledFrom(of).Draw(w.T, "pick") }

func (w viewsWorld) one(in int) bool { return rapid.IntRange(1, in).Draw(w.T, "one in") == 1 }

func (w viewsWorld) blocks() string {
	var text strings.Builder
	for _, b := range [][2]string{
		{"web", `match = ["web*", "<*", "lab*"]` + "\n  store = store.local.nas"}, {"db", `match = ["db*"]` + "\n  store = store.local.vault"},
		{"away", `match = ["away*"]` + "\n  store = store.local.away"},
	} {
		block, rest := b[0], b[1]
		if block != "web" && w.one(6) { // its chains become orphans
			continue
		}
		fmt.Fprintf(&text, "domain %q {\n  %s\n  every = %q\n  rpo = %q\n  mode = %q\n  offline = %q\n", block, rest, w.pick("1h", "6h", "24h"), w.pick("25h", "30d"),
			w.pick("incremental", "incremental", "incremental", "full"), w.pick("backup", "skip", "start_paused"))
		fmt.Fprintf(&text, "  chain {\n    full_every = %q\n    on_broken = %q\n  }\n", w.pick("never", "3d", "7d"), w.pick("resync", "full", "fail"))
		fmt.Fprintf(&text, "  retention {\n    keep_last = %s\n    keep_daily = %s\n    prune = %q\n    max_prune = \"100%%\"\n  }\n", w.pick("1", "3", "40"), w.pick("1", "10"), w.pick("chain", "merge", "merge"))
		if w.one(2) {
			fmt.Fprintf(&text, "  verify {\n    every = %q\n  }\n", w.pick("7d", "60d"))
		}
		text.WriteString("}\n")
	}
	return text.String()
}

// folder is as the fleet has it, or spoiled.
func (w viewsWorld) folder(f *store.Domain) {
	c := &f.Chains[rapid.IntRange(0, len(f.Chains)-1).Draw(w.T, "chain")]
	if w.one(2) { // all checkpoints can be redefined
		for n := range f.Chains {
			for k := range f.Chains[n].Manifest.Points {
				p := &f.Chains[n].Manifest.Points[k]
				p.Files = []store.File{{Name: store.ExtraFileName(p.Sequence, p.Attempt, "checkpoint.xml"), Size: 700}}
			}
		}
	}
	switch rapid.IntRange(0, 9).Draw(w.T, "folder") {
	case 0:
		f.Attempt = &store.Attempt{PID: 4711, Host: "backup-1", Since: w.have.Taken.Add(-time.Hour), ID: "0badcafe", Domain: f.UUID}
	case 1:
		f.Leftovers = []string{c.Name + "/vda.full.0badcafe.v3"}
	case 2:
		c.Problems = append(c.Problems, store.Problem{File: "vda.inc.2.v3", Detail: "12 MiB short", From: 2})
	case 3:
		c.Manifest.Points[0].Protected = &store.Protection{Why: "audit"}
	case 4:
		for n := range c.Manifest.Points {
			d := &c.Manifest.Points[n].Disks[0]
			d.FileSize = rapid.Int64Range(0, 1<<50).Draw(w.T, "bytes")
			d.Stored = d.FileSize
		}
	}
}

// domain is as the fleet has it, or changed since.
func (w viewsWorld) domain(d *virt.Domain) {
	d.Disks[0].Allocated = rapid.Int64Range(0, 40<<30).Draw(w.T, "allocated")
	if len(d.Checkpoints) > 0 {
		d.Checkpoints[0].Disks[0].Dirty = rapid.Int64Range(0, 40<<30).Draw(w.T, "dirty")
	}
	switch rapid.IntRange(0, 11).Draw(w.T, "domain") {
	case 0:
		d.State = virt.ShutOff
	case 1:
		d.Disks[0].Format = "raw"
	case 2:
		d.Disks[0].Size *= 2
	case 3:
		d.Disks = append(d.Disks, virt.Disk{Target: "vdb", Device: "disk", Type: "file", Source: "/images/new.qcow2", Format: "qcow2", Size: 1 << 30, Allocated: 5 << 20})
	case 4:
		d.Checkpoints = nil
	case 5:
		for n := range d.Checkpoints {
			d.Checkpoints[n].Disks[0].Health = virt.Broken
		}
	case 6:
		d.Job = &virt.Job{Operation: "block copy"}
	case 7:
		d.Error = "the domain does not answer"
	}
}

func (w viewsWorld) write(name string, text []byte) {
	if err := os.WriteFile(filepath.Join(w.dir, name), text, 0o600); err != nil {
		w.Fatal(err)
	}
}

func (w viewsWorld) read(name string) string {
	text, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.Fatal(err)
	}
	return string(text)
}

// vbk runs a command, which may say that something failed, and returns what it prints.
func (w viewsWorld) vbk(args ...string) string {
	var out, heard bytes.Buffer
	env := &environment{stdin: strings.NewReader(""), stdout: &out, stderr: &heard, getenv: func(string) string { return "" }, dir: w.dir, now: time.Now}
	if code := env.main(context.Background(), append([]string{"vbk"}, args...)); code != exitOK && code != exitFailed {
		w.Fatalf("vbk %v: exit code %d\n%s%s", args, code, &out, &heard)
	}
	return out.String()
}

// sameText: show prints what plan has printed, but for where the plan was saved.
func (w viewsWorld) sameText(planned, shown string) {
	planned, _, _ = strings.Cut(planned, "\nSaved the plan to ")
	if planned != shown {
		w.Fatalf("plan prints\n%s\nshow prints\n%s", planned, shown)
	}
}
