package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vbk/config"
	"vbk/store"
	"vbk/virt"
)

func inventory(folders []store.Domain, hosts ...Host) Inventory {
	v := Inventory{Taken: noon, Hosts: hosts, Stores: []Store{{Address: nas().Address(), ID: storeID, Free: 100 * gib, Domains: folders}}}
	return v
}

func host(name string, domains ...virt.Domain) Host {
	return Host{Name: name, UUID: "host-" + name[2:], Domains: domains}
}

func named(name, uuid string, state virt.State) virt.Domain {
	d := machine("vda")
	d.Name, d.UUID, d.State = name, uuid, state
	return d
}

// lines are what a plan says about each instance: address, actions or error.
func lines(p Plan) (all []string) {
	for _, i := range p.Instances {
		words := append([]string{i.Want.Address}, summary(i)...)
		all = append(all, strings.TrimSpace(strings.Join(append(words, i.Error+i.Idle), " ")))
	}
	return all
}

func TestClaims(t *testing.T) {
	run, off := virt.Running, virt.ShutOff
	rest := config.Domain{Name: "rest", Fallback: true, Hosts: []string{"hv1", "hv2"}, Policy: policy()}
	onHV2 := block("two", "web*")
	onHV2.Hosts = []string{"hv2"}
	byID := config.Domain{Name: "id", UUIDs: []string{uuid2}, Hosts: []string{"hv1", "hv2"}, Policy: policy()}
	skip := rest
	skip.Policy.Offline = "skip"
	born2 := folder(chain(1, daily(1, 25*time.Hour)...))
	born2.Chains[0].Manifest.Owner.HostUUID = "host-2"
	born2.Chains = append(born2.Chains, chain(2, daily(1, 50*day)...)) // an older one, began on hv1
	for _, row := range []struct {
		name      string
		blocks    []config.Domain
		folders   []store.Domain
		hosts     []Host
		want      []string
		unclaimed []string
	}{
		{"none", nil, nil, []Host{host("hv1", named("web01", uuid1, run))}, nil, []string{"hv1/web01"}},
		{"one", []config.Domain{block("web", "web*")}, nil, []Host{host("hv1", named("web01", uuid1, run), named("db", uuid2, run))},
			[]string{`domain.web["hv1/web01"] full`}, []string{"hv1/db"}},
		{"two blocks", []config.Domain{block("web", "web*"), byID}, nil, []Host{host("hv1", named("web01", uuid2, run))},
			[]string{`domain.web["hv1/web01"] claimed by several blocks: domain.web (:0), domain.id (:0)`}, nil},
		{"fallback takes the rest", []config.Domain{rest, block("web", "web*")}, nil,
			[]Host{host("hv1", named("web01", uuid1, run), named("db", uuid2, run))},
			[]string{`domain.rest["hv1/db"] full`, `domain.web["hv1/web01"] full`}, nil},
		{"two fallbacks", []config.Domain{rest, {Name: "other", Fallback: true, Hosts: []string{"hv1"}, Policy: policy()}}, nil,
			[]Host{host("hv1", named("db", uuid2, run))},
			[]string{`domain.rest["hv1/db"] claimed by several blocks: domain.rest (:0), domain.other (:0)`}, nil},
		{"one UUID, active on the second host", []config.Domain{rest}, nil,
			[]Host{host("hv1", named("web01", uuid1, off)), host("hv2", named("web01", uuid1, run))}, []string{`domain.rest["hv2/web01"] full`}, nil},
		{"one UUID, active on both", []config.Domain{rest}, nil,
			[]Host{host("hv1", named("a", uuid1, run)), host("hv2", named("b", uuid1, run))},
			[]string{`domain.rest["hv1/a"] UUID ` + uuid1 + ` is active on several hosts: hv1/a, hv2/b`}, nil},
		{"one UUID, active on none: the first", []config.Domain{skip}, nil,
			[]Host{host("hv1", named("web01", uuid1, off)), host("hv2", named("web01", uuid1, off))},
			[]string{`domain.rest["hv1/web01"] domain is shut off and offline = "skip"`}, nil},
		{"one UUID, active on none: the host in the manifest", []config.Domain{skip}, []store.Domain{*born2},
			[]Host{host("hv1", named("web01", uuid1, off)), host("hv2", named("web01", uuid1, off))},
			[]string{`domain.rest["hv2/web01"] domain is shut off and offline = "skip"`}, nil},
		{"claimed on another host only", []config.Domain{onHV2}, nil,
			[]Host{host("hv1", named("web01", uuid1, run)), host("hv2", named("web01", uuid1, off))}, nil, []string{"hv1/web01"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := Make(configuration(row.blocks...), inventory(row.folders, row.hosts...), Options{}, noon)
			mustEqual(t, "instances", lines(p), row.want)
			mustEqual(t, "unclaimed", p.Unclaimed, row.unclaimed)
		})
	}
}

