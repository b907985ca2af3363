package config

import (
	"testing"
	"time"
)

func TestEvalChecks(t *testing.T) {
	source := `
		variable "limit" { default = "2d" }
		variable "token" {
			default   = "hunter2"
			sensitive = true
		}
		check "age" {
			assert {
				condition     = alltrue([for i in vbk.instances : i.age != null && i.age <= duration(var.limit)])
				error_message = "Too old: ${join(", ", [for i in vbk.instances : i.name if i.age == null || try(i.age > duration(var.limit), true)])}."
			}
		}
		check "constant" {
			assert {
				condition     = true
				error_message = "Never."
			}
		}
		check "coverage" {
			assert {
				condition     = length(vbk.unclaimed) == 0
				error_message = "Not backed up: ${join(", ", vbk.unclaimed)}."
			}
			assert {
				condition     = alltrue([for i in vbk.instances : i.error == ""])
				error_message = "Some fail."
			}
		}
		check "mistake" {
			assert {
				condition     = alltrue([for i in vbk.instances : i.nothing])
				error_message = "Never."
			}
		}
		check "secret" {
			assert {
				condition     = length(vbk.unclaimed) == 0
				error_message = "With ${var.token}."
			}
		}
		check "space" {
			assert {
				condition     = alltrue([for s in vbk.stores : s.free > s.size / 10 && s.free > bytes("1GiB")])
				error_message = "Nearly full."
			}
		}
	`
	c, files, diags := Parse("/", map[string][]byte{"main.vbk.hcl": []byte(source)}, Inputs{})
	if diags.HasErrors() {
		t.Fatal(printed(t, files, diags))
	}
	hours := func(n time.Duration) *Duration { d := Duration(n * time.Hour); return &d }
	one := InstanceResult{Address: `domain.web["hv/web"]`, Host: "hv", Name: "web", Age: hours(24), RPO: *hours(48)}
	none := one
	none.Age, none.Name, none.Error = nil, "db", "no disk"
	store := StoreResult{"store.local.nas", 10 << 30, 50 << 30}
	full := StoreResult{"store.local.full", 1 << 20, 50 << 30}
	for _, test := range []struct {
		what     string
		r        Results
		statuses string // of age, constant, coverage, mistake, secret, space
	}{
		{"nothing found", Results{Complete: true}, "pass pass pass pass pass pass"},
		{"all well", Results{Complete: true, Instances: []InstanceResult{one}, Stores: []StoreResult{store}}, "pass pass pass error pass pass"},
		{"not complete", Results{Instances: []InstanceResult{one}, Stores: []StoreResult{full}}, "unknown pass unknown unknown unknown unknown"},
		{"no point", Results{Complete: true, Instances: []InstanceResult{one, none}}, "fail pass fail error pass pass"},
		{"unclaimed", Results{Complete: true, Unclaimed: []string{"hv/x"}, Stores: []StoreResult{store, full}}, "pass pass fail pass fail fail"},
	} {
		got, messages := "", map[string]string{}
		for i, r := range c.EvalChecks(test.r) {
			if i > 0 {
				got += " "
			}
			got += r.Status
			messages[r.Name] = r.Message
			if (r.Message == "") != (r.Status == "pass") || r.Range.Filename == "" {
				t.Errorf("%s: %+v", test.what, r)
			}
		}
		if got != test.statuses {
			t.Errorf("%s: %s, want %s; %v", test.what, got, test.statuses, messages)
		}
		if test.what == "unclaimed" && (messages["coverage"] != "Not backed up: hv/x." || messages["secret"] != "The message is not shown, because it uses a sensitive value.") {
			t.Error(messages)
		}
	}
}
