package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"vbk/config"
	"vbk/plan"
)

// What plan -base looks ahead: so far, for so many instances of each change.
const (
	lookAhead   = 90 * 24 * time.Hour
	aheadSample = 20
)

// compare plans twice, with the configuration of -base and with this one, and
// prints what differs.
func (w *world) compare(c *cli.Context, next *config.Config, v vantage) error {
	env := w.env
	for _, name := range []string{"out", "json-into"} {
		if c.IsSet(name) {
			return fmt.Errorf("flag -%s has no meaning with -base", name)
		}
	}
	dir := env.path(c.String("base"))
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("flag -base: %s is no directory", c.String("base"))
	}
	base, err := env.loadBase(dir)
	if err != nil {
		return err
	}
	rebase(base, next.Dir)
	haveBase, haveNext, err := w.surveyBoth(c.Context, base, next, v)
	if err != nil {
		return err
	}
	o := planOptions(c)
	before := plan.Side{Plan: plan.Make(base, haveBase, o, v.now), Have: haveBase}
	after := plan.Side{Plan: plan.Make(next, haveNext, o, v.now), Have: haveNext}
	known := plan.UnknownAddresses(base, before.Plan, o)
	for _, address := range plan.UnknownAddresses(next, after.Plan, o) {
		if slices.Contains(known, address) {
			return unknownAddress(address, plan.KnownAddresses(next, after.Plan))
		}
	}
	difference := plan.Compare(before, after, plan.CompareOptions{Ahead: lookAhead, Sample: aheadSample})
	nameOrigins(difference, next)
	if c.Bool("json") {
		err = writeJSON(env.stdout, comparisonDocument{"1.0", version, difference})
	} else {
		env.showComparison(c.String("base"), difference)
	}
	if err != nil {
		return err
	}
	return exit(comparisonCode(difference, c.Bool("detailed-exitcode")))
}

// loadBase reads the configuration that is compared with. What is wrong with it
// and no error was there before the edit, so nobody is told.
func (env *environment) loadBase(dir string) (*config.Config, error) {
	base, files, diags := config.Load(dir, env.inputs())
	if !diags.HasErrors() {
		return base, nil
	}
	if err := config.WriteDiagnostics(env.stderr, files, diags, env.diagnosticWidth(), env.errColor); err != nil {
		return nil, fmt.Errorf("print diagnostics: %w", err)
	}
	return nil, exit(exitUsage)
}

// rebase makes what lies below the directory of a configuration lie below
// another: a second checkout of a repository means the same stores.
func rebase(c *config.Config, dir string) {
	for n := range c.Stores {
		below, err := filepath.Rel(c.Dir, c.Stores[n].Path)
		if err == nil && filepath.IsLocal(below) {
			c.Stores[n].Path = filepath.Join(dir, below)
		}
	}
}

// nameOrigins says where the new values are written.
func nameOrigins(d plan.Comparison, next *config.Config) {
	at := map[string]string{}
	for _, e := range next.Effective() {
		for _, s := range e.Settings {
			at[e.Domain.Address()+" "+s.Path] = strings.ReplaceAll(origin(s), next.Dir+string(filepath.Separator), "")
		}
	}
	for _, p := range d.Policies {
		block, _, _ := strings.Cut(p.Instances[0], "[")
		for n := range p.Changes {
			p.Changes[n].Origin = at[block+" "+p.Changes[n].Name]
		}
	}
}

// comparisonDocument is what plan -base -json prints.
type comparisonDocument struct {
	FormatVersion string `json:"format_version"`
	Version       string `json:"vbk_version"`
	plan.Comparison
}

// comparisonCode: what failed before the edit, too, is not the edit's.
func comparisonCode(d plan.Comparison, detailed bool) int {
	switch {
	case len(d.Failing)+len(d.Failures) > 0:
		return exitFailed
	case detailed && !d.Empty():
		return exitChanges
	}
	return exitOK
}