func TestFailuresStayApart(t *testing.T) {
	cfg := configuration(block("web", "web*"))
	have := inventory(nil, Host{Name: "hv1", Error: "connection refused", Hint: "start it"}, host("hv2", named("web02", uuid2, virt.Running)))
	p := Make(cfg, have, Options{}, noon)
	mustEqual(t, "instances", lines(p), []string{`domain.web["hv2/web02"] full`})
	if len(p.Failures) != 1 || p.Failures[0] != (Failure{"host.hv1", "connection refused", "start it"}) || !p.Failed() || p.Empty() {
		t.Errorf("failures %+v", p.Failures)
	}

	have = inventory(nil, host("hv1", machine("vda")))
	have.Stores[0] = Store{Address: nas().Address(), Error: "not a store", Hint: "vbk init"}
	p = Make(cfg, have, Options{}, noon)
	mustEqual(t, "instances", lines(p), []string{`domain.web["hv1/web01"] store.local.nas: not a store`})
	if p.Instances[0].Hint != "vbk init" || !p.Failed() || !p.Empty() {
		t.Errorf("plan %+v", p)
	}

	have.Stores = nil
	mustEqual(t, "instances", lines(Make(cfg, have, Options{}, noon)), []string{`domain.web["hv1/web01"] store.local.nas: was not surveyed`})
}

func TestFolders(t *testing.T) {
	moved := folder(chain(1, daily(1, time.Hour)...))
	moved.Folder = "old-name-11111111"
	twin := *folder(chain(1, daily(1, time.Hour)...))
	twin.Folder = "copy-11111111"
	stranger := *folder(chain(1, daily(1, time.Hour)...))
	stranger.UUID, stranger.Chains[0].Manifest.UUID = uuid2, uuid2
	lost := store.Domain{Folder: "web01-11111111", Chains: []store.Chain{{Name: chainName(noon, 1), Problems: []store.Problem{{File: "f", Detail: "bad"}}}}}
	for _, row := range []struct {
		name    string
		folders []store.Domain
		folder  string
		want    string
	}{
		{"none", nil, "", "full"},
		{"by UUID, whatever its name", []store.Domain{*moved}, "old-name-11111111", "cleanup not due"},
		{"of a run that was cut off", []store.Domain{{Folder: "web01-11111111", Leftovers: []string{"c/f"}}}, "web01-11111111", "cleanup full"},
		{"of a run that was cut off, then renamed", []store.Domain{{Folder: "old-11111111", Attempt: &store.Attempt{Domain: uuid1}}}, "old-11111111", "cleanup full"},
		{"of two runs that were cut off, the one of its name", []store.Domain{{Folder: "old-11111111", Attempt: &store.Attempt{Domain: uuid1}},
			{Folder: "web01-11111111", Leftovers: []string{"c/f"}}}, "web01-11111111", "cleanup full"},
		{"twins", []store.Domain{*folder(chain(1, daily(1, time.Hour)...)), twin}, "",
			"store.local.nas has several folders of this domain: web01-11111111, copy-11111111"},
		{"another domain's of that name", []store.Domain{stranger}, "web01-11111111", "of another domain, " + uuid2},
		{"without a readable manifest", []store.Domain{lost}, "web01-11111111", "full"},
		{"unreadable, of its name", []store.Domain{{Folder: "web01-11111111", Error: "EIO"}}, "web01-11111111", "folder web01-11111111 cannot be read: EIO"},
		{"unreadable, renamed since", []store.Domain{{Folder: "old-11111111", Error: "EIO"}}, "old-11111111", "folder old-11111111 cannot be read: EIO"},
		{"unreadable, beside one that can be read", []store.Domain{*folder(chain(1, daily(1, time.Hour)...)), {Folder: "old-11111111", Error: "EIO"}},
			"old-11111111", "folder old-11111111 cannot be read: EIO"},
		{"unreadable, by UUID", []store.Domain{{Folder: "old-33333333", UUID: uuid1, Error: "EIO"}}, "old-33333333", "folder old-33333333 cannot be read: EIO"},
		{"unreadable, another domain's", []store.Domain{{Folder: "db-22222222", Error: "EIO"}, {Folder: "x-11111111", UUID: uuid2, Error: "EIO"}}, "", "full"},
		{"somebody else's leftovers", []store.Domain{{Folder: "x-33333333", Leftovers: []string{"c/f"}, Attempt: &store.Attempt{Domain: uuid2}}}, "", "full"},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := machine("vda")
			d.Checkpoints = []virt.Checkpoint{{Name: store.CheckpointName(storeID, chainName(noon, 7), "000000aa", 0)}}
			if !strings.Contains(row.want, "cleanup") {
				d.Checkpoints = nil
			}
			p := Make(configuration(block("web", "web*")), inventory(row.folders, host("hv1", d)), Options{}, noon)
			if got := lines(p)[0]; !strings.HasSuffix(got, row.want) || p.Instances[0].Folder != row.folder {
				t.Errorf("%q in %q, want %q in %q", got, p.Instances[0].Folder, row.want, row.folder)
			}
		})
	}
}

