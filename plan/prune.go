package plan

import (
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
	today := retained(i.Want, s.Folder.Chains, nil, now)
	i.Kept = today.kept
	victims := today.victims
	if b != nil {
		then := retained(i.Want, s.Folder.Chains, b, now)
		for _, v := range then.victims {
			if !slices.Contains(victims, v) {
				victims = append(victims, v)
			}
		}
		// What only today's points would release, the planned one might hold.
		victims = slices.DeleteFunc(victims, func(c int) bool { return !slices.Contains(then.victims, c) })
	}
	slices.Sort(victims)
	victims = i.holdBack(s.Folder.Chains, victims)
	for _, v := range victims {
		c := s.Folder.Chains[v]
		p := &Prune{Chain: c.Name, Manifest: c.Manifest.Number, Points: len(c.Manifest.Points), After: !slices.Contains(today.victims, v)}
		for _, point := range c.Manifest.Points {
			p.Stored += point.Stored()
		}
		action := Action{Kind: KindPrune, Reason: "no rule keeps any of its points", Prune: p}
		if p.After {
			after = append(after, action)
		} else {
			before = append(before, action)
		}
	}
	return before, after
}

// holdBack applies -no-prune and max_prune: beyond the routine release of one
// closed chain, a share above it releases nothing at all.
func (i *Instance) holdBack(chains []store.Chain, victims []int) []int {
	if len(victims) == 0 {
		return nil
	}
	if i.Want.NoPrune {
		i.Held = append(i.Held, fmt.Sprintf("%d chains that no rule keeps stay: -no-prune", len(victims)))
		return nil
	}
	var all, beyond int
	for n, c := range chains {
		all += len(c.Manifest.Points)
		if slices.Contains(victims[1:], n) {
			beyond += len(c.Manifest.Points)
		}
	}
	limit := i.Want.Policy.Retention.MaxPrune
	if beyond*100 > all*limit && !i.Want.AllowPrune {
		i.Held = append(i.Held, fmt.Sprintf("%d chains that no rule keeps stay: releasing them deletes more than max_prune = \"%d%%\" of %d points; allow it with -allow-prune '%s'",
			len(victims), limit, all, i.Want.Address))
		return nil
	}
	return victims
}

type retention struct {
	kept    []Kept
	victims []int // positions of the chains that go
}

type candidate struct {
	chain, sequence int
	start           time.Time
}

// retained evaluates the rules over the sound points, and over the planned one
// if b is set. A closed chain goes when nothing in it is held; the chain that
// stays open, min_chains sound chains and damaged chains that are not older
// than everything kept stay.
func retained(w Want, chains []store.Chain, b *Backup, now time.Time) retention {
	open := len(chains) - 1
	if b != nil && b.Chain == "" {
		open = len(chains)
	}
	held := heldPoints(w, chains, b, now)
	var r retention
	var keeps = make([]bool, len(chains))
	oldestKept := now
	for n, c := range chains {
		rules, holds := chainRules(c, n, held, n == open)
		r.kept = append(r.kept, rules...)
		keeps[n] = holds || n == open
		if keeps[n] && len(c.Manifest.Points) > 0 && c.Manifest.Points[0].Start.Before(oldestKept) {
			oldestKept = c.Manifest.Points[0].Start
		}
	}
	for n, c := range chains {
		head, ok := c.Head()
		if !keeps[n] && (!ok || !intact(c) && head.Start.After(oldestKept)) {
			keeps[n] = true
		}
	}
	r.victims = released(w, chains, keeps, open)
	return r
}

// released lists the chains that nothing holds, oldest first, as long as
// min_chains sound ones stay.
func released(w Want, chains []store.Chain, keeps []bool, open int) []int {
	sound := 0
	isSound := func(n int) bool {
		return n == len(chains) || len(chains[n].Problems) == 0 && len(chains[n].Manifest.Points) > 0
	}
	for n := range max(len(chains), open+1) {
		if isSound(n) {
			sound++
		}
	}
	var victims []int
	for n := range chains {
		if keeps[n] {
			continue
		}
		if isSound(n) {
			if sound <= max(w.Policy.Retention.MinChains, 1) {
				break
			}
			sound--
		}
		victims = append(victims, n)
	}
	return victims
}

// intact says whether the chain has points and all of them restore.
func intact(c store.Chain) bool {
	for _, p := range c.Manifest.Points {
		if !c.Sound(p.Sequence) {
			return false
		}
	}
	return len(c.Manifest.Points) > 0
}

// heldPoints maps chain and sequence to the rules that hold the point.
func heldPoints(w Want, chains []store.Chain, b *Backup, now time.Time) map[[2]int][]string {
	held := map[[2]int][]string{}
	var candidates []candidate
	for n, c := range chains {
		for _, p := range c.Manifest.Points {
			at := [2]int{n, p.Sequence}
			switch {
			case !c.Sound(p.Sequence):
			case !hasRules(w.Policy.Retention):
				held[at] = []string{"no rule: all stay"}
			case fromFuture(p, now):
				held[at] = []string{"from the future"}
			default:
				candidates = append(candidates, candidate{n, p.Sequence, p.Start})
			}
		}
	}
	if b != nil {
		candidates = append(candidates, candidate{len(chains), 0, now})
	}
	slices.SortStableFunc(candidates, func(x, y candidate) int {
		if c := y.start.Compare(x.start); c != 0 {
			return c
		}
		if x.chain != y.chain {
			return y.chain - x.chain
		}
		return y.sequence - x.sequence
	})
	starts := make([]time.Time, len(candidates))
	for n, c := range candidates {
		starts[n] = c.start
	}
	for n, rules := range keepRules(starts, w.Policy.Retention, w.zone()) {
		if len(rules) > 0 {
			held[[2]int{candidates[n].chain, candidates[n].sequence}] = rules
		}
	}
	return held
}

// chainRules lists a chain's points with what holds each: a rule, or a newer
// point that needs it.
func chainRules(c store.Chain, n int, held map[[2]int][]string, open bool) (kept []Kept, holds bool) {
	points := c.Manifest.Points
	kept = make([]Kept, len(points))
	for k := len(points) - 1; k >= 0; k-- {
		p := points[k]
		rules := held[[2]int{n, p.Sequence}]
		switch {
		case len(rules) > 0:
			holds = true
		case !c.Sound(p.Sequence):
			rules = []string{"damaged"}
		case holds:
			rules = []string{"held by chain"}
		case open:
			rules = []string{"open chain"}
		default:
			rules = []string{"closed chain"}
		}
		kept[k] = Kept{Chain: c.Name, Sequence: p.Sequence, Start: p.Start, Rules: rules}
	}
	return kept, holds
}

// HeldBy says what holds each point of a domain's chains under a policy, for
// people to read. Without a policy nothing is ever deleted.
func HeldBy(p *config.Policy, timeZone string, chains []store.Chain, now time.Time) func(chain string, sequence int) string {
	w := Want{TimeZone: timeZone}
	if p != nil {
		w.Policy = *p
	}
	text := map[string]string{}
	for _, k := range retained(w, chains, nil, now).kept {
		text[fmt.Sprintf("%s.%d", k.Chain, k.Sequence)] = strings.Join(k.Rules, ", ")
	}
	return func(chain string, sequence int) string { return text[fmt.Sprintf("%s.%d", chain, sequence)] }
}
