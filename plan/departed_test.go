package plan

import (
	"slices"
	"strings"
	"testing"
	"time"

	"vbk/config"
	"vbk/store"
	"vbk/virt"
)

// afterwards is a configuration with the block "web", whose departed is 90 days,
// and a folder of its domain, which is on no host.
type afterwards struct {
	cfg    *config.Config
	folder store.Domain
	hosts  []Host
	o      Options
	now    time.Time
	quiet  bool // nothing else has been backed up
}

// alive is a folder of another configuration that was backed up a day ago.
func alive(now time.Time) store.Domain {
	f := *folder(chain(1, now.Add(-day)))
	f.Folder, f.UUID = "db-22222222", uuid2
	f.Chains[0].Manifest.UUID, f.Chains[0].Manifest.Owner.Configuration = uuid2, "another"
	return f
}

func TestRelease(t *testing.T) {
	const address = `domain.web["store.local.nas/web01-11111111"]`
	old := func(a *afterwards) {
		for n := range a.folder.Chains {
			a.folder.Chains[n].Manifest.Owner.Address = `domain.old["hv1/web01"]`
		}
	}
	removed := func(a *afterwards) {
		old(a)
		a.now, a.cfg.Removed = noon, []config.Removed{{From: "domain.old"}}
	}
	elsewhere := func(a *afterwards) { a.folder.Chains[1].Manifest.Owner.HostUUID = "host-9" }
	const noHost = "the domain is on no host, and the one that its newest chain was made on is not among them"
	site := func(a *afterwards) {
		a.cfg.Name = "site-a"
		for n := range a.folder.Chains {
			a.folder.Chains[n].Manifest.Owner.Configuration = "site-a"
		}
	}
	for _, row := range []struct {
		name   string
		change func(*afterwards)
		gone   []int  // numbers of the chains that are released
		said   string // what the instance holds back, its error, or why the folder is listed
	}{
		{"departed has passed", nil, []int{1, 2}, ""},
		{"by a clock that may have jumped", func(a *afterwards) { a.quiet = true }, nil,
			"the domain is on no host; nothing was backed up for 90d: if the clock is right, -allow-prune releases it, until 2027-02-20 11:00"},
		{"by a clock that is said to be right", func(a *afterwards) { a.quiet, a.o.AllowPrune = true, []string{address} }, []int{1, 2}, ""},
		{"departed has not passed", func(a *afterwards) { a.now = a.now.Add(-time.Second) }, nil, "the domain is on no host, until 2027-02-20 11:00"},
		{"departed = keep", func(a *afterwards) { a.cfg.Domains[0].Policy.Retention.Departed = 0 }, nil, "the domain is on no host"},
		{"a point from the future", func(a *afterwards) { a.folder.Chains[1].Manifest.Points[1].Start = a.now.Add(day) }, nil, "the domain is on no host, until 2027-05-22 11:00"},
		{"no longer claimed", func(a *afterwards) { a.hosts[0].Domains = []virt.Domain{named("db", uuid1, virt.Running)} }, []int{1, 2}, ""},
		{"claimed for another store", func(a *afterwards) {
			a.hosts[0].Domains = []virt.Domain{machine("vda")}
			a.cfg.Stores = append(a.cfg.Stores, config.Store{Kind: "local", Name: "b"})
			a.cfg.Domains[0].Policy.Store = "store.local.b"
		}, []int{1, 2}, ""},
		{"a host did not answer", func(a *afterwards) { a.hosts[1].Error = "down" }, nil, ""},
		{"a host was not asked", func(a *afterwards) { a.hosts = a.hosts[:1] }, nil, ""},
		{"made on a host that is none of ours", elsewhere, nil, noHost},
		{"a host was taken out of a configuration with a name", func(a *afterwards) { elsewhere(a); site(a) }, nil, noHost},
		{"the same, and the block was removed", func(a *afterwards) { removed(a); elsewhere(a); site(a) }, []int{1, 2}, ""},
		{"no longer claimed, on another host than before", func(a *afterwards) {
			elsewhere(a)
			site(a)
			a.hosts[0].Domains = []virt.Domain{named("db", uuid1, virt.Running)}
		}, []int{1, 2}, ""},
		{"claimed by a tag, and libvirt does not tell it", func(a *afterwards) {
			untold := named("web01", uuid1, virt.Unknown)
			untold.Error, untold.Disks = "no such thing", nil
			a.hosts[0].Domains = []virt.Domain{untold}
			a.cfg.Domains[0].Match, a.cfg.Domains[0].Tags = nil, map[string]string{"tier": "gold"}
		}, nil, ""},
		{"another configuration's chain beside", func(a *afterwards) { a.folder.Chains[0].Manifest.Owner.Configuration = "site-b" }, []int{2},
			"chain 20261121T110000Z-0001 stays: of another block"},
		{"another block's chain beside", func(a *afterwards) { a.folder.Chains[0].Manifest.Owner.Address = "domain.old[\"x\"]" }, []int{2},
			"chain 20261121T110000Z-0001 stays: of another block"},
		{"a protected point", func(a *afterwards) {
			a.folder.Chains[0].Manifest.Points[1].Protected = &store.Protection{Until: a.now.Add(day), Why: "audit"}
		}, []int{2}, "chain 20261121T110000Z-0001 stays: point 1 is protected until 2027-02-21 11:00 UTC: audit"},
		{"a manifest is missing", func(a *afterwards) { a.folder.Chains[0].Problems = []store.Problem{problem(2, 0)} }, []int{2},
			"chain 20261121T110000Z-0001 stays: its manifest is damaged"},
		{"a damaged point", func(a *afterwards) { a.folder.Chains[0].Problems = []store.Problem{problem(0, 0)} }, []int{1, 2}, ""},
		{"-no-prune", func(a *afterwards) { a.o.NoPrune = true }, nil, "chain 20261121T110000Z-0001 stays: -no-prune\nchain 20261121T110000Z-0002 stays: -no-prune"},
		{"max_prune has no say", func(a *afterwards) { a.cfg.Domains[0].Policy.Retention.MaxPrune = 0 }, []int{1, 2}, ""},
		{"keep rules have no say", func(a *afterwards) { a.cfg.Domains[0].Policy.Retention.KeepLast = number(99) }, []int{1, 2}, ""},
		{"-exclude", func(a *afterwards) { a.o.Exclude = []string{"domain.web"} }, nil, ""},
		{"-exclude of a block that is gone", func(a *afterwards) { removed(a); a.o.Exclude = []string{"domain.old"} }, nil, ""},
		{"-target of another", func(a *afterwards) { a.o.Target = []string{"domain.db"} }, nil, ""},
		{"another vbk is at work", func(a *afterwards) { a.folder.Locked = true }, nil, "another vbk is at work in web01-11111111"},
		{"orphaned", func(a *afterwards) { old(a); a.now = a.now.Add(9999 * day) }, nil, "orphaned: domain.old, which made its chains, is not in the configuration"},
		{"removed", removed, []int{1, 2}, ""},
		{"removed, and the machine is there and not claimed", func(a *afterwards) {
			removed(a)
			a.hosts[0].Domains = []virt.Domain{named("db", uuid1, virt.Running)}
		}, []int{1, 2}, ""},
		{"removed, and another block took the machine", func(a *afterwards) {
			removed(a)
			a.hosts[0].Domains = []virt.Domain{machine("vda")}
		}, nil, ""},
		{"removed, and the block is in the configuration", func(a *afterwards) {
			a.now, a.cfg.Removed = noon, []config.Removed{{From: "domain.web"}}
		}, nil, "the domain is on no host, until 2027-02-20 11:00"},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := &afterwards{cfg: configuration(block("web", "web*")), hosts: []Host{host("hv1"), host("hv2")}, now: noon.Add(90*day - time.Hour)}
			a.cfg.Domains[0].Policy.Retention.Departed = config.Duration(90 * day)
			a.folder = *folder(chain(1, noon.Add(-25*time.Hour), noon.Add(-2*time.Hour)), chain(2, noon.Add(-25*time.Hour), noon.Add(-time.Hour)))
			if row.change != nil {
				row.change(a)
			}
			folders := []store.Domain{a.folder}
			if !a.quiet {
				folders = append(folders, alive(a.now))
			}
			p := Make(a.cfg, inventory(folders, a.hosts...), a.o, a.now)
			var gone, said, names []string
			for _, n := range row.gone {
				names = append(names, a.folder.Chains[n-1].Name)
			}
			for _, i := range p.Instances {
				gone = append(gone, pruned(i)...)
				if i.Want.Release == "" {
					continue
				}
				said = append(said, i.Held...)
				said = append(said, i.Error)
				if i.Want.Address != address && i.Want.Block != "domain.old" || i.Want.Host.Name != "" || i.Folder != a.folder.Folder || i.Backup() != nil {
					t.Errorf("instance %+v", i)
				}
				for _, planned := range i.Actions {
					now := Decide(i.Want, Seen{Folder: &a.folder}, a.now.Add(time.Hour))
					if _, verdict, why := Check(planned, now); verdict != Holds || planned.Reason != i.Want.Release {
						t.Errorf("%s because %s: %s: %s", planned.Kind, planned.Reason, verdict, why)
					}
				}
			}
			if unknown := UnknownAddresses(a.cfg, p, Options{Exclude: a.o.Exclude}); len(unknown) > 0 {
				t.Errorf("unknown %q", unknown)
			}
			for _, d := range p.Departed {
				text := d.Why
				if !d.Until.IsZero() {
					text += d.Until.Format(", until 2006-01-02 15:04")
				}
				said = append(said, text)
			}
			mustEqual(t, "released", gone, names)
			if text := strings.Trim(strings.Join(slices.Compact(said), "\n"), "\n"); text != row.said {
				t.Errorf("said %q, want %q", text, row.said)
			}
		})
	}
}

