package plan

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vbk/config"
	"vbk/store"
	"vbk/virt"
)

// chaos draws values that fit together by chance: few names, and numbers at the
// ends of their ranges.
type chaos struct{ *rapid.T }

func pick[T any](c chaos, of ...T) T { return rapid.SampledFrom(of).Draw(c.T, "pick") }

func several[T any](c chaos, most int, one func() T) (all []T) {
	for range rapid.IntRange(0, most).Draw(c.T, "several") {
		all = append(all, one())
	}
	return all
}

func (c chaos) yes() bool { return rapid.Bool().Draw(c.T, "yes") }

func (c chaos) number() int { return pick(c, 0, 0, 1, 1, 2, 3, -1, math.MaxInt32, math.MinInt64) }

func (c chaos) bytes() int64 { return pick[int64](c, 0, 1, gib, -1, math.MaxInt64, math.MinInt64) }

func (c chaos) time() time.Time {
	return pick(c, time.Time{}, noon, noon.Add(-time.Hour), noon.Add(-25*time.Hour), noon.Add(-9*day), noon.Add(day), time.Unix(1<<40, 0), time.Unix(-1<<40, 0))
}

func (c chaos) duration() config.Duration {
	return config.Duration(pick(c, 0, time.Second, time.Hour, day, 7*day, math.MaxInt64/time.Second*time.Second))
}

func (c chaos) uuid() string { return pick(c, uuid1, uuid1, uuid2, "", "x") }

func (c chaos) chain() string {
	return pick(c, chainName(noon.Add(-25*time.Hour), 1), chainName(noon.Add(-9*day), 2), "", "x", "20261199T999999Z-0000")
}

func (c chaos) checkpoint() string {
	return pick(c, "", "manual", "virtnbdbackup.0", store.CheckpointName(storeID, c.chain(), "00000001", 0), store.CheckpointName("ffffffff", c.chain(), "00000002", 1))
}

func (c chaos) target() string { return pick(c, "vda", "vdb", "") }

func (c chaos) disk() virt.Disk {
	return virt.Disk{Target: c.target(), Device: pick(c, "disk", "disk", "cdrom", "lun", ""), Source: pick(c, "/a", "/a", "/b", ""),
		Format: pick(c, "qcow2", "qcow2", "raw", "vmdk", ""), Size: c.bytes(), Allocated: c.bytes(), ReadOnly: pick(c, false, false, true)}
}

func (c chaos) domain() virt.Domain {
	d := virt.Domain{Name: pick(c, "web01", "web02", "", "../x"), UUID: c.uuid(), State: pick(c, virt.Running, virt.Running, virt.ShutOff, virt.Unknown, "")}
	d.Disks = several(c, 3, c.disk)
	d.Checkpoints = several(c, 3, func() virt.Checkpoint {
		return virt.Checkpoint{Name: c.checkpoint(), Created: c.time(), Disks: several(c, 2, func() virt.CheckpointDisk {
			return virt.CheckpointDisk{Target: c.target(), Bitmap: "b", Health: pick(c, virt.Sound, virt.Sound, virt.Broken, virt.Unseen, ""), Dirty: c.bytes()}
		})}
	})
	if d.Error = pick(c, "", "", "", "gone"); c.yes() {
		d.Job = pick(c, nil, &virt.Job{}, &virt.Job{Operation: virt.NoAnswer}, &virt.Job{Socket: "/x/vbk-" + storeID + "-1/nbd"})
	}
	return d
}

func (c chaos) point() store.Point {
	p := store.Point{Sequence: c.number(), Attempt: pick(c, "a", "b", ""), Kind: pick(c, store.Full, store.Increment, store.Resync, ""), Parent: c.number(),
		Checkpoint: c.checkpoint(), Start: c.time(), End: c.time(), Merged: c.number(), Distrusted: pick(c, "", "", "why")}
	p.Created = pick(c, time.Time{}, time.Time{}, noon)
	p.Protected = pick(c, nil, nil, &store.Protection{}, &store.Protection{Until: c.time()})
	p.Disks = several(c, 2, func() store.PointDisk {
		return store.PointDisk{Target: c.target(), Base: c.yes(), Size: c.bytes(), Source: pick(c, "/a", "/b"), FileSize: c.bytes(), Data: c.bytes()}
	})
	return p
}

func (c chaos) folder() store.Domain {
	f := store.Domain{Folder: pick(c, "web01-11111111", "web02-22222222", "", "x"), Name: pick(c, "web01", ""), UUID: c.uuid(), Locked: pick(c, false, false, true),
		Leftovers: pick(c, nil, []string{"c/f"}), Error: pick(c, "", "", "", "gone")}
	f.Attempt = pick(c, nil, nil, &store.Attempt{Domain: uuid1, RunFolder: "/etc"})
	f.Chains = several(c, 3, func() store.Chain {
		return store.Chain{Name: c.chain(), Manifest: store.Manifest{Number: c.number(), StoreID: storeID, UUID: c.uuid(), Stream: pick(c, store.V3, store.V3, store.VirtNBDBackup, "v9"),
			HashKey: pick(c, "k", ""), Closed: pick(c, "", "", "why"), Owner: store.Owner{Configuration: pick(c, "", "", "site-b"), Address: pick(c, "", want().Address, "domain.old[", "[")},
			Points: several(c, 5, c.point)},
			Problems: several(c, 1, func() store.Problem { return problem(c.number(), c.number()) })}
	})
	return f
}

