package plan

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"vbk/config"
	"vbk/store"
	"vbk/virt"
)

// rich is a plan in which every field of every type occurs.
func rich() (*config.Config, Inventory, Options) {
	cfg := configuration(block("db", "db*"), block("web", "web*"), block("idle", "idle*"))
	cfg.Name = "site-a"
	cfg.Domains[1].Policy.Retention = config.Retention{KeepLast: number(1), KeepWithin: within(30 * time.Minute), MinChains: 1, MaxPrune: 100}
	cfg.Domains[1].Policy.Disks.Include = []string{"vd*"}
	cfg.Domains[0].Policy.Chain.FullEvery = 0
	chains := weeks(4)
	head, _ := chains[3].Head()
	d := machine("vda", "vdb")
	d.Disks = append(d.Disks, virt.Disk{Target: "sda", Device: "cdrom"})
	d.Checkpoints = []virt.Checkpoint{checkpointOf(chains[3]), {Name: store.CheckpointName(storeID, chains[0].Name, "000000aa", 0)}}
	d.Job = &virt.Job{Operation: "backup", Socket: "/var/tmp/vbk-" + storeID + "-1/nbd"}
	f := folder(chains...)
	f.Attempt = &store.Attempt{PID: 4, RunFolder: "/var/tmp/vbk-" + storeID + "-1"}
	f.Leftovers = []string{chains[0].Name + "/vda.inc.9.00000009.v3"}
	lost := *folder(chain(1, head.Start))
	lost.UUID, lost.Folder = "33333333-0000-4000-8000-000000000003", "lost-33333333"
	lost.Chains[0].Manifest.Owner.Configuration = "site-a"
	off := named("db", uuid2, virt.ShutOff)
	idle := named("idle", "44444444-0000-4000-8000-000000000004", virt.Running)
	idleFolder := store.Domain{Folder: "idle-44444444", UUID: idle.UUID, Chains: []store.Chain{chain(1, noon.Add(-time.Hour))}}
	idleFolder.Chains[0].Manifest.UUID = idle.UUID
	have := inventory([]store.Domain{*f, lost, idleFolder}, host("hv1", d, off, idle, named("stray", "5-", virt.Running)), host("hv2"))
	have.Stores = append(have.Stores, Store{Address: "store.local.b", Error: "unplugged", Hint: "plug it in"})
	have.Stores[0].Free = gib
	return cfg, have, Options{Full: []string{"domain.web"}, Exclude: []string{"domain.none"}, Version: "1.0"}
}

func saved(t testing.TB) (Plan, []byte) {
	cfg, have, o := rich()
	p := Make(cfg, have, o, noon)
	text, err := Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	return p, text
}

func TestEncodeDecode(t *testing.T) {
	p, text := saved(t)
	if got := fmt.Sprint(lines(p)); !strings.Contains(got, "cleanup prune prune prune full prune-after") {
		t.Fatalf("not rich any more: %s", got)
	}
	read, err := Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(p, read, cmpopts.EquateEmpty(), cmpopts.IgnoreTypes(config.Store{}.Range), cmpopts.IgnoreUnexported(Want{})); d != "" {
		t.Errorf("read back (-made +read): %s", d)
	}
	again, err := Encode(read)
	if err != nil || !bytes.Equal(text, again) {
		t.Errorf("encoded again it differs: %v", err)
	}
	cfg, have, o := rich()
	if other, err := Encode(Make(cfg, have, o, noon)); err != nil || !bytes.Equal(text, other) {
		t.Errorf("made again it differs: %v", err)
	}
}

// resealed is an edited file with a sum that fits: the sum is no seal.
func resealed(text []byte, from, to string) []byte {
	body, _, _ := bytes.Cut(text, []byte("\nsha256:"))
	edited := append(bytes.Replace(body, []byte(from), []byte(to), 1), '\n')
	return fmt.Appendf(edited, "sha256:%s\n", sum(edited))
}

