package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vbk/config"
	"vbk/store"
	"vbk/virt"
)

// edit is a repository before and after a change.
type edit struct {
	base, next         *config.Config
	haveBase, haveNext Inventory
}

// edited is web01 with three chains of two points, the newest an hour old, and
// web02 without any. Both configurations are the same.
func edited() *edit {
	web01 := machine("vda")
	chains := weeks(3)
	web01.Checkpoints = []virt.Checkpoint{checkpointOf(chains[2])}
	have := func() Inventory {
		return inventory([]store.Domain{*folder(chains...)}, host("hv1", web01, named("web02", uuid2, virt.Running)), host("hv2"))
	}
	make := func() *config.Config {
		b := block("web", "web*")
		b.Policy.Retention = config.Retention{KeepDaily: number(6), MinChains: 1, MaxPrune: 100, Anchor: "any", Prune: "chain"}
		b.Policy.Chain.MaxIncrements = 9
		return configuration(b)
	}
	return &edit{make(), make(), have(), have()}
}

func (e *edit) web() *config.Domain { return &e.next.Domains[0] }

func (e *edit) compare(o CompareOptions) Comparison {
	return Compare(Side{Make(e.base, e.haveBase, Options{}, noon), e.haveBase}, Side{Make(e.next, e.haveNext, Options{}, noon), e.haveNext}, o)
}

// said is a comparison, in a line for each thing.
func said(c Comparison) (all []string) {
	line := func(format string, args ...any) { all = append(all, strings.TrimSpace(fmt.Sprintf(format, args...))) }
	for word, points := range map[string][]PointChange{"lost": c.Lost, "sooner": c.Sooner, "unheld": c.Unheld, "kept": c.Kept} {
		for _, p := range points {
			line("%s %s.%d: %s", word, p.Chain[16:], p.Sequence, p.Why)
		}
	}
	for _, h := range c.HeldBack {
		line("held back: %s: %s", h.Text, h.Why)
	}
	for _, d := range c.Domains {
		line("%s %s: %s -> %s, %s, %d points", d.Kind, d.Domain, d.Before, d.After, d.Why, d.Points)
	}
	for _, e := range c.Failing {
		line("fails %s: %s", e.Address, e.After)
	}
	for _, e := range c.Recovered {
		line("recovers %s: %s", e.Address, e.Before)
	}
	for _, b := range c.Backups {
		line("backup %s: %s -> %s: %s", b.Address, b.Before, b.After, b.Reason)
	}
	for _, d := range c.Due {
		line("due %s: %s -> %s", d.Address, d.Before.Format(time.DateTime), d.After.Format(time.DateTime))
	}
	for _, p := range c.Policies {
		for _, a := range p.Changes {
			line("policy %d: %s", len(p.Instances), a)
		}
	}
	for _, s := range c.Stores {
		line("bytes %s: %d freed, %d needed", s.Store, s.Freed, s.Needed)
	}
	for _, f := range c.Failures {
		line("unknown %s: %s", f.Object, f.Error)
	}
	slices.Sort(all)
	return all
}

