package config

import (
	"fmt"
	"testing"
)

func TestEffective(t *testing.T) {
	source := `
store "local" "nas" { path = "/srv" }
policy "base" {
  store = store.local.nas
  every = "6h"
  retention {
    keep_daily  = 7
    keep_weekly = 4
  }
  chain { max_increments = 5 }
}
policy "gold" {
  extends = policy.base
  chain { full_every = "never" }
  hook "pre" { command = ["/bin/a", "$${b}"] }
}
domain "web" {
  match     = ["web*"]
  policy    = policy.gold
  schedule  = "0 1 * * *"
  retention { keep_last = 3 }
  chain { max_increments = null }
  min_change = "1536KiB"
}
`
	c, files, diags := Parse("/", map[string][]byte{"a.vbk.hcl": []byte(source)}, Inputs{})
	if diags.HasErrors() {
		t.Fatal(printed(t, files, diags))
	}
	got := map[string]string{}
	for _, s := range c.Effective()[0].Settings {
		got[s.Path] = fmt.Sprintf("%s %s:%d", s.Value, s.Origin.Block, s.Origin.Range.Start.Line)
	}
	for path, want := range map[string]string{
		"match": `["web*"] domain.web:18`, "hosts": `["local"] :0`, "tags": "null :0", "store": "store.local.nas policy.base:4",
		"schedule": `"0 1 * * *" domain.web:20`, "rpo": `"2d" :0`, "retention.keep_last": "3 domain.web:21", "retention.keep_daily": "null :0",
		"chain.full_every": `"never" policy.gold:14`, "chain.max_increments": "30 :0", "min_change": `"1536KiB" domain.web:23`,
		"hook.pre": `["/bin/a", "$${b}"] policy.gold:15`, "retention.max_prune": `"50%" :0`, "extra.tpm": "true :0",
	} {
		if got[path] != want {
			t.Errorf("%s is %s, want %s", path, got[path], want)
		}
	}
	if _, there := got["every"]; there || len(got) < len(policySettings) {
		t.Errorf("%d settings: %v", len(got), got)
	}
}