// TestUnreadableFolder fails one instance: it deletes nothing, not even a
// checkpoint, the others are planned, and nobody is called departed.
func TestUnreadableFolder(t *testing.T) {
	d := machine("vda")
	d.Checkpoints = []virt.Checkpoint{{Name: store.CheckpointName(storeID, chainName(noon, 7), "000000aa", 0)}}
	folders := []store.Domain{{Folder: "gone-33333333", Error: "EACCES"}, {Folder: "web01-11111111", Error: "EIO"}}
	p := Make(configuration(block("web", "web*")), inventory(folders, host("hv1", d, named("web02", uuid2, virt.Running))), Options{}, noon)
	mustEqual(t, "instances", lines(p), []string{`domain.web["hv1/web01"] folder web01-11111111 cannot be read: EIO`, `domain.web["hv1/web02"] full`})
	mustEqual(t, "warnings", p.Warnings, []string{"store.local.nas: folder gone-33333333 cannot be read: EACCES"})
	if len(p.Departed) > 0 || p.Others > 0 || len(p.Failures) > 0 || !p.Failed() {
		t.Errorf("plan %+v", p)
	}
}

// TestStrangers: checkpoints of a store of vbk that nobody sees are told.
func TestStrangers(t *testing.T) {
	d := machine("vda")
	for _, id := range []string{"ffffffff", "ffffffff", "eeeeeeee", "bbbbbbbb", storeID} {
		d.Checkpoints = append(d.Checkpoints, virt.Checkpoint{Name: store.CheckpointName(id, chainName(noon, 7), "000000aa", len(d.Checkpoints))})
	}
	d.Checkpoints = append(d.Checkpoints, virt.Checkpoint{Name: "vbk-dddddddd-mine"})
	cfg := configuration(block("web", "web*"))
	have := inventory(nil, host("hv1", d))
	have.Stores = append(have.Stores, Store{Address: "store.local.b", ID: "bbbbbbbb"})
	warnings := func() []string { return Make(cfg, have, Options{}, noon).Warnings }
	alarm := []string{
		"hv1/web01 has checkpoint(s) of vbk store eeeeeeee, which is not visible here: if store.local.nas was mounted over or replaced, do not apply",
		"hv1/web01 has checkpoint(s) of vbk store ffffffff, which is not visible here: if store.local.nas was mounted over or replaced, do not apply",
	}
	mustEqual(t, "no folder", warnings(), alarm)
	have.Stores[0].Domains = []store.Domain{{Folder: "web01-11111111", Leftovers: []string{"c/f"}}}
	mustEqual(t, "no point", warnings(), alarm)
	have.Stores[0].Domains = []store.Domain{*folder(chain(1, daily(2, time.Hour)...))}
	mustEqual(t, "points", warnings(), []string{
		"hv1/web01 has checkpoint(s) that belong to vbk store eeeeeeee, not visible here: left alone",
		"hv1/web01 has checkpoint(s) that belong to vbk store ffffffff, not visible here: left alone",
	})
	have.Stores[0] = Store{Address: nas().Address(), Error: "gone"}
	mustEqual(t, "no store", warnings(), nil)
	cfg.Domains = nil
	have.Stores[0] = Store{Address: nas().Address(), ID: storeID}
	mustEqual(t, "not claimed", warnings(), nil)
}