func TestCompare(t *testing.T) {
	const web01, web02 = `domain.web["hv1/web01"]`, `domain.web["hv1/web02"]`
	mib := "1048576"
	for _, row := range []struct {
		name   string
		change func(*edit)
		want   []string
	}{
		{"nothing", func(*edit) {}, nil},
		{"a comment", func(e *edit) { e.web().Range.Start.Line = 7 }, nil},
		{"keep less: a chain goes, and of another a point is not held any more", func(e *edit) { e.web().Policy.Retention.KeepDaily = number(3) }, []string{
			"bytes store.local.nas: 2097152 freed, 0 needed",
			"lost -0001.0: keep_daily = 6 -> 3", "lost -0001.1: keep_daily = 6 -> 3",
			"policy 2: retention.keep_daily = 6 -> 3", "unheld -0002.0: keep_daily = 6 -> 3"}},
		{"keep more", func(e *edit) {
			e.base.Domains[0].Policy.Retention.KeepDaily = number(4)
		}, []string{
			"bytes store.local.nas: -2097152 freed, 0 needed",
			"kept -0001.0: keep_daily = 4 -> 6", "kept -0001.1: keep_daily = 4 -> 6",
			"policy 2: retention.keep_daily = 4 -> 6"}},
		{"another rule instead", func(e *edit) { e.web().Policy.Retention.KeepDaily, e.web().Policy.Retention.KeepLast = nil, number(2) }, []string{
			"bytes store.local.nas: 4194304 freed, 0 needed",
			"lost -0001.0: keep_daily = 6 is gone", "lost -0001.1: keep_daily = 6 is gone",
			"lost -0002.0: keep_daily = 6 is gone", "lost -0002.1: keep_daily = 6 is gone",
			"policy 2: retention.keep_daily = 6 is gone", "policy 2: retention.keep_last = 2 is new"}},
		{"a limit holds the deletions back", func(e *edit) {
			e.web().Policy.Retention.KeepDaily, e.web().Policy.Retention.MaxPrune = number(1), 1
		}, []string{
			"held back: 2 chains that no rule keeps stay: releasing them deletes more than max_prune = \"1%\" of 6 points; allow it with -allow-prune '" + web01 + "': keep_daily = 6 -> 1; max_prune = 100 -> 1",
			"policy 2: retention.keep_daily = 6 -> 1", "policy 2: retention.max_prune = 100 -> 1",
			"unheld -0001.0: keep_daily = 6 -> 1", "unheld -0001.1: keep_daily = 6 -> 1", "unheld -0002.0: keep_daily = 6 -> 1",
			"unheld -0002.1: keep_daily = 6 -> 1", "unheld -0003.0: keep_daily = 6 -> 1"}},
		{"a domain is left out", func(e *edit) { e.web().Exclude = []string{"web01"} }, []string{
			"unclaimed hv1/web01: " + web01 + " -> , no block claims it, 6 points"}},
		{"a domain is taken in", func(e *edit) { e.base.Domains[0].Exclude = []string{"web02"} }, []string{
			"bytes store.local.nas: 0 freed, 1073741824 needed", "claimed hv1/web02:  -> " + web02 + ", , 0 points"}},
		{"a host is left out", func(e *edit) { e.next.Hosts, e.haveNext.Hosts = e.next.Hosts[1:], e.haveNext.Hosts[1:] }, []string{
			"bytes store.local.nas: 0 freed, -1073741824 needed",
			"unclaimed hv1/web01: " + web01 + " -> , its host is not in the configuration, 6 points",
			"unclaimed hv1/web02: " + web02 + " -> , its host is not in the configuration, 0 points"}},
		{"a host is new, and nobody takes its domain", func(e *edit) {
			d := named("db", "33333333-0000-4000-8000-000000000003", virt.Running)
			e.haveNext.Hosts[1].Domains = []virt.Domain{d}
		}, []string{"seen hv2/db:  -> , , 0 points"}},
		{"another block takes it", func(e *edit) { e.web().Name = "www" }, []string{
			"block hv1/web01: " + web01 + ` -> domain.www["hv1/web01"], , 0 points`,
			"block hv1/web02: " + web02 + ` -> domain.www["hv1/web02"], , 0 points`}},
		{"another store", func(e *edit) {
			other := nas()
			other.Name = "other"
			e.next.Stores = append(e.next.Stores, other)
			e.haveNext.Stores = append(e.haveNext.Stores, Store{Address: other.Address(), ID: "0b0b0b0b", Free: 100 * gib})
			e.web().Policy.Store = other.Address()
			e.web().Match = []string{"web01"}
			e.base.Domains[0].Match = []string{"web01"}
		}, []string{
			"backup " + web01 + ":  -> full: no restore point yet",
			"bytes store.local.other: 0 freed, 1073741824 needed",
			"due " + web01 + ": 2026-11-23 10:00:00 -> 2026-11-22 12:00:00",
			`policy 1: store = "store.local.nas" -> "store.local.other"`,
			"store hv1/web01: " + web01 + " -> " + web01 + ", , 6 points"}},
		{"the same store under another name", func(e *edit) {
			e.next.Stores[0].Name, e.haveNext.Stores[0].Address = "renamed", "store.local.renamed"
			e.web().Policy.Store = "store.local.renamed"
		}, []string{
			"bytes store.local.nas: 0 freed, -1073741824 needed", "bytes store.local.renamed: 0 freed, 1073741824 needed",
			`policy 2: store = "store.local.nas" -> "store.local.renamed"`}},
		{"more often", func(e *edit) { e.web().Policy.Every = config.Duration(2 * time.Hour) }, []string{
			"due " + web01 + ": 2026-11-23 10:00:00 -> 2026-11-22 12:48:00", `policy 2: every = "24h" -> "2h"`}},
		{"so often that it is due now", func(e *edit) { e.web().Policy.Every = config.Duration(time.Hour) }, []string{
			"bytes store.local.nas: 0 freed, " + mib + " needed",
			"due " + web01 + ": 2026-11-23 10:00:00 -> 2026-11-22 12:00:00", `policy 2: every = "24h" -> "1h"`}},
		{"a new full, and what the next backup would delete goes sooner", func(e *edit) {
			for _, c := range []*config.Config{e.base, e.next} {
				c.Domains[0].Policy.Retention.KeepDaily, c.Domains[0].Policy.Retention.KeepLast = nil, number(5)
			}
			e.web().Policy.Every = config.Duration(time.Hour)
			e.web().Policy.Chain.MaxIncrements = 1
		}, []string{
			"backup " + web01 + ":  -> full: the chain has 1 increments and max_increments = 1",
			"bytes store.local.nas: 2097152 freed, 1073741824 needed",
			"due " + web01 + ": 2026-11-23 10:00:00 -> 2026-11-22 12:00:00",
			"policy 2: chain.max_increments = 9 -> 1", `policy 2: every = "24h" -> "1h"`,
			"sooner -0001.0: chain.max_increments = 9 -> 1; every = \"24h\" -> \"1h\"", "sooner -0001.1: chain.max_increments = 9 -> 1; every = \"24h\" -> \"1h\""}},
		{"two blocks", func(e *edit) { e.next.Domains = append(e.next.Domains, block("more", "web02")) }, []string{
			"bytes store.local.nas: 0 freed, -1073741824 needed",
			"fails " + web02 + `: claimed by several blocks: domain.web (:0), domain.more (:0)`}},
		{"a store that does not answer is not the edit's doing", func(e *edit) {
			for _, v := range []*Inventory{&e.haveBase, &e.haveNext} {
				v.Stores = []Store{{Address: nas().Address(), Error: "gone"}}
			}
		}, []string{"unknown store.local.nas: gone"}},
		{"a time zone", func(e *edit) { e.next.TimeZone = mustLoad("Europe/Berlin") }, []string{
			`policy 2: time_zone = "UTC" -> "Europe/Berlin"`}},
		{"a departed domain gets a deadline", func(e *edit) {
			for _, c := range []*config.Config{e.base, e.next} {
				c.Domains[0].Exclude = []string{"web01"}
			}
			e.web().Policy.Retention.Departed = config.Duration(90 * day)
		}, []string{
			"deadline store.local.nas/web01-11111111: kept -> deleted on 2027-02-20, no block claims the domain for this store, 6 points",
			`policy 1: retention.departed = "keep" -> "90d"`}},
		{"removed", func(e *edit) {
			e.web().Name, e.web().Exclude = "other", []string{"web01"}
			e.next.Removed = []config.Removed{{From: "domain.web"}}
			e.base.Domains[0].Match, e.next.Domains[0].Match = []string{"web01"}, []string{"nothing"}
		}, []string{
			"bytes store.local.nas: 6291456 freed, 0 needed",
			"lost -0001.0: removed { from = domain.web }", "lost -0001.1: removed { from = domain.web }",
			"lost -0002.0: removed { from = domain.web }", "lost -0002.1: removed { from = domain.web }",
			"lost -0003.0: removed { from = domain.web }", "lost -0003.1: removed { from = domain.web }",
			"unclaimed hv1/web01: " + web01 + " -> , no block claims it, 6 points"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := edited()
			row.change(e)
			c := e.compare(CompareOptions{})
			mustEqual(t, "said", said(c), row.want)
			if c.Empty() != (len(row.want) == 0 || len(c.Failures) > 0) {
				t.Errorf("empty: %v", c.Empty())
			}
			if _, err := json.Marshal(c); err != nil {
				t.Error(err)
			}
		})
	}
}

