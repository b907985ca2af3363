package plan

import (
	"fmt"
	"testing"
	"time"

	"vbk/config"
	"vbk/store"
	"vbk/virt"
)

// fleet is n machines with two disks and sixty points each, in six chains.
func fleet(n int) Inventory {
	have := inventory(nil, host("hv1"), host("hv2"))
	for k := range n {
		uuid := fmt.Sprintf("%08x-0000-4000-8000-%012x", k, k)
		d := machine("vda", "vdb")
		d.Name, d.UUID = fmt.Sprintf("web%05d", k), uuid
		f := store.Domain{Folder: store.FolderName(d.Name, uuid), Name: d.Name, UUID: uuid}
		for c := range 6 {
			ended := noon.Add(-25*time.Hour - time.Duration(5-c)*10*day)
			var starts []time.Time
			for p := range 10 {
				starts = append(starts, ended.Add(-time.Duration(9-p)*day))
			}
			one := chain(c+1, starts...)
			one.Manifest.UUID = uuid
			for p := range one.Manifest.Points {
				one.Manifest.Points[p] = pointAt(one.Name, p, starts[p], d.Disks)
			}
			f.Chains = append(f.Chains, one)
		}
		d.Checkpoints = []virt.Checkpoint{checkpointOf(f.Chains[5])}
		have.Hosts[k%2].Domains = append(have.Hosts[k%2].Domains, d)
		have.Stores[0].Domains = append(have.Stores[0].Domains, f)
	}
	return have
}

// BenchmarkMake plans 10 000 machines with 60 points each.
func BenchmarkMake(b *testing.B) {
	have := fleet(10000)
	for name, change := range map[string]func(*config.Config){
		"chain":    func(*config.Config) {},
		"merge":    func(c *config.Config) { c.Domains[0].Policy.Retention.Prune = "merge" },
		"schedule": func(c *config.Config) { c.Domains[0].Policy.Schedule = "30 2 * * *" },
	} {
		b.Run(name, func(b *testing.B) {
			cfg := configuration(block("web", "web*"))
			cfg.TimeZone = mustLoad("Europe/Berlin")
			r := &cfg.Domains[0].Policy.Retention
			r.KeepDaily, r.KeepWeekly, r.KeepMonthly, r.MaxPrune = number(7), number(4), number(6), 100
			cfg.Domains[0].Policy.Chain.FullEvery = config.Duration(20 * day)
			change(cfg)
			b.ReportAllocs()
			for b.Loop() {
				if p := Make(cfg, have, Options{}, noon); len(p.Instances) != 10000 || p.Failed() {
					b.Fatalf("%d instances", len(p.Instances))
				}
			}
		})
	}
}
