package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"vbk/config"
	"vbk/store"
)

// decidePrune says which closed chains go: first those that go whatever the
// planned backup does, then those that go only once it is durable. It fills
// Kept and Held.
func (i *Instance) decidePrune(s Seen, b *Backup, now time.Time) (before, after []Action) {
	if s.Folder == nil || len(s.Folder.Chains) == 0 {
		return nil, nil
	}
	if _, err := time.LoadLocation(i.Want.TimeZone); err != nil {
		i.Held = append(i.Held, "nothing is deleted: "+err.Error())
		return nil, nil
	}
	chains := s.Folder.Chains
	today := retained(i.Want, chains, nil, now)
	i.Kept = today.kept
	then := today
	if b != nil {
		then = retained(i.Want, chains, b, now)
	}
	for _, v := range then.victims {
		p := &Prune{Chain: chains[v].Name, Manifest: chains[v].Manifest.Number, Points: len(chains[v].Manifest.Points),
			After: !slices.Contains(today.victims, v)}
		for _, point := range chains[v].Manifest.Points {
			p.Stored += point.Stored()
		}
		action := Action{Kind: KindPrune, Reason: "no rule keeps any of its points", Prune: p}
		if p.After {
			after = append(after, action)
		} else {
			before = append(before, action)
		}
	}
	if i.heldBack(chains, b, append(before[:len(before):len(before)], after...)) {
		return nil, nil
	}
	return before, after
}

// heldBack applies -no-prune and max_prune: beyond the routine release of one
// closed chain, a share above it releases nothing at all. The one is the last,
// so that what is left of a plan never exceeds what the whole did not; the
// planned point counts, so that making it does not change the answer.
func (i *Instance) heldBack(chains []store.Chain, b *Backup, prunes []Action) bool {
	if len(prunes) == 0 {
		return false
	}
	var points, beyond int
	if b != nil {
		points = 1
	}
	for _, c := range chains {
		points += len(c.Manifest.Points)
	}
	for _, a := range prunes[:len(prunes)-1] {
		beyond += a.Prune.Points
	}
	what := "a chain that no rule keeps stays"
	if len(prunes) > 1 {
		what = fmt.Sprintf("%d chains that no rule keeps stay", len(prunes))
	}
	limit := i.Want.Policy.Retention.MaxPrune
	switch {
	case i.Want.NoPrune:
		i.Held = append(i.Held, what+": -no-prune")
	case beyond*100 > points*limit && !i.Want.AllowPrune:
		i.Held = append(i.Held, fmt.Sprintf("%s: releasing them deletes more than max_prune = \"%d%%\" of %d points; allow it with -allow-prune '%s'",
			what, limit, points, i.Want.Address))
	default:
		return false
	}
	return true
}

type retention struct {
	kept    []Kept
	victims []int // positions of the chains that go, oldest first
}

// retained evaluates the rules over the points, and over the planned one if b
// is set. A chain goes when no rule holds a point of it and nothing else
// makes it stay.
func retained(w Want, chains []store.Chain, b *Backup, now time.Time) retention {
	open, sound := len(chains)-1, 0 // sound chains of ours that are newer
	if b != nil && b.Chain == "" {
		open, sound = len(chains), 1
	}
	held := heldPoints(w, chains, b, now)
	kept := make([][]Kept, len(chains))
	var victims []int
	for n, c := range slices.Backward(chains) {
		stays := ""
		switch {
		case n == open:
			stays = "open chain"
		case isForeign(w, c):
			stays = fmt.Sprintf("of configuration %q", c.Manifest.Owner.Configuration)
		case isIncomplete(c):
			stays = "its manifest is damaged"
		case sound < max(w.Policy.Retention.MinChains, 1):
			stays = "min_chains"
		}
		var holds bool
		if kept[n], holds = chainRules(c, n, held, stays); !holds && stays == "" {
			victims = append(victims, n)
		}
		if len(c.Problems) == 0 && !isForeign(w, c) && !isIncomplete(c) {
			sound++
		}
	}
	slices.Reverse(victims)
	return retention{slices.Concat(kept...), victims}
}