// BenchmarkCompare compares two plans of 1000 machines with 60 points each.
func BenchmarkCompare(b *testing.B) {
	e := edited()
	e.web().Policy.Retention.KeepDaily = number(3)
	var domains []virt.Domain
	var folders []store.Domain
	for n := range 1000 {
		uuid := fmt.Sprintf("%08d-0000-4000-8000-000000000000", n)
		domains = append(domains, named(fmt.Sprintf("web%d", n), uuid, virt.Running))
		f := *folder(weeks(30)...)
		f.UUID, f.Folder = uuid, store.FolderName(fmt.Sprintf("web%d", n), uuid)
		for c := range f.Chains {
			f.Chains[c].Manifest.UUID = uuid
		}
		folders = append(folders, f)
	}
	e.haveBase = inventory(folders, host("hv1", domains...))
	e.haveNext = e.haveBase
	b.ReportAllocs()
	for b.Loop() {
		if c := e.compare(CompareOptions{Ahead: 90 * day, Sample: 20}); len(c.Lost)+len(c.Sooner) == 0 {
			b.Fatal("nothing is lost")
		}
	}
}

// TestCompareLooksAhead: a change without an effect now tells where it leads.
func TestCompareLooksAhead(t *testing.T) {
	e := edited()
	e.web().Policy.Retention.KeepDaily = number(30)
	c := e.compare(CompareOptions{Ahead: 90 * day, Sample: 5})
	if c.Now() || c.Empty() || len(c.Policies) != 1 {
		t.Fatalf("now %v, empty %v: %q", c.Now(), c.Empty(), said(c))
	}
	o := c.Policies[0].Ahead
	if o == nil || o.Date != "2027-02-20" || o.Simulated != 2 || o.After.Held != 60 || o.Before.Held != 12 || o.After.Stored <= o.Before.Stored {
		t.Errorf("ahead: %+v", o)
	}
	if c = e.compare(CompareOptions{Ahead: 90 * day, Sample: 1}); c.Policies[0].Ahead.Simulated != 1 {
		t.Errorf("a sample of one: %+v", c.Policies[0].Ahead)
	}
}

