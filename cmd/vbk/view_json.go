package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"vbk/config"
	"vbk/plan"
)

// planVersion of what show -json prints. The number before the dot stays 1:
// readers of Terraform's plans refuse others. docs/schema/plan.json describes it.
const planVersion = "1.0"

// planDocument is a plan for programs, in the shape of Terraform's show -json.
type planDocument struct {
	FormatVersion   string                   `json:"format_version"`
	Version         string                   `json:"vbk_version"`
	Timestamp       time.Time                `json:"timestamp"`
	Applyable       bool                     `json:"applyable"` // there is something to do, and it may be done
	Complete        bool                     `json:"complete"`  // nothing was left out or failed
	Errored         bool                     `json:"errored"`
	NotApplicable   string                   `json:"not_applicable,omitempty"` // why it can never be applied
	Variables       map[string]variableValue `json:"variables,omitempty"`      // that are not sensitive
	ResourceChanges []change                 `json:"resource_changes"`
	Summary         sums                     `json:"summary"`
	Instances       []instanceState          `json:"instances"`
	Checks          []config.CheckResult     `json:"checks,omitempty"`
	Space           []plan.Space             `json:"space,omitempty"`
	Unclaimed       []string                 `json:"unclaimed,omitempty"`
	LeftOut         []string                 `json:"left_out,omitempty"`
	Departed        []plan.Departed          `json:"departed,omitempty"`
	Failures        []plan.Failure           `json:"failures,omitempty"`
	Warnings        []string                 `json:"warnings,omitempty"`
	Others          int                      `json:"other_chains,omitempty"` // of other configurations
}

// instanceState is an instance, whether or not something is done for it.
type instanceState struct {
	Address string     `json:"address"`
	Domain  string     `json:"domain"`
	Host    string     `json:"host,omitempty"`
	Store   string     `json:"store"`
	Points  int        `json:"points"` // that exist
	Error   string     `json:"error,omitempty"`
	Hint    string     `json:"hint,omitempty"`
	Idle    string     `json:"idle,omitempty"` // why no point is made
	Due     *time.Time `json:"due,omitempty"`
	Newest  *time.Time `json:"newest,omitempty"` // start of the newest point that restores
	RPO     int64      `json:"rpo_seconds,omitempty"`
	Held    []string   `json:"held_back,omitempty"`
	Release string     `json:"release,omitempty"` // why all its chains go
}

type variableValue struct {
	Value json.RawMessage `json:"value"`
}

// documentOf is the plan for programs; with every point that stays, if asked.
func documentOf(p plan.Plan, withKept bool) planDocument {
	d := planDocument{
		FormatVersion: planVersion, Version: p.Version, Timestamp: p.Created.UTC(),
		Applyable: !p.Empty() && p.NotApplicable == "", NotApplicable: p.NotApplicable, Complete: !p.Failed() && len(p.LeftOut) == 0, Errored: p.Failed(),
		ResourceChanges: append([]change{}, changes(p)...), Summary: sumsOf(p), Instances: []instanceState{},
		Checks: p.Checks, Space: p.Space, Unclaimed: p.Unclaimed, LeftOut: p.LeftOut, Departed: p.Departed, Failures: p.Failures, Warnings: p.Warnings, Others: p.Others,
	}
	if withKept {
		d.ResourceChanges = append(d.ResourceChanges, unchanged(p)...)
	}
	for name, value := range p.Variables {
		if d.Variables == nil {
			d.Variables = map[string]variableValue{}
		}
		d.Variables[name] = variableValue{json.RawMessage(value)}
	}
	for _, i := range p.Instances {
		d.Instances = append(d.Instances, instanceState{
			Address: i.Want.Address, Domain: i.Want.Domain, Host: i.Want.Host.Name, Store: i.Want.Store.Address(),
			Points: len(i.Kept), Error: i.Error, Hint: i.Hint, Idle: i.Idle, Due: optional(i.Due),
			Newest: optional(i.Newest), RPO: seconds(i.Want.Policy.RPO), Held: i.Held, Release: i.Want.Release,
		})
	}
	return d
}

// optional is nil for a time that is not known.
func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func seconds(d config.Duration) int64 { return int64(time.Duration(d) / time.Second) }

// gitlabReport is what a merge request's widget for Terraform shows.
type gitlabReport struct {
	Create int `json:"create"`
	Update int `json:"update"`
	Delete int `json:"delete"`
}

func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	return nil
}
