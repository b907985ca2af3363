package vbk_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vbk/config"
	"vbk/plan"
	"vbk/store"
	"vbk/virt"
)

// example is a configuration with the machines and points that its inventory
// holds, and what is planned from that: vbk plan -inventory inventory.json.
type example struct {
	vars     []string
	machines []exampleMachine
	want     exampleResult
}

// exampleMachine has a point every night, the newest of last night.
type exampleMachine struct {
	name   string
	tags   map[string]string
	nights int
	chain  int // points of a chain
	stream store.Stream
	off    bool
}

// exampleResult counts what is planned.
type exampleResult struct {
	Fulls, Increments, Deleted, Merged int
	Idle                               int // instances without a point to make
	Unclaimed                          int
	FailedChecks                       string
}

// exampleNow is a Sunday night, five minutes past a timer.
var exampleNow = time.Date(2026, 11, 22, 0, 35, 0, 0, time.UTC)

func examples() map[string]example {
	return map[string]example{
		"hooks": {
			vars:     []string{"webhook=https://chat.example.net/hook", "ping=https://hc.example.net/ping/1"},
			machines: []exampleMachine{{name: "erp", nights: 3, chain: 7}, {name: "web01"}},
			want:     exampleResult{Fulls: 1, Increments: 1},
		},
		"home": {
			machines: []exampleMachine{{name: "tax", nights: 15, chain: 100}, {name: "tmp-1"}},
			want:     exampleResult{Increments: 1, Merged: 6, Unclaimed: 1},
		},
		"single":  {machines: []exampleMachine{{name: "web01", nights: 3, chain: 7}}, want: exampleResult{Increments: 1}},
		"gfs":     {machines: []exampleMachine{{name: "erp", nights: 21, chain: 7}, {name: "new"}}, want: exampleResult{Fulls: 2}},
		"forever": {machines: []exampleMachine{{name: "web01", nights: 15, chain: 100}}, want: exampleResult{Increments: 1, Merged: 6}},
		"fleet": {
			vars: []string{"here=hv1"},
			machines: []exampleMachine{
				{name: "db-1", tags: map[string]string{"tier": "gold"}, nights: 9, chain: 14},
				{name: "mail", nights: 5, chain: 7},
				{name: "lab-1", tags: map[string]string{"tier": "bronze"}, nights: 2, chain: 7, off: true},
				{name: "scratch", tags: map[string]string{"tier": "none"}},
			},
			want: exampleResult{Increments: 2, Idle: 1, Unclaimed: 1, FailedChecks: "late"},
		},
		"review": {
			machines: []exampleMachine{{name: "web01", nights: 14, chain: 7}, {name: "web02", nights: 2, chain: 7}, {name: "test"}},
			want:     exampleResult{Fulls: 1, Increments: 1, Deleted: 7, Unclaimed: 1, FailedChecks: "coverage"},
		},
		"migration": {
			machines: []exampleMachine{{name: "erp", nights: 3, chain: 7, stream: store.VirtNBDBackup}, {name: "crm"}},
			want:     exampleResult{Fulls: 1, Increments: 1},
		},
	}
}

