package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// policySettings is the table of the language: each policy attribute, its
// default, and another value.
var policySettings = []struct{ path, standard, other string }{
	{"store", "null", "store.local.b"},
	{"every", `"24h"`, `"6h"`},
	{"schedule", "null", `"30 1 * * *"`},
	{"rpo", "null", `"36h"`},
	{"mode", `"incremental"`, `"full"`},
	{"offline", `"backup"`, `"skip"`},
	{"min_change", `"0B"`, `"1MiB"`},
	{"stream", `"v3"`, `"virtnbdbackup"`},
	{"audit", "64", "0"},
	{"chain.full_every", `"7d"`, `"never"`},
	{"chain.max_increments", "30", "29"},
	{"chain.on_broken", `"resync"`, `"full"`},
	{"retention.keep_last", "null", "1"},
	{"retention.keep_hourly", "null", "1"},
	{"retention.keep_daily", "null", "1"},
	{"retention.keep_weekly", "null", "1"},
	{"retention.keep_monthly", "null", "1"},
	{"retention.keep_yearly", "null", "1"},
	{"retention.keep_within", "null", `"14d"`},
	{"retention.anchor", `"any"`, `"full"`},
	{"retention.prune", `"chain"`, `"merge"`},
	{"retention.min_chains", "1", "2"},
	{"retention.max_prune", `"50%"`, `"0%"`},
	{"retention.departed", `"keep"`, `"90d"`},
	{"quiesce.mode", `"try"`, `"off"`},
	{"quiesce.timeout", `"10s"`, `"1m"`},
	{"quiesce.filesystems", "null", `["/srv"]`},
	{"disks.include", "null", `["vda"]`},
	{"disks.exclude", "null", `["vda"]`},
	{"disks.raw", `"resync"`, `"skip"`},
	{"disks.encrypted", `"fail"`, `"plaintext"`},
	{"compression.codec", `"zstd"`, `"none"`},
	{"compression.level", "1", "2"},
	{"extra.nvram", "true", "false"},
	{"extra.tpm", "true", "false"},
	{"extra.kernel", "true", "false"},
	{"verify.every", `"never"`, `"7d"`},
}

// effective is the policy of a domain block with these settings in its policy
// block and in itself.
func effective(t *testing.T, inPolicy, inDomain string) Policy {
	t.Helper()
	source := fmt.Sprintf(`
		store "local" "a" { path = "/a" }
		store "local" "b" { path = "/b" }
		policy "p" {
			%s
		}
		domain "d" {
			match  = ["d"]
			policy = policy.p
			%s
		}
	`, inPolicy, inDomain)
	c, files, diags := Parse("/", map[string][]byte{"main.vbk.hcl": []byte(source)}, Inputs{})
	if diags.HasErrors() {
		t.Fatal(printed(t, files, diags))
	}
	return c.Domains[0].Policy
}

// setting is the source that sets one attribute.
func setting(path, value string) string {
	if block, name, nested := strings.Cut(path, "."); nested {
		return fmt.Sprintf("%s {\n%s = %s\n}\n", block, name, value)
	}
	return fmt.Sprintf("%s = %s\n", path, value)
}

func TestPolicySettings(t *testing.T) {
	const stored = "store = store.local.a\n"
	standard := effective(t, stored, "")
	for _, s := range policySettings {
		if s.path == "store" { // has no default: an error when it is null
			want := standard
			want.Store = "store.local.b"
			inPolicy, inDomain := effective(t, setting(s.path, s.other), ""), effective(t, stored, setting(s.path, s.other))
			if !cmp.Equal(inPolicy, want) || !cmp.Equal(inDomain, want) {
				t.Errorf("store: %+v, %+v", inPolicy, inDomain)
			}
			continue
		}
		other := effective(t, stored, setting(s.path, s.other))
		if cmp.Equal(other, standard) {
			t.Errorf("%s = %s changes nothing", s.path, s.other)
		}
		for what, c := range map[string]struct {
			inPolicy, inDomain string
			want               Policy
		}{
			"the default, in the domain": {"", setting(s.path, s.standard), standard},
			"the default, in the policy": {setting(s.path, s.standard), "", standard},
			"another, in the policy":     {setting(s.path, s.other), "", other},
			"the domain overrides":       {setting(s.path, s.standard), setting(s.path, s.other), other},
			"and back":                   {setting(s.path, s.other), setting(s.path, s.standard), standard},
			"null in the domain resets":  {setting(s.path, s.other), setting(s.path, "null"), standard},
		} {
			got := effective(t, stored+c.inPolicy, c.inDomain)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s: %s:\n%s", s.path, what, diff)
			}
		}
	}
}

