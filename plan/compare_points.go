package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// PointChange is an existing point that an edit treats otherwise.
type PointChange struct {
	Address  string    `json:"address"` // of the instance that decides
	Store    string    `json:"store"`
	Folder   string    `json:"folder"`
	Chain    string    `json:"chain"`
	Sequence int       `json:"sequence"`
	Start    time.Time `json:"start"`
	Stored   int64     `json:"stored"` // bytes
	Before   []string  `json:"before"` // what holds it without the edit; nothing where it would be deleted
	After    []string  `json:"after"`  // what holds it with the edit
	Why      string    `json:"why"`    // what the edit changes
}

// HeldBack is a deletion that does not happen though the edit asks for it.
type HeldBack struct {
	Address string `json:"address"`
	Text    string `json:"text"`
	Why     string `json:"why"`
}

// points sorts the points that exist by what becomes of them.
func (c *comparer) points() {
	seen := map[pointKey]bool{}
	for _, v := range []view{c.next, c.base} {
		for _, s := range v.Have.Stores {
			for _, f := range s.Domains {
				for _, chain := range f.Chains {
					for _, p := range chain.Manifest.Points {
						key := pointKey{s.ID, f.Folder, chain.Name, p.Sequence}
						if !seen[key] {
							seen[key] = true
							c.point(key, PointChange{Store: s.Address, Folder: f.Folder, Chain: chain.Name,
								Sequence: p.Sequence, Start: p.Start, Stored: p.Stored()})
						}
					}
				}
			}
		}
	}
	for _, all := range [][]PointChange{c.Lost, c.Sooner, c.Unheld, c.Kept} {
		slices.SortStableFunc(all, func(a, b PointChange) int {
			return cmp.Or(strings.Compare(a.Address, b.Address), strings.Compare(a.Chain, b.Chain), cmp.Compare(a.Sequence, b.Sequence))
		})
	}
	for _, p := range c.pairs {
		if p.next == nil {
			continue
		}
		for _, held := range p.next.Held {
			if p.base == nil || !slices.Contains(p.base.Held, held) {
				c.HeldBack = append(c.HeldBack, HeldBack{p.address(), held, strings.Join(whyOf(p.changes, nil), "; ")})
			}
		}
	}
}

func (c *comparer) point(key pointKey, p PointChange) {
	before, after := c.base.fates[key], c.next.fates[key]
	if before.owner == nil && after.owner == nil {
		return
	}
	p.Address = cmp.Or(ownerOf(after), ownerOf(before))
	p.Before, p.After = []string{}, []string{}
	if before.goes == "" {
		p.Before = before.rules()
	}
	if after.goes == "" {
		p.After = after.rules()
	}
	p.Why = c.why(before, after)
	switch {
	case after.goes != "" && before.goes == "" && c.base.soon(before.owner)[key]:
		c.Sooner = append(c.Sooner, p)
	case after.goes != "" && before.goes == "":
		c.Lost = append(c.Lost, p)
	case after.goes == "" && before.goes != "":
		c.Kept = append(c.Kept, p)
	case after.goes == "" && after.owner != nil && before.kept.byRule() && !after.kept.byRule():
		c.Unheld = append(c.Unheld, p)
	}
}

// soon are the points that a plan deletes when the next backup of an instance
// is due, if none is due now.
func (v view) soon(i *Instance) map[pointKey]bool {
	if i == nil || i.Due.IsZero() || i.Backup() != nil || i.Error != "" {
		return nil
	}
	if gone, ok := v.next[i.Want.UUID]; ok {
		return gone
	}
	gone := map[pointKey]bool{}
	play := v.play(i, 0)
	m := newStage(play.Want, play.Seen, play.Options)
	m.time(i.Due)
	then := Decide(m.want, m.seen, i.Due)
	for _, a := range then.Actions {
		for _, key := range v.gone(i, a) {
			gone[key] = true
		}
	}
	v.next[i.Want.UUID] = gone
	return gone
}

func ownerOf(f fate) string {
	if f.owner == nil {
		return ""
	}
	return f.owner.Want.Address
}

// rules are what holds a point; of a domain that nobody claims every point is
// kept.
func (f fate) rules() []string {
	if f.owner == nil {
		return []string{"departed"}
	}
	return f.kept.Rules
}

// why says what of the edit changed the fate of a point.
func (c *comparer) why(before, after fate) string {
	switch {
	case after.owner == nil:
		return fmt.Sprintf("%s does not claim the domain any more", before.owner.Want.Block)
	case after.owner.Want.Release != "":
		return after.owner.Want.Release
	case before.owner == nil:
		return fmt.Sprintf("%s claims the domain now", after.owner.Want.Block)
	}
	return strings.Join(whyOf(c.changes[[2]*Instance{before.owner, after.owner}], before.kept.Rules), "; ")
}

// whyOf picks the changes that tell why retention decides otherwise: those of
// the rules that held a point, or else those of retention, or else all.
func whyOf(changes []AttributeChange, rules []string) []string {
	var direct, retention, all []string
	for _, a := range changes {
		name, isRetention := strings.CutPrefix(a.Name, "retention.")
		short := AttributeChange{Name: name, Before: a.Before, After: a.After}.String()
		if slices.Contains(rules, name) {
			direct = append(direct, short)
		}
		if isRetention || name == "time_zone" || name == "configuration" {
			retention = append(retention, short)
		}
		all = append(all, short)
	}
	switch {
	case len(direct) > 0:
		return direct
	case len(retention) > 0:
		return retention
	}
	return all
}