// TestReleaseIsBoundToItsReason: a saved release is refused when the machine is
// back, and is satisfied when the chains are gone.
func TestReleaseIsBoundToItsReason(t *testing.T) {
	cfg := configuration(block("web", "web*"))
	cfg.Domains[0].Policy.Retention.Departed = config.Duration(90 * day)
	f := folder(chain(1, daily(2, time.Hour)...))
	make := func(later time.Duration, hosts ...Host) Plan {
		now := noon.Add(90*day + later)
		return Make(cfg, inventory([]store.Domain{*f, alive(now)}, hosts...), Options{}, now)
	}
	saved := make(0, host("hv1"), host("hv2"))
	if bound, refused := Bind(saved, make(30*day, host("hv1"), host("hv2"))); len(bound.Instances) != 1 || len(refused) != 0 {
		t.Errorf("a month later: %+v", refused)
	}
	if bound, refused := Bind(saved, make(day, host("hv1", machine("vda")), host("hv2"))); len(bound.Instances) != 0 || len(refused) != 1 {
		t.Errorf("the machine is back: %+v", bound.Instances)
	}
	i := saved.Instances[0]
	f.Chains = nil
	if _, verdict, _ := Check(i.Actions[0], Decide(i.Want, Seen{Folder: f}, noon.Add(91*day))); verdict != Satisfied {
		t.Errorf("gone already: %s", verdict)
	}
}