// TestPolicySettingsComplete checks that the table above has every attribute,
// and that its defaults are shown as they are written there.
func TestPolicySettingsComplete(t *testing.T) {
	var want, have []string
	defaults := Domain{Policy: defaultPolicy()}
	collect := func(prefix string, fields []field[Domain]) {
		for _, f := range fields {
			if f.set != nil {
				want = append(want, prefix+f.Name+" = "+f.show(&defaults))
			}
		}
	}
	s := policySpec()
	collect("", s.fields)
	for _, b := range s.blocks {
		collect(b.Name+".", b.fields)
	}
	for _, s := range policySettings {
		have = append(have, s.path+" = "+s.standard)
	}
	slices.Sort(want)
	slices.Sort(have)
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
}

func TestClaims(t *testing.T) {
	const u1, u2 = "4c1f9d2a-7d1e-4d0a-9b55-0a1b2c3d4e5f", "00000000-0000-4000-8000-000000000000"
	hosts := []string{"h1", "h2"}
	for _, c := range []struct {
		what             string
		d                Domain
		host, name, uuid string
		selects, claims  bool
	}{
		{"a match", Domain{Hosts: hosts, Match: []string{"web*"}}, "h1", "web01", u1, true, true},
		{"any of the patterns", Domain{Hosts: hosts, Match: []string{"db", "web?"}}, "h2", "web1", u1, true, true},
		{"the whole name", Domain{Hosts: hosts, Match: []string{"web"}}, "h1", "web01", u1, false, false},
		{"from its start", Domain{Hosts: hosts, Match: []string{"web*"}}, "h1", "my-web", u1, false, false},
		{"case counts", Domain{Hosts: hosts, Match: []string{"web*"}}, "h1", "Web", u1, false, false},
		{"star takes all", Domain{Hosts: hosts, Match: []string{"*"}}, "h1", "a/b .c", u1, true, true},
		{"star takes nothing", Domain{Hosts: hosts, Match: []string{"web*"}}, "h1", "web", u1, true, true},
		{"a slash is a character", Domain{Hosts: hosts, Match: []string{"a/?"}}, "h1", "a/b", u1, true, true},
		{"class", Domain{Hosts: hosts, Match: []string{"db[0-9]"}}, "h1", "db7", u1, true, true},
		{"outside the class", Domain{Hosts: hosts, Match: []string{"db[^0-9]"}}, "h1", "db7", u1, false, false},
		{"literal star", Domain{Hosts: hosts, Match: []string{`a\*`}}, "h1", "ab", u1, false, false},
		{"another host", Domain{Hosts: hosts, Match: []string{"*"}}, "h3", "web", u1, false, false},
		{"exclude wins", Domain{Hosts: hosts, Match: []string{"*"}, Exclude: []string{"*-tmp"}}, "h1", "web-tmp", u1, false, false},
		{"not excluded", Domain{Hosts: hosts, Match: []string{"*"}, Exclude: []string{"*-tmp"}}, "h1", "web", u1, true, true},
		{"exclude alone selects nothing", Domain{Hosts: hosts, Exclude: []string{"a"}}, "h1", "b", u1, false, false},
		{"a UUID", Domain{Hosts: hosts, UUIDs: []string{u2, u1}}, "h1", "web", u1, true, true},
		{"another UUID", Domain{Hosts: hosts, UUIDs: []string{u2}}, "h1", "web", u1, false, false},
		{"match and UUID", Domain{Hosts: hosts, Match: []string{"web"}, UUIDs: []string{u1}}, "h1", "web", u1, true, true},
		{"match but not UUID", Domain{Hosts: hosts, Match: []string{"web"}, UUIDs: []string{u2}}, "h1", "web", u1, false, false},
		{"UUID but not match", Domain{Hosts: hosts, Match: []string{"db"}, UUIDs: []string{u1}}, "h1", "web", u1, false, false},
		{"excluded UUID", Domain{Hosts: hosts, UUIDs: []string{u1}, Exclude: []string{"web"}}, "h1", "web", u1, false, false},
		{"fallback", Domain{Hosts: hosts, Fallback: true}, "h1", "web", u1, true, false},
		{"fallback with match", Domain{Hosts: hosts, Fallback: true, Match: []string{"web"}}, "h1", "web", u1, true, false},
		{"fallback without match", Domain{Hosts: hosts, Fallback: true, Match: []string{"db"}}, "h1", "web", u1, false, false},
		{"fallback and exclude", Domain{Hosts: hosts, Fallback: true, Exclude: []string{"web"}}, "h1", "web", u1, false, false},
		{"fallback elsewhere", Domain{Hosts: hosts, Fallback: true}, "h3", "web", u1, false, false},
		{"nothing", Domain{Hosts: hosts}, "h1", "web", u1, false, false},
	} {
		if got := c.d.Selects(c.host, c.name, c.uuid, nil); got != c.selects {
			t.Errorf("%s: Selects is %v", c.what, got)
		}
		if got := c.d.Claims(c.host, c.name, c.uuid, nil); got != c.claims {
			t.Errorf("%s: Claims is %v", c.what, got)
		}
	}
}

