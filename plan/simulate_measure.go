package plan

import (
	"time"

	"vbk/store"
)

// AssumedChange is the share of a machine's data that is taken to change in a
// day where nothing tells.
const AssumedChange = 0.02

// Measure tells from what exists how many bytes a full of a machine stores, and
// which share of them changes in 24 hours. Without points the disks tell the
// size, and two percent are assumed to change.
func Measure(s Seen) (full int64, change float64) {
	for _, d := range s.Domain.Disks {
		if !removable(d) {
			full += wholeSize(d)
		}
	}
	change = AssumedChange
	if s.Folder == nil {
		return full, change
	}
	var days float64
	var increments, newest int64
	for _, c := range s.Folder.Chains {
		for n, p := range c.Manifest.Points {
			switch {
			case p.Kind == store.Full:
				newest = p.Stored()
			case p.Kind == store.Increment && n > 0 && p.Merged == 0:
				days += p.Start.Sub(c.Manifest.Points[n-1].Start).Hours() / 24
				increments += p.Stored()
			}
		}
	}
	if newest > 0 {
		full = newest
	}
	if full > 0 && days > float64(time.Hour)/float64(24*time.Hour) {
		change = min(float64(increments)/days/float64(full), 1)
	}
	return full, change
}

// The least that tells how a machine changes.
const (
	historyPoints = 3
	historySpan   = 2 * 24 * time.Hour
)

// HasHistory says whether the points of a machine tell what its next ones will store.
func HasHistory(s Seen) bool {
	if s.Folder == nil {
		return false
	}
	var oldest, newest time.Time
	points := 0
	for _, c := range s.Folder.Chains {
		for _, p := range c.Manifest.Points {
			if points++; oldest.IsZero() || p.Start.Before(oldest) {
				oldest = p.Start
			}
			if p.Start.After(newest) {
				newest = p.Start
			}
		}
	}
	return points >= historyPoints && newest.Sub(oldest) >= historySpan
}
