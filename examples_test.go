package vbk_test

import (
	"path/filepath"
	"testing"
	"time"

	"vbk/config"
	"vbk/plan"
	"vbk/virt"
)

// TestExamplesPlan loads every example and plans it over machines that it was
// written for: each must get its first full.
func TestExamplesPlan(t *testing.T) {
	machines := map[string][]string{
		"single": {"web01"},
		"fleet":  {"db-1", "db-2", "mail"},
	}
	dirs, err := filepath.Glob("examples/*/*.vbk.hcl")
	if err != nil || len(dirs) != len(machines) {
		t.Fatalf("examples %v, machines for %d: %v", dirs, len(machines), err)
	}
	for name, domains := range machines {
		cfg, _, diags := config.Load(filepath.Join("examples", name))
		if diags.HasErrors() {
			t.Fatalf("%s: %v", name, diags)
		}
		have := plan.Inventory{Hosts: []plan.Host{{Name: cfg.Hosts[0].Name}}, Stores: []plan.Store{{Address: cfg.Stores[0].Address(), ID: "1f0c9a3e", Free: 1 << 50}}}
		for _, d := range domains {
			have.Hosts[0].Domains = append(have.Hosts[0].Domains, virt.Domain{Name: d, UUID: "uuid-of-" + d, State: virt.Running,
				Disks: []virt.Disk{{Target: "vda", Device: "disk", Source: "/images/" + d, Format: "qcow2", Size: 1 << 30}}})
		}
		p := plan.Make(cfg, have, plan.Options{}, time.Date(2026, 11, 22, 1, 30, 0, 0, time.UTC))
		if p.Failed() || len(p.Instances) != len(domains) {
			t.Errorf("%s: %d instances for %v, failures %v", name, len(p.Instances), domains, p.Failures)
		}
		for _, i := range p.Instances {
			if b := i.Backup(); b == nil || b.Chain != "" {
				t.Errorf("%s: %s gets no first full: %+v", name, i.Want.Address, i)
			}
		}
	}
}