func TestSelectsTags(t *testing.T) {
	tagged := func(pairs ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	hosts := []string{"h"}
	for _, c := range []struct {
		what    string
		d       Domain
		tags    map[string]string
		selects bool
	}{
		{"the tag", Domain{Hosts: hosts, Tags: tagged("tier", "gold")}, tagged("tier", "gold"), true},
		{"another value", Domain{Hosts: hosts, Tags: tagged("tier", "gold")}, tagged("tier", "golden"), false},
		{"a pattern", Domain{Hosts: hosts, Tags: tagged("tier", "gold*")}, tagged("tier", "golden"), true},
		{"any value, but there", Domain{Hosts: hosts, Tags: tagged("tier", "*")}, tagged("tier", ""), true},
		{"no tags", Domain{Hosts: hosts, Tags: tagged("tier", "*")}, nil, false},
		{"all have to match", Domain{Hosts: hosts, Tags: tagged("tier", "gold", "env", "prod")}, tagged("tier", "gold"), false},
		{"all match", Domain{Hosts: hosts, Tags: tagged("tier", "gold", "env", "prod")}, tagged("env", "prod", "tier", "gold", "x", "y"), true},
		{"with a match that holds", Domain{Hosts: hosts, Match: []string{"w*"}, Tags: tagged("tier", "*")}, tagged("tier", "x"), true},
		{"with one that does not", Domain{Hosts: hosts, Match: []string{"x*"}, Tags: tagged("tier", "*")}, tagged("tier", "x"), false},
		{"one excludes", Domain{Hosts: hosts, Match: []string{"*"}, ExcludeTags: tagged("backup", "off", "tier", "none")}, tagged("backup", "off"), false},
		{"none excludes", Domain{Hosts: hosts, Match: []string{"*"}, ExcludeTags: tagged("backup", "off")}, tagged("backup", "on"), true},
		{"exclusion wins", Domain{Hosts: hosts, Tags: tagged("tier", "*"), ExcludeTags: tagged("tier", "none")}, tagged("tier", "none"), false},
		{"exclusion alone selects nothing", Domain{Hosts: hosts, ExcludeTags: tagged("a", "b")}, nil, false},
		{"fallback without the tag", Domain{Hosts: hosts, Fallback: true, ExcludeTags: tagged("backup", "off")}, tagged("backup", "off"), false},
	} {
		if got := c.d.Selects("h", "web", "u", c.tags); got != c.selects {
			t.Errorf("%s: Selects is %v", c.what, got)
		}
	}
}

func TestDisksSelects(t *testing.T) {
	for _, c := range []struct {
		d    Disks
		want string
	}{
		{Disks{}, "vda vdb sda"},
		{Disks{Include: []string{"vda"}}, "vda"},
		{Disks{Include: []string{"vd*"}}, "vda vdb"},
		{Disks{Exclude: []string{"vd*"}}, "sda"},
		{Disks{Include: []string{"vd*"}, Exclude: []string{"vdb"}}, "vda"},
	} {
		var got []string
		for _, target := range []string{"vda", "vdb", "sda"} {
			if c.d.Selects(target) {
				got = append(got, target)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v selects %v, want %s", c.d, got, c.want)
		}
	}
}