func TestDecodeRefuses(t *testing.T) {
	_, text := saved(t)
	replace := func(from, to string) []byte { return bytes.Replace(text, []byte(from), []byte(to), 1) }
	for name, row := range map[string]struct {
		text   []byte
		edited bool
		want   string
	}{
		"empty":                         {nil, false, "it is no saved plan"},
		"a disk image":                  {[]byte("QFI\xfb\x00\x00\x00\x03"), false, "it is no saved plan"},
		"cut off":                       {text[:len(text)/2], true, "edited or cut off"},
		"edited":                        {replace("hv1", "hv2"), true, "edited or cut off"},
		"another sum":                   {append(text[:len(text)-2:len(text)-2], 'x', '\n'), true, "edited"},
		"something after it":            {append(text[:len(text):len(text)], "more\n"...), true, "edited"},
		"another version":               {resealed(text, fileVersion, "vbk-plan/3"), false, `the version "vbk-plan/3", and this vbk reads "vbk-plan/2"`},
		"unknown field":                 {resealed(text, `"vbk_version"`, `"vbk_virsion"`), false, "vbk_virsion"},
		"not JSON":                      {resealed(text, `"plan"`, `"plan`), false, "decode plan: "},
		"a want that was edited":        {resealed(text, `"path": "/srv/backup"`, `"path": "/srv/other"`), true, "digest differs"},
		"a policy that was edited":      {resealed(text, `"keep_last": 1`, `"keep_last": 2`), true, "digest differs"},
		"an action without its content": {resealed(text, `"kind": "prune"`, `"kind": "cleanup"`), false, "has not the content of its kind"},
		"an unknown kind":               {resealed(text, `"kind": "prune"`, `"kind": "merge"`), false, "has not the content of its kind"},
	} {
		p, err := Decode(row.text)
		if err == nil || errors.Is(err, ErrEdited) != row.edited || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v", name, err)
		}
		if len(p.Instances) > 0 {
			t.Errorf("%s: a plan with an error", name)
		}
	}
	for n := range text {
		if _, err := Decode(text[:n]); err == nil && n < len(text)-1 {
			t.Fatalf("cut off after %d of %d bytes, and taken", n, len(text))
		}
	}
}