// isForeign says whether another configuration made the chain: its points count
// for no rule here, and it is not ours to delete.
func isForeign(w Want, c store.Chain) bool {
	owner := c.Manifest.Owner.Configuration
	return owner != "" && owner != w.Configuration
}

// isIncomplete says whether the chain may hold points that no readable manifest
// lists, so that nobody knows what deleting it would cost.
func isIncomplete(c store.Chain) bool {
	head, ok := c.Head()
	return !ok || slices.ContainsFunc(c.Problems, func(p store.Problem) bool {
		return p.From > head.Sequence && p.From != store.NoPoint
	})
}

type candidate struct {
	chain, sequence int
	stamp
}

// heldPoints maps chain and sequence to the rules that hold the point.
func heldPoints(w Want, chains []store.Chain, b *Backup, now time.Time) map[[2]int][]string {
	held := map[[2]int][]string{}
	var candidates []candidate
	for n, c := range chains {
		for _, p := range c.Manifest.Points {
			at := [2]int{n, p.Sequence}
			switch {
			case isForeign(w, c):
			case !hasRules(w.Policy.Retention):
				held[at] = []string{"no rule: all stay"}
			case fromFuture(p, now):
				held[at] = []string{"from the future"}
			default:
				candidates = append(candidates, candidate{n, p.Sequence, stamp{p.Start, c.Sound(p.Sequence)}})
			}
		}
	}
	if b != nil {
		candidates = append(candidates, candidate{len(chains), 0, stamp{now, true}})
	}
	slices.SortStableFunc(candidates, func(x, y candidate) int {
		return cmp.Or(y.start.Compare(x.start), cmp.Compare(y.chain, x.chain), cmp.Compare(y.sequence, x.sequence))
	})
	stamps := make([]stamp, len(candidates))
	for n, c := range candidates {
		stamps[n] = c.stamp
	}
	for n, rules := range keepRules(stamps, w.Policy.Retention, w.zone()) {
		if len(rules) > 0 {
			held[[2]int{candidates[n].chain, candidates[n].sequence}] = rules
		}
	}
	return held
}

// chainRules lists a chain's points with what holds each: a rule, a newer point
// that needs it, or why the whole chain stays.
func chainRules(c store.Chain, n int, held map[[2]int][]string, stays string) (kept []Kept, holds bool) {
	if stays == "" {
		stays = "closed chain"
	}
	kept = make([]Kept, len(c.Manifest.Points))
	for k, p := range slices.Backward(c.Manifest.Points) {
		rules := held[[2]int{n, p.Sequence}]
		switch {
		case len(rules) > 0:
			holds = true
		case holds:
			rules = []string{"held by chain"}
		default:
			rules = []string{stays}
		}
		if !c.Sound(p.Sequence) {
			rules = append([]string{"damaged"}, rules...)
		}
		kept[k] = Kept{Chain: c.Name, Sequence: p.Sequence, Start: p.Start, Rules: rules}
	}
	return kept, holds
}

// HeldBy says what holds each point of a domain's chains under a policy, for
// people to read. Without a policy nothing is ever deleted.
func HeldBy(p *config.Policy, timeZone string, chains []store.Chain, now time.Time) func(chain string, sequence int) string {
	w := Want{TimeZone: timeZone, Configuration: newestOwner(store.Domain{Chains: chains}).Configuration}
	if p != nil {
		w.Policy = *p
	}
	text := map[string]string{}
	for _, k := range retained(w, chains, nil, now).kept {
		text[fmt.Sprintf("%s.%d", k.Chain, k.Sequence)] = strings.Join(k.Rules, ", ")
	}
	return func(chain string, sequence int) string { return text[fmt.Sprintf("%s.%d", chain, sequence)] }
}
