package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vbk/config"
	"vbk/plan"
	"vbk/store"
	"vbk/virt"
)

const fleetConfiguration = `
vbk { name = "fleet" }

host "hv" {
  for_each = { for n in range(4) : "hv${n}" => n }
  uri      = "test:///${each.key}"
}

store "local" "nas" {
  path     = "/srv/backup"
  min_free = "2TiB"
}

store "local" "vault" {
  path = "/srv/vault"
}

store "local" "away" {
  path = "/srv/away"
}

policy "nightly" {
  store = store.local.nas
  rpo   = "26h"

  retention {
    keep_daily   = 14
    keep_weekly  = 8
    keep_monthly = 6
    departed     = "90d"
  }
}

domain "web" {
  match  = ["web*", "<*"]
  policy = policy.nightly
}

domain "db" {
  match  = ["db*"]
  policy = policy.nightly
  store  = store.local.vault
  every  = "6h"
  rpo    = "12h"

  retention {
    keep_last    = 8
    keep_daily   = 7
    keep_monthly = 3
    prune        = "merge"
  }
}

domain "lab" {
  match   = ["lab*"]
  policy  = policy.nightly
  offline = "skip"
}

domain "away" {
  match = ["away*"]
  policy = policy.nightly
  store = store.local.away
}

check "coverage" {
  assert {
    condition     = length(vbk.unclaimed) == 0
    error_message = "Not backed up: ${join(", ", vbk.unclaimed)}."
  }
}
`

// hostileName is a name that a tenant might give a machine.
const hostileName = `<img src=x onerror=alert(1)>"'&{{.}}</title><script>alert(2)</script>`