func FuzzDecode(f *testing.F) {
	s := ordinary()
	text, err := Encode(Plan{Created: noon, Version: "1.0", Instances: []Instance{s.decide()}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(resealed(text, fileVersion, "vbk-plan/3"))
	f.Add(resealed(text, `"instances": [`, `"instances": [{},`))
	f.Add(resealed(nil, "", `{"version":"vbk-plan/2"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		// The sum would keep all of the interesting input out.
		body, _, _ := bytes.Cut(text, []byte("\nsha256:"))
		for _, text := range [][]byte{text, resealed(body, "", "")} {
			p, err := Decode(text)
			if err != nil {
				continue
			}
			once, err := Encode(p)
			if err != nil {
				t.Fatalf("taken, and not written: %v", err)
			}
			q, err := Decode(once)
			if err != nil {
				t.Fatalf("written, and not taken: %v", err)
			}
			if twice, err := Encode(q); err != nil || !bytes.Equal(once, twice) {
				t.Fatalf("not the same when written twice: %v", err)
			}
		}
	})
}

func TestBind(t *testing.T) {
	made := func(change func(*config.Config, *Inventory), o Options) Plan {
		cfg := configuration(block("web", "web*"))
		d := machine("vda")
		c := chain(1, daily(2, 25*time.Hour)...)
		d.Checkpoints = []virt.Checkpoint{checkpointOf(c)}
		have := inventory([]store.Domain{*folder(c)}, host("hv1", d), host("hv2"))
		if change != nil {
			change(cfg, &have)
		}
		return Make(cfg, have, o, noon)
	}
	off := func(_ *config.Config, v *Inventory) { v.Hosts[0].Domains[0].State = virt.Crashed }
	for _, row := range []struct {
		name   string
		change func(*config.Config, *Inventory)
		refuse string // "" binds
	}{
		{"nothing changed", nil, ""},
		{"the host drew another UUID", func(_ *config.Config, v *Inventory) { v.Hosts[0].UUID = "other" }, ""},
		{"a block more", func(c *config.Config, _ *Inventory) { c.Domains = append(c.Domains, block("db", "db*")) }, ""},
		{"retention changed", func(c *config.Config, _ *Inventory) { c.Domains[0].Policy.Retention.KeepLast = number(1) }, "the configuration of this instance changed"},
		{"the store moved", func(c *config.Config, _ *Inventory) { c.Stores[0].Path = "/srv/other" }, "the configuration of this instance changed"},
		{"the store is another", func(_ *config.Config, v *Inventory) { v.Stores[0].ID = "ffffffff" }, "the configuration of this instance changed"},
		{"the host has another URI", func(c *config.Config, _ *Inventory) { c.Hosts[0].URI = "qemu:///session" }, "the configuration of this instance changed"},
		{"another time zone", func(c *config.Config, _ *Inventory) { c.TimeZone = time.FixedZone("X", 1) }, "the configuration of this instance changed"},
		{"the block is gone", func(c *config.Config, _ *Inventory) { c.Domains = nil }, "no such instance any more"},
		{"renamed", func(_ *config.Config, v *Inventory) { v.Hosts[0].Domains[0].Name = "web02" }, "no such instance any more"},
		{"the host does not answer", func(_ *config.Config, v *Inventory) { v.Hosts[0] = Host{Name: "hv1", Error: "down"} }, "its host did not answer"},
		{"the store does not answer", func(_ *config.Config, v *Inventory) { v.Stores[0] = Store{Address: nas().Address(), Error: "down"} }, "its store did not answer"},
		{"a second claim", func(c *config.Config, _ *Inventory) { c.Domains = append(c.Domains, block("xeb", "w*")) }, "claimed by several blocks"},
		{"active on two hosts", func(_ *config.Config, v *Inventory) { v.Hosts[1].Domains = v.Hosts[0].Domains }, "is active on several hosts"},
		{"nothing left to do, and it fails", off, "domain is crashed"},
		{"another vbk is at work: that can be waited for", func(_ *config.Config, v *Inventory) { v.Stores[0].Domains[0].Locked = true }, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			plan := made(nil, Options{Full: []string{"domain.web"}, AllowPrune: []string{"domain.web"}, NoPrune: true})
			plan.Instances[0].Folder = "edited"
			fresh := made(row.change, Options{})
			bound, refused := Bind(plan, fresh)
			if row.refuse != "" {
				if len(bound.Instances) > 0 || len(refused) != 1 || refused[0].Address != want().Address || !strings.Contains(refused[0].Why, row.refuse) {
					t.Errorf("refused %+v, want %q; bound %d", refused, row.refuse, len(bound.Instances))
				}
				return
			}
			if len(refused) > 0 || len(bound.Instances) != 1 {
				t.Fatalf("refused %+v", refused)
			}
			i, expected := bound.Instances[0], fresh.Instances[0].Want
			expected.FullAfter = plan.Instances[0].Want.FullAfter
			expected.Full, expected.AllowPrune, expected.NoPrune = true, true, true
			if d := cmp.Diff(expected, i.Want, cmpopts.IgnoreTypes(config.Store{}.Range), cmpopts.IgnoreUnexported(Want{})); d != "" {
				t.Errorf("want: %s", d)
			}
			if i.Folder != "web01-11111111" {
				t.Errorf("folder %q is the file's", i.Folder)
			}
			if d := cmp.Diff(plan.Instances[0].Actions, i.Actions); d != "" {
				t.Errorf("actions: %s", d)
			}
		})
	}
}

// TestBindLeavesTheSavedPlan: the argument is not changed.
func TestBindLeavesTheSavedPlan(t *testing.T) {
	cfg, have, o := rich()
	plan := Make(cfg, have, o, noon)
	before, _ := Encode(plan)
	Bind(plan, Make(cfg, have, Options{}, noon))
	if after, _ := Encode(plan); !bytes.Equal(before, after) {
		t.Error("Bind changed the saved plan")
	}
}

// TestNotApplicable: a plan that was made for another time, or from a file, is
// saved and shown, and never done.
func TestNotApplicable(t *testing.T) {
	cfg := configuration(block("web", "web*"))
	cfg.Variables = map[string]string{"site": `"ams"`}
	have := inventory(nil, host("hv1", machine("vda")), host("hv2"))
	text, err := Encode(Make(cfg, have, Options{NotApplicable: "it was made with -now"}, noon))
	if err != nil {
		t.Fatal(err)
	}
	saved, err := Decode(text)
	if err != nil || saved.Empty() || saved.Variables["site"] != `"ams"` {
		t.Fatalf("saved %+v: %v", saved, err)
	}
	bound, refused := Bind(saved, Make(cfg, have, Options{}, noon))
	if len(bound.Instances) > 0 || len(refused) != 1 || refused[0].Why != "it can never be applied: it was made with -now" {
		t.Errorf("bound %+v, refused %+v", bound.Instances, refused)
	}
}

// TestMergesAreSaved: a merge is read back as it was written, and refused where
// it does not say whose points it means.
func TestMergesAreSaved(t *testing.T) {
	s := ordinary()
	s.merging(1)
	text, err := Encode(Plan{Instances: []Instance{s.decide()}})
	if err != nil {
		t.Fatal(err)
	}
	saved, err := Decode(text)
	if err != nil || len(merged(saved.Instances[0])) != 1 {
		t.Fatalf("saved %+v: %v", saved, err)
	}
	saved.Instances[0].Actions[1].Merge.Attempts = nil
	if text, err = Encode(saved); err != nil {
		t.Fatal(err)
	}
	if _, err = Decode(text); err == nil {
		t.Error("a merge of unnamed points was read")
	}
}