func TestDeparted(t *testing.T) {
	cfg := configuration(block("web", "web*"))
	orphan := *folder(chain(1, daily(3, day)...))
	orphan.Chains[0].Manifest.Owner.Address = `domain.old["hv1/web01"]`
	others := *folder(chain(1, daily(3, day)...))
	others.Chains[0].Manifest.Owner.Configuration = "site-b"
	unread := store.Domain{Folder: "x-11111111", Chains: []store.Chain{{Name: "c", Problems: []store.Problem{{}}}}}
	halfRead := orphan
	halfRead.Chains = append(slices.Clone(orphan.Chains), store.Chain{Name: "d", Problems: []store.Problem{{}}})
	gone := host("hv1")
	unclaimed := host("hv1", named("db", uuid1, virt.Running))
	for _, row := range []struct {
		name   string
		folder store.Domain
		hosts  []Host
		why    string
		others int
	}{
		{"domain gone", *folder(chain(1, daily(3, day)...)), []Host{gone}, "the domain is on no host", 0},
		{"domain gone, or on the host that did not answer", *folder(chain(1, daily(3, day)...)), []Host{gone, {Name: "hv2", Error: "down"}}, "", 0},
		{"no longer claimed, whatever the host that did not answer has", *folder(chain(1, daily(3, day)...)),
			[]Host{unclaimed, {Name: "hv2", Error: "down"}}, "no block claims the domain for this store", 0},
		{"no longer claimed", *folder(chain(1, daily(3, day)...)), []Host{unclaimed}, "no block claims the domain for this store", 0},
		{"its block is gone", orphan, []Host{unclaimed}, "orphaned: domain.old, which made its chains, is not in the configuration", 0},
		{"claimed by another block", orphan, []Host{host("hv1", machine("vda"))}, "", 0},
		{"another configuration's", others, []Host{gone}, "", 1},
		{"no manifest can be read", unread, []Host{gone}, "no manifest of it can be read", 0},
		{"the newest manifest cannot be read", halfRead, []Host{unclaimed}, "orphaned: domain.old, which made its chains, is not in the configuration", 0},
		{"leftovers only", store.Domain{Folder: "x-11111111", Leftovers: []string{"c/f"}}, []Host{gone}, "", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			if len(row.hosts) == 1 {
				row.hosts = append(row.hosts, host("hv2"))
			}
			p := Make(cfg, inventory([]store.Domain{row.folder}, row.hosts...), Options{}, noon)
			var why string
			for _, d := range p.Departed {
				why += d.Why
				if row.folder.UUID != "" && (d.Points != 3 || !d.Newest.Equal(noon.Add(-day)) || d.Store != nas().Address()) {
					t.Errorf("departed %+v", d)
				}
			}
			if why != row.why || p.Others != row.others {
				t.Errorf("departed because %q, others %d; want %q, %d", why, p.Others, row.why, row.others)
			}
			for _, i := range p.Instances {
				if len(pruned(i)) > 0 {
					t.Errorf("%s deletes", i.Want.Address)
				}
			}
		})
	}

	// Both stores of a conflict are claimed.
	other := block("other", "web*")
	other.Policy.Store = "store.local.b"
	have := inventory(nil, host("hv1", machine("vda")))
	have.Stores = append(have.Stores, Store{Address: "store.local.b", ID: "bbbbbbbb", Domains: []store.Domain{orphan}})
	if p := Make(configuration(block("web", "web*"), other), have, Options{}, noon); len(p.Departed) > 0 {
		t.Errorf("departed %+v", p.Departed)
	}
}