// fleet is a configuration and an inventory of so many machines, no two of them
// alike, with everything in it that a page has to show.
func fleet(t *testing.T, machines int) (*config.Config, plan.Inventory) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "backup.vbk.hcl"), []byte(fleetConfiguration), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg, _, diags := config.Load(dir, config.Inputs{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	f := fleetOf{cfg: cfg, now: time.Date(2026, 11, 22, 9, 35, 0, 0, time.UTC)}
	for n := range 4 {
		f.have.Hosts = append(f.have.Hosts, plan.Host{Name: fmt.Sprintf("hv%d", n), UUID: fmt.Sprintf("7c1e2d3a-0000-4000-8000-%012d", n)})
	}
	if machines >= 400 {
		f.have.Hosts[3].Error = "connection to test:///hv3 refused"
	}
	f.have.Stores = []plan.Store{
		{Address: "store.local.nas", ID: "1f0c9a3e", Free: int64(machines) * 40 << 30, Size: int64(machines) * 200 << 30},
		{Address: "store.local.vault", ID: "2f0c9a3e", Free: int64(machines) * 30 << 30, Size: int64(machines) * 60 << 30},
		{Address: "store.local.away", Error: "/srv/away is not marked as a store"},
	}
	f.have.Taken = f.now
	for n := range machines {
		f.add(n)
	}
	return cfg, f.have
}

type fleetOf struct {
	cfg  *config.Config
	have plan.Inventory
	now  time.Time
}

// add makes machine n, which is as its number says.
func (f *fleetOf) add(n int) {
	name, shelf, every, block := fmt.Sprintf("web-%03d", n), 0, 24*time.Hour, "domain.web"
	switch {
	case n == 1:
		name = hostileName
	case n == 2:
		name = "web-" + strings.Repeat("long", 60)
	case n == 7:
		name = "away-1"
	case n%5 == 4:
		name, shelf, every, block = fmt.Sprintf("db-%03d", n), 1, 6*time.Hour, "domain.db"
	case n%50 == 21:
		name, block = fmt.Sprintf("lab-%03d", n), "domain.lab"
	case n%100 == 33:
		name = fmt.Sprintf("stray-%03d", n)
	}
	d := virt.Domain{Name: name, UUID: fmt.Sprintf("%08x-0000-4000-8000-000000000000", n+1), State: virt.Running, ProcessUID: 64055, ProcessGID: 109,
		Disks: []virt.Disk{{Target: "vda", Device: "disk", Type: "file", Source: fmt.Sprintf("/images/%d.qcow2", n), Format: "qcow2", Size: 40 << 30, Allocated: int64(8+n%9) << 30}}}
	newest := f.now.Add(-time.Duration(7+n%60)*time.Minute - 8*time.Hour)
	if every < 24*time.Hour {
		newest = newest.Add(6 * time.Hour)
	}
	if n%97 == 12 {
		newest = newest.Add(-50 * time.Hour) // too old
	}
	if n%40 == 8 {
		newest = newest.Add(-16 * time.Hour) // due, and tried
	}
	host := &f.have.Hosts[n%3]
	if n%45 == 40 {
		host = &f.have.Hosts[3] // which is silent
	}
	if fresh := n%120 == 77; !fresh && name[:3] != "str" && name != "away-1" {
		folder := f.folder(d, shelf, newest, every, 25+n%40, block+"[\""+host.Name+"/"+name+"\"]")
		f.spoil(n, &folder)
		f.have.Stores[shelf].Domains = append(f.have.Stores[shelf].Domains, folder)
		head, _ := folder.Chains[len(folder.Chains)-1].Head()
		d.Checkpoints = []virt.Checkpoint{{Name: head.Checkpoint, Created: head.Start.Truncate(time.Second),
			Disks: []virt.CheckpointDisk{{Target: "vda", Bitmap: head.Checkpoint, Health: virt.Sound, Dirty: 650 << 20}}}}
	}
	if block == "domain.lab" {
		d.State = virt.ShutOff
	}
	if n%250 == 49 || host.Error != "" { // departed, or not seen
		return
	}
	host.Domains = append(host.Domains, d)
}

// spoil damages some folders, and protects a point in others.
func (f *fleetOf) spoil(n int, folder *store.Domain) {
	c := &folder.Chains[0]
	switch {
	case n%90 == 17:
		c.Problems = append(c.Problems, store.Problem{File: "vda.inc.3.v3", Detail: "12 MiB short", From: 3})
	case n%30 == 5:
		c.Manifest.Points[0].Protected = &store.Protection{Why: "before the upgrade & <after>", By: "ann"}
	case n%110 == 60:
		folder.Attempt = &store.Attempt{PID: 4711, Host: "backup-1", Since: f.now.Add(-time.Hour), ID: "0badcafe"}
	}
	if n%40 == 8 || n%97 == 12 {
		f.outcomes(folder).Failure = &store.Failure{Began: f.now.Add(-7 * time.Hour), Ended: f.now.Add(-7*time.Hour + time.Minute), Attempt: "0badcafe",
			Error: "begin backup job: internal error: unable to execute QEMU command 'nbd-server-start': Failed to bind socket: <b>Permission denied</b>"}
		f.outcomes(folder).Failure.After(*folder)
	}
	if n%20 == 3 {
		f.outcomes(folder).Add(store.Drill{Began: f.now.AddDate(0, 0, -n), Point: c.Name + ".0", TookMS: 42_300})
	}
	if n%60 == 3 {
		f.outcomes(folder).Add(store.Drill{Began: f.now.AddDate(0, 0, -1), Point: c.Name + ".1", Error: "the machine has not booted: it had 3m0s"})
	}
}

func (f *fleetOf) outcomes(folder *store.Domain) *store.Outcomes {
	if folder.Outcomes == nil {
		folder.Outcomes = &store.Outcomes{FormatVersion: store.FormatVersion, UUID: folder.UUID, Domain: folder.Name}
	}
	return folder.Outcomes
}

func (f *fleetOf) folder(d virt.Domain, shelf int, newest time.Time, every time.Duration, points int, owner string) store.Domain {
	folder := store.Domain{Folder: store.FolderName(d.Name, d.UUID), Name: d.Name, UUID: d.UUID}
	id := f.have.Stores[shelf].ID
	for n := range points {
		start := newest.Add(-time.Duration(points-1-n) * every)
		if n%7 == 0 {
			name := fmt.Sprintf("%s-%04x", start.Format("20060102T150405Z"), n)
			folder.Chains = append(folder.Chains, store.Chain{Name: name, Manifest: store.Manifest{FormatVersion: store.FormatVersion, StoreID: id, Chain: name,
				ChainNumber: n/7 + 1, Owner: store.Owner{Configuration: f.cfg.Name, Address: owner}, Domain: d.Name, UUID: d.UUID, HashKey: fmt.Sprintf("%064x", n+1)}})
		}
		m := &folder.Chains[len(folder.Chains)-1].Manifest
		bytes := int64(200+points*7+n*29%400) << 20
		p := store.Point{Sequence: n % 7, Attempt: fmt.Sprintf("%08x", n+1), Kind: store.Increment, Parent: n%7 - 1, Start: start, End: start.Add(3 * time.Minute), Read: bytes + 64<<20, FrozenMS: 120}
		if n%7 == 0 {
			p.Kind, bytes = store.Full, int64(5+points%4)<<30
		}
		p.Checkpoint = store.CheckpointName(id, m.Chain, p.Attempt, p.Sequence)
		p.Disks = []store.PointDisk{{Target: "vda", File: store.DataFileName("vda", p.Sequence == 0, p.Sequence, p.Attempt), Base: p.Sequence == 0, Size: d.Disks[0].Size,
			Source: d.Disks[0].Source, Format: "qcow2", FileSize: bytes, Data: 2 * bytes, Stored: bytes}}
		m.Points = append(m.Points, p)
		m.Number = len(m.Points)
	}
	return folder
}