// TestReleaseEndsWhereBackupsGoOn: between the plan and the lock another run may
// have taken the machine up again.
func TestReleaseEndsWhereBackupsGoOn(t *testing.T) {
	cfg := configuration()
	cfg.Removed = []config.Removed{{From: "domain.web"}}
	old := chain(1, daily(2, 30*day)...)
	f := folder(old)
	i := Make(cfg, inventory([]store.Domain{*f}, host("hv1"), host("hv2")), Options{}, noon).Instances[0]
	f.Chains = append(f.Chains, chain(2, noon.Add(time.Minute)))
	if _, verdict, why := Check(i.Actions[0], Decide(i.Want, Seen{Folder: f}, noon.Add(time.Hour))); verdict != Satisfied {
		t.Errorf("%s: %s", verdict, why)
	}
}

// TestUndescribed: a domain that a block may take by its tags is a failure where
// libvirt does not tell them, not one that nobody wants.
func TestUndescribed(t *testing.T) {
	cfg := configuration(block("web"))
	cfg.Domains[0].Tags = map[string]string{"tier": "gold"}
	wedged, held, other := named("a", uuid1, virt.Unknown), named("b", uuid2, virt.Unknown), named("c", uuid1[:35]+"3", virt.Running)
	wedged.Job, held.Error = &virt.Job{Operation: virt.NoAnswer}, "no such thing"
	p := Make(cfg, inventory(nil, host("hv1", wedged, held, other), host("hv2")), Options{}, noon)
	mustEqual(t, "unclaimed", p.Unclaimed, []string{"hv1/c"})
	if len(p.Failures) != 2 || p.Failures[0].Object != "host.hv1" || !strings.Contains(p.Failures[1].Error, "tags of b, by which domain.web") || !p.Failed() {
		t.Errorf("failures %+v", p.Failures)
	}
	if r := Results(cfg, p, inventory(nil, host("hv1"), host("hv2")), noon); r.Complete {
		t.Error("the results are complete")
	}
}
