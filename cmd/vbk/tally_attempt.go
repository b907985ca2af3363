package main

import (
	"fmt"
	"time"

	"vbk/store"
)

// How an attempt to make a point ended.
const (
	attemptOK     = "ok"
	attemptFailed = "failed"
	attemptCutOff = "cut off" // it was killed, or its host was
)

// lastAttempt is the last attempt to make a point that has ended.
type lastAttempt struct {
	Began   time.Time  `json:"began"`
	Ended   *time.Time `json:"ended,omitempty"` // not known of one that was cut off
	Outcome string     `json:"outcome"`
	Point   string     `json:"point,omitempty"`      // that it made, also where something after it failed
	Read    *int64     `json:"bytes_read,omitempty"` // of the guest, where that was recorded
	Error   string     `json:"error,omitempty"`      // one line
}

func (a *lastAttempt) outcome() string {
	if a == nil {
		return ""
	}
	return a.Outcome
}

// lastDrill is a try to boot a point.
type lastDrill struct {
	Began  time.Time `json:"began"`
	Point  string    `json:"point"`
	Booted bool      `json:"booted"`
	Took   float64   `json:"took_seconds,omitempty"` // until it had booted
	Error  string    `json:"error,omitempty"`        // why it has not; one line
}

// attemptIn is the last attempt that a folder tells of: by the record of a run that
// was cut off, by the failure that was recorded, or else by the newest point.
func attemptIn(f store.Domain) *lastAttempt {
	chain, newest, made := f.NewestPoint()
	failure, cut := f.LastFailure(), f.Attempt
	point := func(attempt string) string {
		if !made || attempt != newest.Attempt {
			return ""
		}
		return fmt.Sprintf("%s@%s.%d", f.Name, chain.Name, newest.Sequence)
	}
	known := func(id string) bool { return made && id == newest.Attempt || failure != nil && id == failure.Attempt }
	switch {
	case cut != nil && !f.Locked && cut.ID != "" && !known(cut.ID):
		return &lastAttempt{Began: cut.Since.UTC(), Outcome: attemptCutOff, Error: fmt.Sprintf("pid %d on %s is gone; the next vbk apply cleans up and tries again", cut.PID, cut.Host)}
	case failure != nil:
		return &lastAttempt{Began: failure.Began.UTC(), Ended: optional(failure.Ended), Outcome: attemptFailed, Point: point(failure.Attempt), Read: some(failure.Read), Error: failure.Error}
	case made:
		return &lastAttempt{Began: newest.Start.UTC(), Ended: optional(newest.End), Outcome: attemptOK, Point: point(newest.Attempt), Read: some(newest.Read)}
	}
	return nil
}

// some is a number that older versions have not recorded.
func some(n int64) *int64 {
	if n == 0 {
		return nil
	}
	return &n
}

// drillsIn are the last drill, and the last that booted.
func drillsIn(f store.Domain) (last, booted *lastDrill) {
	if f.Outcomes == nil {
		return nil, nil
	}
	say := func(d *store.Drill) *lastDrill {
		if d == nil {
			return nil
		}
		return &lastDrill{Began: d.Began.UTC(), Point: f.Name + "@" + d.Point, Booted: d.Error == "", Took: float64(d.TookMS) / 1000, Error: d.Error}
	}
	return say(f.Outcomes.Drill), say(f.Outcomes.Booted)
}

// attemptFailed says whether a point that is due was tried last without success.
func (m machineStatus) attemptFailed() bool {
	a := m.LastAttempt
	return a != nil && a.Outcome != attemptOK && a.Point == "" && !m.Running && (m.DueNow || m.Error != "")
}

// Attempted says how the last attempt ended, if not well.
func (m machineStatus) Attempted() string {
	a := m.LastAttempt
	switch {
	case a == nil || a.Outcome == attemptOK || m.Running:
		return ""
	case a.Point != "":
		return fmt.Sprintf("the last run made a point at %s, and then failed: %s", fullTime(a.Began), a.Error)
	}
	return fmt.Sprintf("the last attempt, at %s, %s: %s", fullTime(a.Began), wasOr(a.Outcome), a.Error)
}

func wasOr(outcome string) string {
	if outcome == attemptCutOff {
		return "was " + outcome
	}
	return outcome
}
