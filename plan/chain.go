package plan

import (
	"fmt"
	"slices"
	"time"

	"vbk/store"
	"vbk/virt"
)

// standsAlone says whether each point is a chain of its own, without a
// checkpoint.
func standsAlone(w Want) bool { return w.Policy.Mode == "full" || w.Policy.Stream == string(store.Raw) }

// streamOf is the stream of the chains that a policy asks for.
func streamOf(w Want) store.Stream {
	if w.Policy.Stream == "v3" {
		return store.V3
	}
	return store.Stream(w.Policy.Stream)
}

// newChain is a full that closes a chain; "" if there was none.
func newChain(w Want, disks []virt.Disk, closes, why string) choice {
	b := &Backup{Kind: store.Full, Head: -1, Closes: closes, Stream: streamOf(w)}
	for _, d := range disks {
		disk := newDiskBackup(d)
		disk.Base, disk.Untracked = true, standsAlone(w) || noBitmap(d) != ""
		disk.Estimate = wholeSize(d)
		b.Disks = append(b.Disks, disk)
		b.Estimate += disk.Estimate
	}
	return choice{backup: b, reason: why}
}

// whyNewChain says which limit or damage closes the open chain, "" if none.
func whyNewChain(w Want, s Seen, open store.Chain, head store.Point, now time.Time) string {
	limits := w.Policy.Chain
	age := now.Sub(began(open))
	increments := len(open.Manifest.Points) - 1
	newer := slices.IndexFunc(s.Folder.Chains, func(c store.Chain) bool {
		return c.Manifest.Number == 0 && c.Name > open.Name
	})
	switch {
	case w.asksFull(s.Folder):
		return "-full asked for a new chain"
	case newer >= 0: // its number is lost with its manifests
		c := s.Folder.Chains[newer]
		return fmt.Sprintf("chain %s may be the newest%s", c.Name, detail(c.Problems))
	case open.Manifest.Closed != "":
		return "the chain was closed: " + open.Manifest.Closed
	case !open.Sound(head.Sequence):
		return "the open chain is damaged" + detail(damageOf(open, head.Sequence))
	case !open.Sound(open.Manifest.Next()): // what the next point would be
		return "the open chain is damaged" + detail(damageOf(open, open.Manifest.Next()))
	case open.Manifest.Stream != streamOf(w):
		return otherStream(open.Manifest.Stream, streamOf(w))
	case limits.FullEvery > 0 && age >= interval(limits.FullEvery):
		return fmt.Sprintf("the chain is %s old and full_every = %q", Age(age), limits.FullEvery)
	case increments >= limits.MaxIncrements && !merges(w):
		return fmt.Sprintf("the chain has %d increments and max_increments = %d", increments, limits.MaxIncrements)
	}
	return ""
}

func otherStream(has, wanted store.Stream) string {
	name := func(s store.Stream) string {
		if s == store.V3 {
			return "v3"
		}
		return string(s)
	}
	why := fmt.Sprintf("the open chain has stream %q and stream = %q", name(has), name(wanted))
	if has == store.VirtNBDBackup && wanted == store.V3 {
		why += " (vbk convert would keep the chain)"
	}
	return why
}

// began is when a chain's full was made: its name tells where merges have made
// the first point a younger one.
func began(c store.Chain) time.Time {
	first := &c.Manifest.Points[0]
	if first.Merged > 0 {
		if named, err := time.Parse("20060102T150405Z", c.Name[:min(len(c.Name), 16)]); err == nil {
			return named
		}
	}
	return first.Start
}

// damageOf lists the problems that keep a point from being restored.
func damageOf(c store.Chain, sequence int) (all []store.Problem) {
	for _, p := range c.Problems {
		if !(store.Chain{Problems: []store.Problem{p}}).Sound(sequence) {
			all = append(all, p)
		}
	}
	return all
}

// detail is the first problem, for the end of a sentence.
func detail(problems []store.Problem) string {
	if len(problems) == 0 {
		return ""
	}
	return fmt.Sprintf(": %s: %s", problems[0].File, problems[0].Detail)
}