// TestCompareProperties: equal configurations do not differ, and what one
// direction loses the other keeps.
func TestCompareProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 12).Draw(t, "history") {
			w.run(Make(w.cfg, w.have, Options{}, w.now), true, forever)
			w.happen()
			w.pass()
		}
		other := *w.cfg
		other.Domains = slices.Clone(w.cfg.Domains)
		for n := range other.Domains {
			other.Domains[n].Policy.Retention = drawRetention(t)
		}
		base, next := Side{Make(w.cfg, w.have, Options{}, w.now), w.have}, Side{Make(&other, w.have, Options{}, w.now), w.have}
		if same := Compare(base, base, CompareOptions{}); !same.Empty() {
			t.Fatalf("no edit: %q", said(same))
		}
		there, back := Compare(base, next, CompareOptions{}), Compare(next, base, CompareOptions{})
		lost, kept := map[string]bool{}, map[string]bool{}
		for _, p := range slices.Concat(there.Lost, there.Sooner) {
			lost[fmt.Sprint(p.Folder, p.Chain, p.Sequence)] = true
		}
		for _, p := range back.Kept {
			kept[fmt.Sprint(p.Folder, p.Chain, p.Sequence)] = true
		}
		if fmt.Sprint(lost) != fmt.Sprint(kept) {
			t.Fatalf("lost %v, the other way round kept %v", lost, kept)
		}
	})
}
