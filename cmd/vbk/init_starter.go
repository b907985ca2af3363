package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"vbk/config"
	"vbk/plan"
	"vbk/virt"
)

// starter is a first configuration.
type starter struct {
	uri, store string
	special    map[string]*treatment // by name of the machine
}

// treatment is what a machine needs that the others do not.
type treatment struct {
	leftOut string   // why it cannot be backed up at all; "" if it can
	without []string // disks that cannot
	full    bool     // its image takes no bitmap
	reasons []string // for each of the disks, or for full
}

// writeStarter writes a first configuration for a host. Asked to look at the host
// (asked), it writes none that knows nothing of it.
func (env *environment) writeStarter(ctx context.Context, uri, storePath string, asked bool) error {
	s := starter{uri: uri, store: storePath, special: map[string]*treatment{}}
	host, err := env.lookAt(ctx, uri)
	if err != nil {
		err = mendConnection(err)
		if asked {
			return hint(fmt.Errorf("no configuration is written for a host that does not answer: %w", err), "%s", hintOf(err))
		}
		env.complain(hint(fmt.Errorf("%s does not answer, so nobody knows whether all its machines can be backed up: %w", uri, err), "%s", hintOf(err)))
	} else if err = env.treat(&s, host); err != nil {
		return err
	}
	name := filepath.Join(env.dir, "backup.vbk.hcl")
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write starter configuration: %w", err)
	}
	_, err = f.Write(s.text())
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write starter configuration: %w", err)
	}
	env.tellStarter(s, name, host)
	return nil
}

func (env *environment) tellStarter(s starter, name string, host plan.Host) {
	out, partly := 0, 0
	for _, t := range s.special {
		switch {
		case t.leftOut != "":
			out++
		case len(t.without) > 0:
			partly++
		}
	}
	claims := "all machines"
	if host.UUID != "" {
		claims = count(len(host.Domains)-out, "machine")
	}
	fmt.Fprintf(env.stdout, "Wrote %s: it claims %s of %s", name, claims, s.uri)
	if partly > 0 {
		fmt.Fprintf(env.stdout, ", %d of them without a disk", partly)
	}
	if out > 0 {
		fmt.Fprintf(env.stdout, ", and leaves out %d", out)
	}
	if out+partly > 0 {
		fmt.Fprint(env.stdout, ", with a reason")
	}
	fmt.Fprintln(env.stdout, ".")
}

// lookAt surveys a host, which a starter calls local.
func (env *environment) lookAt(ctx context.Context, uri string) (plan.Host, error) {
	opened, err := env.openHost(ctx, uri, true)
	if err != nil {
		return plan.Host{}, err
	}
	defer opened.Close()
	h := plan.Host{Name: "local"}
	if h.UUID, err = opened.UUID(ctx); err != nil {
		return plan.Host{}, err
	}
	h.Domains, err = opened.Domains(ctx)
	return h, err
}

// treat finds what machines need for which the planner would refuse this starter, or warn
// of it, on a store that is empty. What passes is no reason: a job, or a survey
// that failed.
func (env *environment) treat(s *starter, host plan.Host) error {
	dir, err := os.MkdirTemp("", "vbk-init-")
	if err != nil {
		return fmt.Errorf("write starter configuration: %w", err)
	}
	defer os.RemoveAll(dir)
	for _, d := range host.Domains {
		if reason := baseOfOther(d, host.Domains); reason != "" {
			s.special[d.Name] = &treatment{full: true, reasons: []string{reason}}
		}
	}
	for again := true; again; {
		if err := os.WriteFile(filepath.Join(dir, "backup.vbk.hcl"), s.text(), 0o600); err != nil {
			return fmt.Errorf("write starter configuration: %w", err)
		}
		cfg, _, diags := config.Load(dir, config.Inputs{})
		if diags.HasErrors() {
			return fmt.Errorf("write starter configuration: %w", diags)
		}
		again = false
		p := plan.Make(cfg, emptyStore(cfg, host, env.now()), plan.Options{}, env.now())
		for _, i := range p.Instances {
			again = s.mend(i, p.Warnings) || again
		}
	}
	return nil
}

// emptyStore is the inventory of a host and a store without a point.
func emptyStore(cfg *config.Config, host plan.Host, now time.Time) plan.Inventory {
	have := plan.Inventory{Taken: now, Hosts: []plan.Host{{Name: host.Name, UUID: host.UUID}},
		Stores: []plan.Store{{Address: cfg.Stores[0].Address(), ID: "00000000", Free: 1 << 60, Size: 1 << 60}}}
	for _, d := range host.Domains {
		if d.Job = nil; d.Error == "" {
			have.Hosts[0].Domains = append(have.Hosts[0].Domains, d)
		}
	}
	return have
}

// diskNamed finds the disk in what the planner refuses or warns of.
var diskNamed = regexp.MustCompile(`^disk (\S+) (?:\(|is not backed up: )`)

