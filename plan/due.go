package plan

import (
	"fmt"
	"time"

	"vbk/config"
	"vbk/store"
)

// dueness is what `every` or `schedule` says at one moment.
type dueness struct {
	due    bool
	next   time.Time // when it will be due, where it is not; zero: never
	after  time.Time // when it would be due next if nothing were done now; zero: never
	reason string    // why it is due
}

// whenDue compares the newest sound point with `every` or `schedule`. Without a
// point it is due.
func whenDue(w Want, newest time.Time, found bool, now time.Time) (dueness, error) {
	p := w.Policy
	age := now.Sub(newest)
	if p.Schedule == "" {
		d := dueness{next: newest.Add(interval(p.Every)), after: now.Add(time.Duration(p.Every))}
		d.due = !found || !now.Before(d.next)
		d.reason = fmt.Sprintf("the newest point is %s old and every = %q", Age(age), p.Every)
		return d, nil
	}
	s, err := parseSchedule(p.Schedule, w.zone())
	if err != nil {
		return dueness{due: !found}, fmt.Errorf("schedule = %q cannot be read: %w", p.Schedule, err)
	}
	last, passed := s.prev(now)
	d := dueness{due: !found || passed && !s.serves(newest, last)}
	d.after, _ = s.next(now)
	d.next = d.after
	if found && !d.next.IsZero() && s.serves(newest, d.next) {
		d.next, _ = s.next(d.next)
	}
	d.reason = fmt.Sprintf("the newest point is %s old and schedule = %q was due at %s", Age(age), p.Schedule, last.In(w.zone()).Format("2006-01-02 15:04 MST"))
	return d, nil
}

// serves says whether a point counts for a tick: it is younger, or older by no
// more than a timer's jitter.
func (s schedule) serves(newest, tick time.Time) bool {
	before, ok := s.prev(tick.Add(-time.Nanosecond))
	if !ok {
		return !newest.Before(tick)
	}
	return !newest.Before(tick.Add(-tolerance(tick.Sub(before))))
}

// interval applies the tolerance of the language: a nightly timer with jitter
// must not skip nights.
func interval(d config.Duration) time.Duration {
	return time.Duration(d) - tolerance(time.Duration(d))
}

// tolerance is a tenth of an interval, at most an hour.
func tolerance(d time.Duration) time.Duration { return min(d/10, time.Hour) }

// newestSound is the start of the newest point that restores. Points from the
// future do not count: a clock that was wrong once must not stop backups.
func newestSound(f *store.Domain, now time.Time) (time.Time, bool) {
	var newest time.Time
	found := false
	if f == nil {
		return newest, false
	}
	for n := range f.Chains {
		c := &f.Chains[n]
		for k := range c.Manifest.Points {
			p := &c.Manifest.Points[k]
			if (!found || p.Start.After(newest)) && !fromFuture(p.Start, now) && c.Sound(p.Sequence) {
				newest, found = p.Start, true
			}
		}
	}
	return newest, found
}

// fromFuture allows for clocks that differ by minutes.
func fromFuture(start, now time.Time) bool {
	return start.After(now.Add(10 * time.Minute))
}

// strange is the time without points from when on it is rather the clock that is
// wrong: nothing is deleted because of what it says alone.
func strange(p config.Policy) time.Duration {
	return max(14*24*time.Hour, 2*time.Duration(p.Every), 2*time.Duration(p.RPO))
}

// ClockDoubt says whether a point that is made now comes strangely long after the
// newest one, damaged or not. It is kept, and counts for no keep rule for as long.
func ClockDoubt(w *Want, f *store.Domain, now time.Time) bool { return clockDoubt(w, f.Chains, now) }

// inDoubt says whether a point still counts for no rule.
func inDoubt(p *store.Point, policy config.Policy, now time.Time) bool {
	return p.ClockDoubt && now.Sub(p.Start) < strange(policy)
}

func clockDoubt(w *Want, chains []store.Chain, now time.Time) bool {
	var newest time.Time
	for n := range chains {
		c := &chains[n]
		for k := range c.Manifest.Points {
			p := &c.Manifest.Points[k]
			if p.Start.After(newest) && !fromFuture(p.Start, now) && !inDoubt(p, w.Policy, now) && !isForeign(w, c) {
				newest = p.Start
			}
		}
	}
	return !newest.IsZero() && now.Sub(newest) > strange(w.Policy)
}

// Age of the newest point that restores, counted from when it was last known to
// be what the disks hold; false if there is none.
func (i Instance) Age(now time.Time) (age time.Duration, ok bool) {
	from := i.Newest
	if i.Current.After(from) {
		from = i.Current
	}
	return now.Sub(from), !i.Newest.IsZero()
}

// Breached says whether the newest point is older than the policy's rpo, or
// there is none.
func (i Instance) Breached(now time.Time) bool {
	age, ok := i.Age(now)
	return i.Want.Release == "" && (!ok || age > time.Duration(i.Want.Policy.RPO))
}