func TestOptions(t *testing.T) {
	cfg := configuration(block("db", "db*"), block("web", "web*"))
	have := inventory(nil, host("hv1", named("db", uuid2, virt.Running), named("web01", uuid1, virt.Running)))
	web, db := `domain.web["hv1/web01"] full`, `domain.db["hv1/db"] full`
	for _, row := range []struct {
		o       Options
		want    []string
		unknown []string
	}{
		{Options{}, []string{db, web}, nil},
		{Options{Target: []string{"domain.web"}}, []string{web}, nil},
		{Options{Target: []string{`domain.web["hv1/web01"]`, "domain.db"}}, []string{db, web}, nil},
		{Options{Exclude: []string{"domain.web"}}, []string{db}, nil},
		{Options{Exclude: []string{`domain.web["hv1/web01"]`}}, []string{db}, nil},
		{Options{Target: []string{"domain.web"}, Exclude: []string{"domain.web"}}, nil, nil},
		{Options{Target: []string{`domain.web["hv1/*"]`}}, []string{web}, nil},
		{Options{Target: []string{"domain.*"}, Exclude: []string{`domain.?b["*"]`}}, []string{web}, nil},
		{Options{Target: []string{"*01*"}}, []string{web}, nil},
		{Options{Exclude: []string{"domain.w?"}}, []string{db, web}, []string{"domain.w?"}},
		{Options{Exclude: []string{"domain.wbe"}}, []string{db, web}, []string{"domain.wbe"}},
		{Options{Full: []string{`domain.web["hv1/web02"]`}, AllowPrune: []string{"domain.db"}}, []string{db, web}, []string{`domain.web["hv1/web02"]`}},
	} {
		p := Make(cfg, have, row.o, noon)
		mustEqual(t, fmt.Sprintf("%+v", row.o), lines(p), row.want)
		mustEqual(t, "unknown", UnknownAddresses(cfg, p, row.o), row.unknown)
		if len(p.LeftOut)+len(p.Instances) != 2 || len(p.Departed) > 0 {
			t.Errorf("left out %q, departed %+v", p.LeftOut, p.Departed)
		}
	}
	w := Make(cfg, have, Options{Full: []string{"domain.db"}, AllowPrune: []string{"domain.web"}, NoPrune: true}, noon)
	if a, b := w.Instances[0].Want, w.Instances[1].Want; !a.Full || a.AllowPrune || b.Full || !b.AllowPrune || !a.NoPrune || !b.NoPrune {
		t.Errorf("asked %+v and %+v", a, b)
	}
}

