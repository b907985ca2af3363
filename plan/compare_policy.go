package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"vbk/config"
)

// AttributeChange is an attribute of the configuration with its two values, as
// they are written there; "" is unset.
type AttributeChange struct {
	Name   string `json:"name"` // retention.keep_daily
	Before string `json:"before"`
	After  string `json:"after"`
	Origin string `json:"origin,omitempty"` // where After is written, if the caller knows
}

// String is "keep_daily = 30 -> 7".
func (a AttributeChange) String() string {
	if a.Before == "" {
		return fmt.Sprintf("%s = %s is new", a.Name, a.After)
	}
	if a.After == "" {
		return fmt.Sprintf("%s = %s is gone", a.Name, a.Before)
	}
	return fmt.Sprintf("%s = %s -> %s", a.Name, a.Before, a.After)
}

// PolicyChange is what an edit changes of instances, the same for each.
type PolicyChange struct {
	Instances []string          `json:"instances"` // addresses
	Changes   []AttributeChange `json:"changes"`
	Ahead     *Outlook          `json:"ahead,omitempty"`
}

// Outlook is where two policies lead by simulation, summed over instances.
type Outlook struct {
	Date      string `json:"date"`
	Simulated int    `json:"simulated"` // so many of the instances
	Before    Amount `json:"before"`
	After     Amount `json:"after"`
}

// Amount is what is kept.
type Amount struct {
	Points int   `json:"points"`
	Held   int   `json:"held"`   // by a rule
	Stored int64 `json:"stored"` // bytes
}

// attributeChanges compares what the configurations say of an instance.
func attributeChanges(base, next *Instance) []AttributeChange {
	if base == nil || next == nil {
		return nil
	}
	before, after := attributes(base.Want), attributes(next.Want)
	names := slices.Collect(maps.Keys(before))
	names = slices.AppendSeq(names, maps.Keys(after))
	slices.Sort(names)
	var all []AttributeChange
	for _, name := range slices.Compact(names) {
		ofAnother := strings.HasPrefix(name, "store.") && before["store"] != after["store"]
		if before[name] != after[name] && !ofAnother {
			all = append(all, AttributeChange{Name: name, Before: before[name], After: after[name]})
		}
	}
	return all
}

// attributes are what the configuration says, by the names that it uses. Who an
// instance is, and what the command line asks, is not among them.
func attributes(w Want) map[string]string {
	text, err := json.Marshal(map[string]any{
		"": w.Policy, "host": w.Host, "store": w.Store, "time_zone": w.TimeZone, "configuration": w.Configuration, "release": w.Release,
	})
	if err != nil {
		panic("plan: a Want is always encodable: " + err.Error())
	}
	var tree map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&tree); err != nil {
		panic("plan: what was encoded decodes: " + err.Error())
	}
	all := map[string]string{}
	flatten(all, "", tree)
	for _, identity := range []string{"host.name", "store.kind", "store.name"} {
		delete(all, identity)
	}
	if all["retention.departed"] == `"never"` {
		all["retention.departed"] = `"keep"`
	}
	return all
}

func flatten(all map[string]string, name string, v any) {
	tree, ok := v.(map[string]any)
	if !ok {
		text, err := plainJSON(v, "")
		if err != nil {
			panic("plan: what was decoded encodes: " + err.Error())
		}
		if s := strings.TrimSpace(string(text)); s != `""` {
			all[name] = s
		}
		return
	}
	for key, branch := range tree {
		flatten(all, strings.Trim(name+"."+key, "."), branch)
	}
}

// policies groups the changes of instances that both configurations have.
func (c *comparer) policies() {
	at := map[string]int{}
	members := [][]instancePair{}
	for _, p := range c.pairs {
		if len(p.changes) == 0 || p.next.Want.Release != "" || p.base.Want.Release != "" {
			continue
		}
		key := fmt.Sprint(p.next.Want.Block, p.changes)
		n, ok := at[key]
		if !ok {
			n = len(c.Policies)
			at[key] = n
			c.Policies = append(c.Policies, PolicyChange{Changes: p.changes})
			members = append(members, nil)
		}
		c.Policies[n].Instances = append(c.Policies[n].Instances, p.address())
		members[n] = append(members[n], p)
	}
	for n := range c.Policies {
		c.Policies[n].Ahead = c.ahead(members[n])
	}
}

// ahead simulates both policies from what exists now.
func (c *comparer) ahead(pairs []instancePair) *Outlook {
	if c.o.Ahead <= 0 {
		return nil
	}
	var before, after []Play
	for _, p := range pairs {
		if len(before) == c.o.Sample {
			break
		}
		if p.base.Error == "" && p.next.Error == "" {
			before, after = append(before, c.base.play(p.base, c.o.Ahead)), append(after, c.next.play(p.next, c.o.Ahead))
		}
	}
	if len(before) == 0 {
		return nil
	}
	o := &Outlook{Date: c.Created.Add(c.o.Ahead).Format(time.DateOnly), Simulated: len(before)}
	both := SimulateAll(slices.Concat(before, after))
	for n, s := range both {
		amount := &o.Before
		if n >= len(before) {
			amount = &o.After
		}
		amount.Points += s.End.Points
		amount.Held += s.End.Held
		amount.Stored += s.End.Stored
	}
	return o
}

// play is an instance as it stands, to be simulated.
func (v view) play(i *Instance, ahead time.Duration) Play {
	s := Seen{Domain: v.domains[label(i.Want)], Folder: v.folder(i)}
	full, change := Measure(s)
	return Play{i.Want, s, SimulateOptions{From: v.Plan.Created, For: config.Duration(ahead), Full: full, Change: change}}
}
