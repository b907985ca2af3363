package plan

import (
	"testing"
	"time"

	"vbk/config"
	"vbk/store"
	"vbk/virt"
)

func TestForecast(t *testing.T) {
	s := ordinary()
	points := s.open().Manifest.Points
	measure := func(p *store.Point, data, stored int64, took time.Duration) {
		p.Disks[0].Data, p.Disks[0].FileSize, p.End = data, stored, p.Start.Add(took)
	}
	measure(&points[0], 400<<20, 100<<20, 40*time.Second) // a quarter, 10 MiB/s
	measure(&points[1], 10<<20, 5<<20, 5*time.Second)     // half, 2 MiB/s
	s.domain.Checkpoints[0].Disks[0].Dirty = 20 << 20
	check := func(what string, stores int64, takes time.Duration) {
		t.Helper()
		if b := s.decide().Backup(); b.Stores != stores || b.Takes != config.Duration(takes) {
			t.Errorf("%s: %s to store in %s, of %s", what, Bytes(b.Stores), time.Duration(b.Takes), Bytes(b.Estimate))
		}
	}
	check("increment", 10<<20, 10*time.Second)
	s.domain.Checkpoints[0].Disks[0].Health = virt.Broken
	check("resync, as much as a full", gib/4, 103*time.Second)
	s.full()
	check("full", gib/4, 103*time.Second)
	points[0].Kind = store.Resync // which says nothing of how much was read
	check("nothing to tell by", gib, 0)
	measure(&points[1], -5, 1<<62, -time.Hour)
	points[1].Kind = store.Full
	check("nonsense", gib, 0)
	s.folder = nil
	check("no folder", gib, 0)
}

func TestSpace(t *testing.T) {
	cfg := configuration(block("web", "web*"))
	cfg.Stores[0].MinFree = gib
	cfg.Domains[0].Policy.Retention = config.Retention{KeepLast: number(3), MinChains: 1, MaxPrune: 100}
	have := inventory([]store.Domain{*folder(weeks(3)...)}, host("hv1", machine("vda")), host("hv2"))
	p := Make(cfg, have, Options{Full: []string{"domain.web"}}, noon)
	want := Space{Store: nas().Address(), Free: 100 * gib, MinFree: gib, Stores: gib, Before: 2 << 20, After: 2 << 20}
	if len(p.Space) != 1 || p.Space[0] != want {
		t.Errorf("space %+v", p.Space)
	}
	cfg.Domains[0].Policy.Retention.Prune = "merge"
	cfg.Domains[0].Policy.Retention.KeepLast = number(1)
	have.Stores[0].Domains[0].Chains = []store.Chain{chain(1, daily(4, time.Hour)...)}
	want = Space{Store: nas().Address(), Free: 100 * gib, MinFree: gib, After: 3 << 20}
	if p = Make(cfg, have, Options{}, noon); len(p.Space) != 1 || p.Space[0] != want {
		t.Errorf("space of merges %+v", p.Space)
	}
	have.Stores[0].Domains = nil
	have.Hosts[0].Domains = nil
	if p = Make(cfg, have, Options{}, noon); len(p.Space) != 0 {
		t.Errorf("space of nothing %+v", p.Space)
	}
}

func TestResults(t *testing.T) {
	cfg := configuration(block("web", "web*"))
	gone := *folder(chain(1, daily(1, 99*day)...))
	gone.Folder, gone.UUID, gone.Chains[0].Manifest.UUID = "web09-33333333", "33333333", "33333333"
	cfg.Domains[0].Policy.Retention.Departed = config.Duration(day)
	have := inventory([]store.Domain{*folder(chain(1, daily(2, 25*time.Hour)...)), gone},
		host("hv1", machine("vda"), named("db", "2", virt.Running)), host("hv2", named("web02", uuid2, virt.Crashed)))
	have.Stores[0].Size = 200 * gib
	p := Make(cfg, have, Options{}, noon)
	if len(p.Instances) != 3 {
		t.Fatalf("instances %q", lines(p))
	}
	r := Results(cfg, p, have, noon)
	if !r.Complete || len(r.Instances) != 2 || len(r.Unclaimed) != 1 || r.Unclaimed[0] != "hv1/db" {
		t.Fatalf("results %+v", r)
	}
	one, two := r.Instances[0], r.Instances[1]
	if one.Address != `domain.web["hv1/web01"]` || one.Host != "hv1" || one.Name != "web01" || *one.Age != config.Duration(25*time.Hour) ||
		one.RPO != config.Duration(2*day) || !one.Due || one.Error != "" {
		t.Errorf("first %+v", one)
	}
	if two.Age != nil || two.Error == "" || !two.Due {
		t.Errorf("second %+v", two)
	}
	if s := r.Stores[0]; s.Name != nas().Address() || s.Free != 100*gib || s.Size != 200*gib {
		t.Errorf("store %+v", s)
	}
	if Results(cfg, p, have, noon.Add(-3*time.Hour)).Instances[0].Due {
		t.Error("due at 22 hours")
	}
	if i := p.Instances[0]; i.Breached(noon) || !i.Breached(noon.Add(day)) || !p.Instances[1].Breached(noon) {
		t.Error("breached")
	}

	for name, change := range map[string]func(*Inventory, *Options){
		"a host is silent":  func(v *Inventory, _ *Options) { v.Hosts[1].Error = "down" },
		"a host is missing": func(v *Inventory, _ *Options) { v.Hosts = v.Hosts[:1] },
		"a store is silent": func(v *Inventory, _ *Options) { v.Stores[0].Error = "gone" },
		"some are left out": func(_ *Inventory, o *Options) { o.Target = []string{"*web01*"} },
	} {
		v, o := have, Options{}
		v.Hosts, v.Stores = append([]Host(nil), have.Hosts...), append([]Store(nil), have.Stores...)
		change(&v, &o)
		if Results(cfg, Make(cfg, v, o, noon), v, noon).Complete {
			t.Errorf("%s, and the results are complete", name)
		}
	}
}

func TestPending(t *testing.T) {
	cfg := configuration(block("db", "db*"), block("web", "web*"))
	cfg.Domains[1].Policy.Pending = []string{"hooks are not run", "copies are not made"}
	have := inventory(nil, host("hv1", machine("vda"), named("db", uuid2, virt.Running)), host("hv2"))
	p := Make(cfg, have, Options{}, noon)
	mustEqual(t, "lines", lines(p), []string{`domain.db["hv1/db"] full`, `domain.web["hv1/web01"] hooks are not run; copies are not made`})
	if hint := p.Instances[1].Hint; hint != pendingHint {
		t.Errorf("hint %q", hint)
	}
	cfg.Stores[0].Pending = []string{"S3 is not spoken"}
	p = Make(cfg, have, Options{}, noon)
	mustEqual(t, "lines", lines(p), []string{`domain.db["hv1/db"] S3 is not spoken`, `domain.web["hv1/web01"] hooks are not run; copies are not made; S3 is not spoken`})

	v := Survey(t.Context(), &config.Config{Hosts: []config.Host{{Name: "a", Pending: []string{"no ssh"}}}, Stores: []config.Store{{Kind: "s3", Name: "b", Pending: []string{"no S3"}}}},
		Openers{}, noon)
	if v.Hosts[0].Error != "no ssh" || v.Stores[0].Error != "no S3" || v.Hosts[0].Hint == "" || v.Stores[0].Hint == "" {
		t.Errorf("survey %+v", v)
	}
}