func TestWarnings(t *testing.T) {
	cfg := configuration(block("web", "web*"))
	cfg.Stores[0].MinFree = 10 * gib
	cfg.Domains[0].Policy.Disks.Exclude = []string{"vdx"}
	d := machine("vda")
	d.Disks[0].Size = 50 * gib
	have := inventory(nil, host("hv1", d))
	have.Stores[0].Free = 60 * gib
	warnings := func() []string { return Make(cfg, have, Options{}, noon).Warnings }

	mustEqual(t, "enough", warnings(), nil)
	have.Stores[0].Free--
	mustEqual(t, "a byte short", warnings(), []string{"store.local.nas has 60.0 GiB free and min_free = 10.0 GiB; the planned backups may need up to 50.0 GiB"})
	have.Hosts[0].Domains[0].Disks[0].Allocated = gib
	mustEqual(t, "what is allocated counts", warnings(), nil)

	// What is deleted before makes room, what is deleted after does not.
	have.Hosts[0].Domains[0].Disks[0].Allocated = 0
	chains := weeks(2)
	chains[0].Manifest.Points[0].Disks[0].FileSize = 1
	cfg.Domains[0].Policy.Retention.KeepLast = number(1)
	have.Stores[0].Domains = []store.Domain{*folder(chains...)}
	full := func() []string {
		return Make(cfg, have, Options{Full: []string{"domain.web"}}, noon).Warnings
	}
	mustEqual(t, "room is made", full(), nil)
	have.Stores[0].Domains = []store.Domain{*folder(chains[1])}
	if len(full()) != 1 {
		t.Error("no warning where room is made too late")
	}

	have.Stores[0] = Store{Address: nas().Address(), Error: "gone"}
	mustEqual(t, "no store", warnings(), nil)

	have = inventory(nil, host("hv1", machine("vda")))
	for target, change := range map[string]func(*virt.Disk){
		"vdb": func(d *virt.Disk) { d.ReadOnly = true }, "vdc": func(d *virt.Disk) { d.Shared = true },
		"vdd": func(d *virt.Disk) { d.Source = "" }, "vdx": func(d *virt.Disk) { d.Shared = true },
		"sda": func(d *virt.Disk) { d.Device, d.ReadOnly = "cdrom", true },
	} {
		d := disk(target)
		change(&d)
		have.Hosts[0].Domains[0].Disks = append(have.Hosts[0].Domains[0].Disks, d)
	}
	const head = `domain.web["hv1/web01"]: disk `
	mustEqual(t, "disks", warnings(), []string{
		head + `vdb is not backed up: it is read-only; if that is meant: disks { exclude = ["vdb"] }`,
		head + `vdc is not backed up: it is shareable; if that is meant: disks { exclude = ["vdc"] }`,
		head + `vdd is not backed up: it has no image that libvirt names; if that is meant: disks { exclude = ["vdd"] }`,
	})

	held := machine("vda", "vdb")
	held.Disks[1].Snapshots = 2
	have = inventory(nil, host("hv1", held))
	mustEqual(t, "snapshots", warnings(), []string{`domain.web["hv1/web01"]: ` + held.Disks[1].Source +
		` holds 2 internal snapshot(s): points have nothing of them, and who reverts to one while a checkpoint exists ends the machine, by an error of QEMU's: first virsh checkpoint-delete`})
	cfg.Domains[0].Policy.Mode = "full" // no bitmaps
	mustEqual(t, "snapshots without bitmaps", warnings(), nil)
}

// TestMakeTouchesNothing compares the arguments before and after.
func TestMakeTouchesNothing(t *testing.T) {
	fresh := func() Inventory {
		d := machine("vda")
		d.Checkpoints = []virt.Checkpoint{checkpointOf(weeks(3)[2]), {Name: "manual"}}
		return inventory([]store.Domain{*folder(weeks(3)...)}, host("hv1", d))
	}
	cfg := configuration(block("web", "web*"))
	cfg.Domains[0].Policy.Retention.KeepLast = number(1)
	have := fresh()
	Make(cfg, have, Options{Full: []string{"domain.web"}}, noon)
	if d := cmp.Diff(fresh(), have); d != "" {
		t.Errorf("the inventory changed: %s", d)
	}
}

// TestCleanupTellsOfAFreeze: a guest that an interrupted run left frozen is thawed,
// and the plan says so.
func TestCleanupTellsOfAFreeze(t *testing.T) {
	s := ordinary()
	for _, frozen := range []bool{true, false} {
		s.folder.Attempt = &store.Attempt{Frozen: frozen}
		if c := s.decide().Actions[0].Cleanup; c == nil || c.Thaw != frozen {
			t.Errorf("frozen %v: %+v", frozen, c)
		}
	}
}

// TestOfflineBesideASilentHost: a machine that is shut off here may run where
// nobody answers, and its images here be old ones.
func TestOfflineBesideASilentHost(t *testing.T) {
	off, wedged := machine("vda"), named("web01", uuid1, virt.Unknown)
	off.State, wedged.Error = virt.ShutOff, "no such thing"
	silent := host("hv2")
	silent.Error = "no route"
	for name, row := range map[string]struct {
		other Host
		want  string
	}{
		"answers":       {host("hv2"), ""},
		"silent":        {silent, "domain is shut off on hv1, and may run on hv2, which does not tell"},
		"does not tell": {host("hv2", wedged), "domain is shut off on hv1, and may run on hv2, which does not tell"},
	} {
		i := Make(configuration(block("web", "web*")), inventory(nil, host("hv1", off), row.other), Options{}, noon).Instances[0]
		if i.Error != row.want || (i.Backup() == nil) != (row.want != "") {
			t.Errorf("%s: %q, %v", name, i.Error, i.Backup())
		}
	}
}