// TestExamplesPlan loads every example and plans it from its inventory.
// UPDATE_EXAMPLES=1 writes the inventories.
func TestExamplesPlan(t *testing.T) {
	dirs := map[string]bool{}
	files, err := filepath.Glob("examples/*/*.vbk.hcl")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		dirs[filepath.Base(filepath.Dir(file))] = true
	}
	all := examples()
	if len(dirs) != len(all) {
		t.Errorf("examples %v, %d have a test", dirs, len(all))
	}
	for name, e := range all {
		t.Run(name, func(t *testing.T) {
			cfg := loadExample(t, name, e.vars)
			have := exampleInventory(t, name, cfg, e.machines)
			p := plan.Make(cfg, have, plan.Options{}, have.Taken)
			p.Checks = cfg.EvalChecks(plan.Results(cfg, p, have, have.Taken))
			if p.Failed() || len(p.Warnings) > 0 {
				t.Errorf("failures %v, warnings %q", p.Failures, p.Warnings)
			}
			if diff := cmp.Diff(e.want, resultOf(t, p)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestFleetOnEachHost loads the fleet as each of its hypervisors sees it.
func TestFleetOnEachHost(t *testing.T) {
	for _, here := range []string{"hv1", "hv2", "hv3", "hv4"} {
		cfg := loadExample(t, "fleet", []string{"here=" + here})
		if len(cfg.Hosts) != 1 || cfg.Hosts[0].Name != here || cfg.Stores[0].Path != "/srv/backup/"+here {
			t.Errorf("%s: hosts %v, store %s", here, cfg.Hosts, cfg.Stores[0].Path)
		}
	}
	if _, _, diags := config.Load("examples/fleet", config.Inputs{Vars: []config.VarArg{{Assignment: "here=hv5"}}}); !diags.HasErrors() {
		t.Error("a hypervisor that is not one of the fleet is taken")
	}
}

func loadExample(t *testing.T, name string, vars []string) *config.Config {
	t.Helper()
	var in config.Inputs
	for _, v := range vars {
		in.Vars = append(in.Vars, config.VarArg{Assignment: v})
	}
	cfg, _, diags := config.Load(filepath.Join("examples", name), in)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return cfg
}

func resultOf(t *testing.T, p plan.Plan) exampleResult {
	r := exampleResult{Unclaimed: len(p.Unclaimed)}
	for _, i := range p.Instances {
		if i.Error != "" {
			t.Errorf("%s: %s", i.Want.Address, i.Error)
		}
		switch b := i.Backup(); {
		case b == nil:
			r.Idle++
		case b.Kind == store.Full:
			r.Fulls++
		default:
			r.Increments++
		}
		for _, a := range i.Actions {
			switch a.Kind {
			case plan.KindPrune:
				r.Deleted += a.Prune.Points
			case plan.KindMerge:
				r.Merged += len(a.Merge.Gone)
			}
		}
	}
	for _, c := range p.Checks {
		if c.Status != "pass" {
			r.FailedChecks += c.Name
		}
	}
	return r
}

// exampleInventory reads what vbk survey -out has written, or writes it.
func exampleInventory(t *testing.T, name string, cfg *config.Config, machines []exampleMachine) plan.Inventory {
	t.Helper()
	file := filepath.Join("examples", name, "inventory.json")
	if os.Getenv("UPDATE_EXAMPLES") == "1" {
		text, err := plan.EncodeInventory(inventoryOf(cfg, machines))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	have, err := plan.DecodeInventory(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return have
}

func inventoryOf(cfg *config.Config, machines []exampleMachine) plan.Inventory {
	host := plan.Host{Name: cfg.Hosts[0].Name, UUID: "7c1e2d3a-0000-4000-8000-000000000001"}
	shelf := plan.Store{Address: cfg.Stores[0].Address(), ID: "1f0c9a3e", Free: 3 << 40, Size: 8 << 40}
	for n, m := range machines {
		d := virt.Domain{Name: m.name, UUID: fmt.Sprintf("%08x-0000-4000-8000-000000000000", n+1), State: virt.Running, Tags: m.tags, ProcessUID: 64055, ProcessGID: 109,
			Disks: []virt.Disk{{Target: "vda", Device: "disk", Type: "file", Source: "/var/lib/libvirt/images/" + m.name + ".qcow2", Format: "qcow2", Size: 40 << 30, Allocated: 12 << 30}}}
		if m.off {
			d.State = virt.ShutOff
		}
		if m.nights > 0 {
			folder := m.folder(cfg, d, shelf.ID)
			shelf.Domains = append(shelf.Domains, folder)
			d.Checkpoints = checkpointsOf(folder, m)
		}
		host.Domains = append(host.Domains, d)
	}
	return plan.Inventory{Taken: exampleNow, Hosts: []plan.Host{host}, Stores: []plan.Store{shelf}}
}

// folder holds a point of each night, and as many chains as that takes.
func (m exampleMachine) folder(cfg *config.Config, d virt.Domain, storeID string) store.Domain {
	f := store.Domain{Folder: store.FolderName(d.Name, d.UUID), Name: d.Name, UUID: d.UUID}
	for night := m.nights; night > 0; night-- {
		start := exampleNow.Add(-time.Duration(night)*24*time.Hour - 4*time.Minute)
		if n := len(f.Chains); n == 0 || len(f.Chains[n-1].Manifest.Points) == m.chain {
			name := fmt.Sprintf("%s-%04x", start.Format("20060102T150405Z"), n)
			f.Chains = append(f.Chains, store.Chain{Name: name, Manifest: store.Manifest{FormatVersion: store.FormatVersion, StoreID: storeID, Chain: name,
				ChainNumber: n + 1, Owner: store.Owner{Configuration: cfg.Name}, Domain: d.Name, UUID: d.UUID, Stream: m.stream,
				HashKey: fmt.Sprintf("%064x", n+1)}})
		}
		manifest := &f.Chains[len(f.Chains)-1].Manifest
		manifest.Points = append(manifest.Points, m.point(*manifest, d.Disks[0], start))
		manifest.Number = len(manifest.Points)
	}
	return f
}

func (m exampleMachine) point(c store.Manifest, d virt.Disk, start time.Time) store.Point {
	n := len(c.Points)
	attempt := fmt.Sprintf("%08x", n+1)
	p := store.Point{Sequence: n, Attempt: attempt, Kind: store.Increment, Parent: n - 1, Start: start, End: start.Add(3 * time.Minute),
		Checkpoint: store.CheckpointName(c.StoreID, c.Chain, attempt, n)}
	disk := store.PointDisk{Target: d.Target, File: store.DataFileName(d.Target, n == 0, n, attempt), Base: n == 0, Size: d.Size, Source: d.Source, Format: d.Format,
		FileSize: 300 << 20, Data: 700 << 20, Stored: 300 << 20}
	if n == 0 {
		p.Kind, disk.FileSize, disk.Data, disk.Stored = store.Full, 5<<30, 12<<30, 5<<30
	}
	if m.stream == store.VirtNBDBackup { // as vbk import adopts it
		p.Checkpoint, p.Created = fmt.Sprintf("virtnbdbackup.%d", n), start.Truncate(time.Second)
		disk.File = fmt.Sprintf("vda.inc.%s.data", p.Checkpoint)
		if n == 0 {
			disk.File = "vda.full.data"
		}
	}
	p.Disks = []store.PointDisk{disk}
	return p
}

// checkpointsOf is the checkpoint of the newest point, with its bitmap.
func checkpointsOf(f store.Domain, m exampleMachine) []virt.Checkpoint {
	head, _ := f.Chains[len(f.Chains)-1].Head()
	bitmap := virt.CheckpointDisk{Target: "vda", Bitmap: head.Checkpoint, Health: virt.Sound, Dirty: 650 << 20}
	if m.off {
		bitmap.Health, bitmap.Dirty = virt.Unseen, 0
	}
	return []virt.Checkpoint{{Name: head.Checkpoint, Created: head.Start.Truncate(time.Second), Disks: []virt.CheckpointDisk{bitmap}}}
}
