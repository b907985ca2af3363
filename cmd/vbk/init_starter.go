package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"vbk/config"
	"vbk/plan"
)

// starter is a first configuration.
type starter struct {
	uri, store string
	leftOut    [][2]string // names, and why they cannot be backed up
}

// writeStarter writes a first configuration for a host.
func (env *environment) writeStarter(ctx context.Context, uri, storePath string) error {
	s := starter{uri: uri, store: storePath}
	host, err := env.lookAt(ctx, uri)
	if err != nil {
		err = mendConnection(err)
		env.complain(hint(fmt.Errorf("%s does not answer, so nobody knows whether all its machines can be backed up: %w", uri, err), "%s", hintOf(err)))
	} else if s.leftOut, err = env.refused(s, host); err != nil {
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
	fmt.Fprintf(env.stdout, "Wrote %s: it claims %s of %s", name, count(len(host.Domains)-len(s.leftOut), "machine"), uri)
	if len(s.leftOut) > 0 {
		fmt.Fprintf(env.stdout, ", and leaves out %d, with a reason", len(s.leftOut))
	}
	fmt.Fprintln(env.stdout, ".")
	return nil
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

// refused are the machines that the planner would refuse with this starter, on a
// store that is empty. What passes is no reason: a job, or a survey that failed.
func (env *environment) refused(s starter, host plan.Host) ([][2]string, error) {
	dir, err := os.MkdirTemp("", "vbk-init-")
	if err != nil {
		return nil, fmt.Errorf("write starter configuration: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "backup.vbk.hcl"), s.text(), 0o600); err != nil {
		return nil, fmt.Errorf("write starter configuration: %w", err)
	}
	cfg, _, diags := config.Load(dir, config.Inputs{})
	if diags.HasErrors() {
		return nil, fmt.Errorf("write starter configuration: %w", diags)
	}
	have := plan.Inventory{Taken: env.now(), Hosts: []plan.Host{{Name: host.Name, UUID: host.UUID}},
		Stores: []plan.Store{{Address: cfg.Stores[0].Address(), ID: "00000000", Free: 1 << 60, Size: 1 << 60}}}
	for _, d := range host.Domains {
		if d.Job = nil; d.Error == "" {
			have.Hosts[0].Domains = append(have.Hosts[0].Domains, d)
		}
	}
	var all [][2]string
	for _, i := range plan.Make(cfg, have, plan.Options{}, env.now()).Instances {
		if i.Error != "" {
			all = append(all, [2]string{i.Want.Domain, i.Error})
		}
	}
	return all, nil
}

func (s starter) text() []byte {
	var b strings.Builder
	b.WriteString("# What to back up, and how long to keep it. vbk plan shows what follows from it.\n\n")
	if s.uri != defaultURI {
		fmt.Fprintf(&b, "host \"local\" {\n  uri = %s\n}\n\n", quoted(s.uri))
	}
	fmt.Fprintf(&b, "store \"local\" \"backup\" {\n  path = %s\n}\n\n", quoted(s.store))
	b.WriteString("# All machines, and those to come.\ndomain \"machines\" {\n  match = [\"*\"]\n")
	if len(s.leftOut) > 0 {
		b.WriteString("  exclude = [\n")
		for _, l := range s.leftOut {
			fmt.Fprintf(&b, "    %s, # %s\n", quoted(literally(l[0])), plain(l[1]))
		}
		b.WriteString("  ]\n")
	}
	b.WriteString("  store = store.local.backup\n  retention { keep_daily = 7 }\n}\n")
	return hclwrite.Format([]byte(b.String()))
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
