package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"vbk/config"
	"vbk/store"
	"vbk/virt"
)

const (
	storeID = "0a1b2c3d"
	uuid1   = "11111111-0000-4000-8000-000000000001"
	uuid2   = "22222222-0000-4000-8000-000000000002"
	gib     = int64(1 << 30)
	day     = 24 * time.Hour
)

// noon is a Sunday.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func nas() config.Store { return config.Store{Kind: "local", Name: "nas", Path: "/srv/backup"} }

func hv1() config.Host {
	return config.Host{Name: "hv1", URI: "qemu:///system", MaxParallel: 2, ScratchDir: "/var/tmp"}
}

func policy() config.Policy {
	return config.Policy{
		Store: nas().Address(), Every: config.Duration(day), RPO: config.Duration(2 * day), Mode: "incremental", Offline: "backup", Stream: "v3",
		Chain:       config.Chain{FullEvery: config.Duration(7 * day), MaxIncrements: 30, OnBroken: "resync"},
		Retention:   config.Retention{Anchor: "any", Prune: "chain", MinChains: 1, MaxPrune: 50},
		Disks:       config.Disks{Raw: "resync"},
		Compression: config.Compression{Codec: "zstd", Level: 1},
	}
}

func block(name string, match ...string) config.Domain {
	return config.Domain{Name: name, Match: match, Hosts: []string{"hv1", "hv2"}, Policy: policy()}
}

func configuration(blocks ...config.Domain) *config.Config {
	hv2 := hv1()
	hv2.Name = "hv2"
	return &config.Config{TimeZone: time.UTC, Hosts: []config.Host{hv1(), hv2}, Stores: []config.Store{nas()}, Domains: blocks}
}

// want is web01 on hv1.
func want() Want {
	return Want{
		Address: `domain.web["hv1/web01"]`, Block: "domain.web", Host: hv1(), HostUUID: "host-1", Domain: "web01", UUID: uuid1,
		Store: nas(), StoreID: storeID, Policy: policy(), TimeZone: "UTC",
	}
}

func disk(target string) virt.Disk {
	return virt.Disk{Target: target, Device: "disk", Type: "file", Source: "/images/" + target + ".qcow2", Format: "qcow2", Size: gib}
}

func machine(targets ...string) virt.Domain {
	d := virt.Domain{Name: "web01", UUID: uuid1, State: virt.Running}
	for _, t := range targets {
		d.Disks = append(d.Disks, disk(t))
	}
	return d
}

func chainName(start time.Time, n int) string {
	return fmt.Sprintf("%s-%04x", start.UTC().Format("20060102T150405Z"), n)
}

func pointAt(chain string, sequence int, start time.Time, disks []virt.Disk) store.Point {
	attempt := fmt.Sprintf("%08x", sequence+1)
	p := store.Point{Sequence: sequence, Attempt: attempt, Kind: store.Increment, Parent: sequence - 1, Start: start, End: start,
		Checkpoint: store.CheckpointName(storeID, chain, attempt, sequence)}
	if sequence == 0 {
		p.Kind = store.Full
	}
	for _, d := range disks {
		p.Disks = append(p.Disks, store.PointDisk{Target: d.Target, File: store.DataFileName(d.Target, sequence == 0, sequence, attempt),
			Base: sequence == 0, Size: d.Size, Source: d.Source, Format: d.Format, FileSize: 1 << 20})
	}
	return p
}

// chain has a point of vda at each of the starts.
func chain(number int, starts ...time.Time) store.Chain {
	name := chainName(starts[0], number)
	c := store.Chain{Name: name, Manifest: store.Manifest{FormatVersion: 1, Number: len(starts), StoreID: storeID, Chain: name,
		ChainNumber: number, Domain: "web01", UUID: uuid1, HashKey: strings.Repeat("0", 64), Owner: store.Owner{Address: want().Address, HostUUID: "host-1"}}}
	for n, start := range starts {
		c.Manifest.Points = append(c.Manifest.Points, pointAt(name, n, start, []virt.Disk{disk("vda")}))
	}
	return c
}

func folder(chains ...store.Chain) *store.Domain {
	return &store.Domain{Folder: "web01-11111111", Name: "web01", UUID: uuid1, Chains: chains}
}

// daily are n starts a day apart; the newest is age before noon.
func daily(n int, age time.Duration) []time.Time {
	var starts []time.Time
	for i := range n {
		starts = append(starts, noon.Add(-age-time.Duration(n-1-i)*day))
	}
	return starts
}

// checkpointOf is the head's checkpoint with a sound bitmap on every disk of
// the head.
func checkpointOf(c store.Chain) virt.Checkpoint {
	head, _ := c.Head()
	cp := virt.Checkpoint{Name: head.Checkpoint, Created: head.Start}
	for _, d := range head.Disks {
		cp.Disks = append(cp.Disks, virt.CheckpointDisk{Target: d.Target, Bitmap: head.Checkpoint, Health: virt.Sound, Dirty: 1 << 20})
	}
	return cp
}

func problem(from, until int) store.Problem {
	return store.Problem{File: fmt.Sprintf("vda.%d.v3", from), Detail: "file is missing", From: from, Until: until}
}

func number(n int) *int { return &n }

// summary is what an instance's actions are, in a word each.
func summary(i Instance) (words []string) {
	for _, a := range i.Actions {
		word := string(a.Kind)
		switch {
		case a.Kind == KindBackup:
			word = string(a.Backup.Kind)
		case a.waits():
			word += "-after"
		}
		words = append(words, word)
	}
	return words
}

func reasonOf(i Instance, k Kind) string {
	for _, a := range i.Actions {
		if a.Kind == k {
			return a.Reason
		}
	}
	return ""
}

func pruned(i Instance) (chains []string) {
	for _, a := range i.Actions {
		if a.Kind == KindPrune {
			chains = append(chains, a.Prune.Chain)
		}
	}
	return chains
}

func mustEqual(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}