// mend changes the treatment of an instance that the planner refuses or warns of, and
// says whether it did.
func (s *starter) mend(i plan.Instance, warnings []string) bool {
	t := s.special[i.Want.Domain]
	if t == nil {
		t = &treatment{}
	}
	about := []string{i.Error}
	for _, w := range warnings {
		if text, ok := strings.CutPrefix(w, i.Want.Address+": "); ok {
			about = append(about, text)
		}
	}
	changed := false
	for _, text := range about {
		if m := diskNamed.FindStringSubmatch(text); m != nil && !slices.Contains(t.without, m[1]) {
			reason, _, _ := strings.Cut(text, "; if that is meant")
			t.without, t.reasons, changed = append(t.without, m[1]), append(t.reasons, reason), true
		}
	}
	if i.Error != "" && !changed {
		t.leftOut, changed = i.Error, true
		if len(t.reasons) > 0 { // of the disks there is none left
			t.leftOut = t.reasons[0]
		}
	}
	if changed {
		s.special[i.Want.Domain] = t
	}
	return changed
}

// baseOfOther says whose image lies on one of a machine's: as long as that is open,
// nobody can write a bitmap into it.
func baseOfOther(d virt.Domain, all []virt.Domain) string {
	for _, disk := range d.Disks {
		for _, other := range all {
			for _, above := range other.Disks {
				if other.UUID != d.UUID && disk.Source != "" && slices.Contains(strings.Split(above.Identity, ", "), "on "+disk.Source) {
					return fmt.Sprintf("disk %s of %s lies on its disk %s", above.Target, other.Name, disk.Target)
				}
			}
		}
	}
	return ""
}

// group are machines that need the same.
type group struct {
	name, body string
	machines   []string
}

func (s starter) groups() []group {
	var all []group
	for _, name := range slices.Sorted(maps.Keys(s.special)) {
		t := s.special[name]
		g := group{name: "templates", body: "  mode = \"full\"\n  every = \"7d\"\n  retention { keep_last = 2 }\n"}
		switch {
		case t.leftOut != "":
			continue
		case len(t.without) > 0:
			disks := slices.Sorted(slices.Values(t.without))
			g.name = "without_" + strings.Join(disks, "_")
			list := strings.Join(disks, "\", \"")
			g.body = fmt.Sprintf("  disks { exclude = [\"%s\"] }\n", list)
			if t.full {
				g.name, g.body = "templates_"+g.name, "  mode = \"full\"\n  every = \"7d\"\n"+g.body
			}
		}
		at := slices.IndexFunc(all, func(x group) bool { return x.name == g.name })
		if at < 0 {
			all, at = append(all, g), len(all)
		}
		all[at].machines = append(all[at].machines, name)
	}
	return all
}

func (s starter) text() []byte {
	var b strings.Builder
	b.WriteString("# What to back up, and how long to keep it. vbk plan shows what follows from it.\n\n")
	if s.uri != defaultURI {
		fmt.Fprintf(&b, "host \"local\" {\n  uri = %s\n}\n\n", quoted(s.uri))
	}
	fmt.Fprintf(&b, "store \"local\" \"backup\" {\n  path = %s\n}\n\n", quoted(s.store))
	groups := s.groups()
	rest, selector := "  store = store.local.backup\n  retention { keep_daily = 7 }\n", "  match = [\"*\"]\n"
	if len(groups) > 0 {
		fmt.Fprintf(&b, "policy \"nightly\" {\n%s}\n\n", rest)
		rest, selector = "  policy = policy.nightly\n", "  fallback = true # what no other block claims\n"
	}
	fmt.Fprintf(&b, "# All machines, and those to come.\ndomain \"machines\" {\n%s", selector)
	var out []string
	for name, t := range s.special {
		if t.leftOut != "" {
			out = append(out, name)
		}
	}
	s.list(&b, "exclude", out)
	b.WriteString(rest + "}\n")
	for _, g := range groups {
		fmt.Fprintf(&b, "\ndomain \"%s\" {\n", g.name)
		s.list(&b, "match", g.machines)
		b.WriteString(rest + g.body + "}\n")
	}
	return hclwrite.Format([]byte(b.String()))
}

// list writes a list of machines, each with the reason why it is there.
func (s starter) list(b *strings.Builder, name string, machines []string) {
	if len(machines) == 0 {
		return
	}
	fmt.Fprintf(b, "  %s = [\n", name)
	for _, m := range slices.Sorted(slices.Values(machines)) {
		why := s.special[m].leftOut
		if why == "" {
			why = strings.Join(s.special[m].reasons, "; ")
		}
		fmt.Fprintf(b, "    %s, # %s\n", quoted(literally(m)), plain(why))
	}
	b.WriteString("  ]\n")
}

// quoted is a string of the language, whatever it holds.
func quoted(s string) string { return string(hclwrite.TokensForValue(cty.StringVal(s)).Bytes()) }

// literally is the pattern that matches a name and nothing else.
func literally(name string) string {
	pattern := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
	if ok, err := path.Match(pattern, name); err != nil || !ok && !strings.Contains(name, "/") {
		return name
	}
	return pattern
}