func (c chaos) inventory() Inventory {
	return Inventory{Taken: c.time(),
		Hosts: several(c, 3, func() Host {
			return Host{Name: pick(c, "hv1", "hv2", ""), UUID: pick(c, "host-1", ""), Domains: several(c, 3, c.domain), Error: pick(c, "", "", "down")}
		}),
		Stores: several(c, 2, func() Store {
			return Store{Address: pick(c, nas().Address(), nas().Address(), ""), ID: pick(c, storeID, ""), Free: c.bytes(), Domains: several(c, 3, c.folder), Error: pick(c, "", "", "gone")}
		})}
}

func (c chaos) count() *int {
	return pick(c, nil, nil, number(1), number(0), number(-1), number(math.MaxInt64))
}

func (c chaos) policy() config.Policy {
	p := policy()
	p.Every, p.RPO, p.MinChange = c.duration(), c.duration(), c.bytes()
	p.Schedule = pick(c, "", "", "30 2 * * *", "@daily", "* * 30 2 *", "TZ=", "x")
	p.Mode, p.Stream = pick(c, "incremental", "full", ""), pick(c, "v3", "v3", "virtnbdbackup", "raw", "x")
	p.Chain = config.Chain{FullEvery: c.duration(), MaxIncrements: c.number(), OnBroken: pick(c, "resync", "full", "fail", "")}
	p.Disks = config.Disks{Exclude: pick(c, nil, []string{"[", "vdb"}), Raw: pick(c, "resync", "full", "skip", "fail", "")}
	within := c.duration()
	p.Retention = config.Retention{KeepLast: c.count(), KeepDaily: c.count(), KeepWeekly: c.count(), KeepWithin: pick(c, nil, &within), Anchor: pick(c, "any", "full", ""),
		Prune: pick(c, "chain", "merge", ""), Departed: c.duration(), MinChains: c.number(), MaxPrune: c.number()}
	return p
}

// TestNonsense: whatever an inventory and a configuration say, nothing panics,
// every planned action can be saved and asked about, and an increment has a
// base that is committed, sound and the same disk.
func TestNonsense(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := chaos{t}
		cfg := configuration(several(c, 2, func() config.Domain {
			b := block(pick(c, "web", "old"), "*")
			b.Policy, b.Fallback = c.policy(), c.yes()
			return b
		})...)
		cfg.Removed = pick(c, nil, []config.Removed{{From: "domain.old"}, {From: ""}})
		o := Options{NoPrune: c.yes(), Full: pick(c, nil, []string{"*"}), AllowPrune: pick(c, nil, []string{"domain.web"}), Target: pick(c, nil, nil, []string{"[*", "*"})}
		have, now := c.inventory(), c.time()
		p := Make(cfg, have, o, now)
		UnknownAddresses(cfg, p, o)
		Results(cfg, p, have, now)
		Bind(p, Make(cfg, c.inventory(), Options{}, c.time()))
		for _, i := range p.Instances {
			for _, f := range have.store(nas().Address()).Domains {
				other := Decide(i.Want, Seen{Domain: c.domain(), Folder: &f}, now)
				for _, a := range i.Actions {
					Check(a, other)
				}
				HeldBy(&i.Want.Policy, "UTC", f.Chains, now)
			}
			soundBase(t, have, i)
		}
		text, err := Encode(p)
		if err != nil {
			return // a year that JSON has no room for
		}
		if _, err := Decode(text); err != nil && len(p.Instances) == len(addressesOf(p)) {
			t.Fatalf("what was saved cannot be read: %v", err)
		}
	})
}

// addressesOf are those of the instances, each once.
func addressesOf(p Plan) (all []string) {
	for _, i := range p.Instances {
		all = append(all, i.Want.Address)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// soundBase says what would make an increment a silently wrong one.
func soundBase(t *rapid.T, have Inventory, i Instance) {
	b := i.Backup()
	if b == nil || b.Chain == "" {
		return
	}
	for _, f := range have.store(nas().Address()).Domains {
		n := len(f.Chains) - 1
		if f.Folder != i.Folder || n < 0 || f.Chains[n].Name != b.Chain {
			continue
		}
		head, ok := f.Chains[n].Head()
		if ok && head.Sequence == b.Head && f.Chains[n].Sound(b.Head) && !slices.ContainsFunc(b.Disks, func(d DiskBackup) bool {
			old, had := head.Disk(d.Target)
			return !d.Whole() && (!had || old.Size != d.Size || old.Source != d.Source || b.Checkpoint == "" || b.Checkpoint != head.Checkpoint)
		}) {
			return
		}
	}
	t.Fatalf("%s: %s has no such base", i.Want.Address, b)
}
