package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"vbk/config"
	"vbk/plan"
	"vbk/store"
)

// statusVersion of what status -format json prints; docs/schema/status.json
// describes it.
const statusVersion = "1.0"

// status says how well the machines of a configuration are backed up.
type status struct {
	FormatVersion string               `json:"format_version"`
	Version       string               `json:"vbk_version"`
	Timestamp     time.Time            `json:"timestamp"`
	OK            bool                 `json:"ok"`       // all is as it should be
	Complete      bool                 `json:"complete"` // all hosts and stores answered
	Instances     []machineStatus      `json:"instances"`
	Stores        []storeStatus        `json:"stores"`
	Checks        []config.CheckResult `json:"checks,omitempty"`
	Unclaimed     []string             `json:"unclaimed,omitempty"`
	Departed      []plan.Departed      `json:"departed,omitempty"`
	Failures      []plan.Failure       `json:"failures,omitempty"`

	config *config.Config
	hosts  []plan.Host
}

// The states of a machine, the best first.
const (
	stateOK      = "ok"
	stateIdle    = "idle"    // none is to be made now, due or not: the configuration says so
	stateFailing = "failing" // the next point cannot be planned, or the last attempt at it failed
	stateDamaged = "damaged" // points do not restore
	stateLate    = "late"    // its newest point is older than its rpo
	stateMissing = "no point"
	stateUnknown = "unknown" // the store, or the machine's folder, cannot be read
)

// machineStatus is one instance. The amounts are bytes.
type machineStatus struct {
	Address     string       `json:"address"`
	Domain      string       `json:"domain"`
	Host        string       `json:"host"`
	Store       string       `json:"store"`
	State       string       `json:"state"`
	Unseen      bool         `json:"host_silent,omitempty"` // its host did not answer; the store tells the rest
	Newest      *newestPoint `json:"newest,omitempty"`      // that restores
	Age         *int64       `json:"age_seconds,omitempty"` // of it
	RPO         int64        `json:"rpo_seconds"`
	Due         *time.Time   `json:"due,omitempty"` // when the next is, if none is now
	DueNow      bool         `json:"due_now"`
	Idle        string       `json:"idle,omitempty"`       // why none is made
	Error       string       `json:"error,omitempty"`      // why none can be made
	LastError   string       `json:"last_error,omitempty"` // how the last run ended, if it did not end well
	Running     bool         `json:"running"`
	Points      int          `json:"points"`
	Damaged     int          `json:"damaged_points"`
	ChainLength int          `json:"chain_length"` // points of the newest chain
	Stored      int64        `json:"stored_bytes"`
	Verified    *time.Time   `json:"verified,omitempty"`     // when files of a point were read last
	UnreadSince *time.Time   `json:"unread_since,omitempty"` // when those of the point that has waited longest were read, or written
	LastAttempt *lastAttempt `json:"last_attempt,omitempty"`
	LastDrill   *lastDrill   `json:"last_drill,omitempty"`
	LastBooted  *lastDrill   `json:"last_booted_drill,omitempty"`

	policy *config.Policy
	folder store.Domain // what is counted
}

type newestPoint struct {
	Point string    `json:"point"`
	Start time.Time `json:"start"`
	Kind  string    `json:"kind"`
}

type storeStatus struct {
	Address string `json:"address"`
	Free    int64  `json:"free_bytes"`
	Size    int64  `json:"size_bytes"`
	MinFree int64  `json:"min_free_bytes,omitempty"` // are to stay free
	Error   string `json:"error,omitempty"`
}

// fullness says why nothing can be stored any more.
func (s storeStatus) fullness() string {
	if s.MinFree == 0 {
		return fmt.Sprintf("%s free: no point can be made", plan.Bytes(s.Free))
	}
	return fmt.Sprintf("%s free, and min_free = %s is to stay: no point can be made", plan.Bytes(s.Free), plan.Bytes(s.MinFree))
}

// full says whether nothing can be stored any more.
func (s storeStatus) full() bool { return s.Error == "" && s.Size > 0 && s.Free <= s.MinFree }

// severity is how bad the states are, the worst first.
var severity = []string{stateUnknown, stateMissing, stateLate, stateDamaged, stateFailing, stateIdle, stateOK}

func bySeverity(a, b machineStatus) int {
	return slices.Index(severity, a.State) - slices.Index(severity, b.State)
}

// problems are what is not as it should be, a sentence each: first of stores, which
// may be why machines are not, then of machines, the worst first, and of hosts.
func (s status) problems() []string {
	var all []string
	problem := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for _, st := range s.Stores {
		if st.Error != "" {
			problem("%s: %s", st.Address, st.Error)
		}
		if st.full() {
			problem("%s: %s", st.Address, st.fullness())
		}
	}
	if len(s.Instances) == 0 && len(all) == 0 {
		problem("no machine is backed up: the configuration claims none that is there")
	}
	for _, m := range slices.SortedStableFunc(slices.Values(s.Instances), bySeverity) {
		for _, text := range m.problems() {
			problem("%s%s", m.Address, text)
		}
	}
	for _, f := range s.Failures {
		if strings.HasPrefix(f.Object, "host.") {
			problem("%s does not answer (%s): whether it has machines that are not backed up is unknown", f.Object, f.Error)
		}
	}
	for _, c := range s.Checks {
		if failed(c) {
			problem("check %s: %s", c.Name, c.Message)
		}
	}
	return all
}

// problems go on after the machine's address.
func (m machineStatus) problems() (all []string) {
	problem := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	tried := m.attemptFailed()
	switch m.State {
	case stateMissing:
		problem(" has no point")
	case stateLate:
		problem(": the newest point is %s old, rpo = %q", age(*m.Age), spanOf(m.RPO))
	}
	if m.Damaged > 0 {
		problem(": %s damaged: vbk verify -read-data tells more", are(m.Damaged, "point"))
	}
	switch {
	case (m.State == stateFailing || m.State == stateUnknown) && m.Error != "" && !strings.HasPrefix(m.Error, m.Store+": "): // which is told of the store
		problem(": %s", m.Error)
		tried = tried && m.Error != m.LastAttempt.Error
	}
	if tried {
		problem(": %s", m.Attempted())
	}
	return all
}

func (m machineStatus) verifyEvery() config.Duration {
	if m.policy == nil {
		return 0
	}
	return m.policy.Verify.Every
}

func age(seconds int64) string { return plan.Age(time.Duration(seconds) * time.Second) }

func spanOf(seconds int64) config.Duration {
	return config.Duration(time.Duration(seconds) * time.Second)
}

// remarks are what is worth knowing and no problem.
func (s status) remarks() []string {
	all := s.oddities()
	if len(s.Unclaimed) > 0 {
		all = append(all, "Not backed up: "+listed(s.Unclaimed))
	}
	for _, d := range s.Departed {
		all = append(all, "Departed: "+departure(d))
	}
	return all
}

// oddities are the remarks about machines and checks.
func (s status) oddities() []string {
	var all []string
	remark := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for _, m := range s.Instances {
		if m.State == stateIdle {
			remark("%s: %s", m.Address, m.Idle)
		}
		if m.LastError != "" && m.LastAttempt.outcome() != attemptCutOff { // of which Attempted tells
			remark("%s: %s; the next vbk apply cleans up", m.Address, m.LastError)
		}
		if text := m.Attempted(); text != "" && !m.attemptFailed() {
			remark("%s: %s", m.Address, text)
		}
		if d := m.LastDrill; d != nil && !d.Booted {
			remark("%s: the last drill, of %s at %s, failed: %s", m.Address, d.Point, fullTime(d.Began), d.Error)
		}
		if limit := 2 * time.Duration(m.verifyEvery()); limit > 0 && m.UnreadSince != nil && s.Timestamp.Sub(*m.UnreadSince) > limit {
			remark("%s: files of a point were not read for %s and verify { every = %q }", m.Address, plan.Age(s.Timestamp.Sub(*m.UnreadSince)), m.verifyEvery())
		}
	}
	for _, c := range s.Checks {
		if c.Status == "unknown" {
			remark("check %s is not known: %s", c.Name, strings.TrimSuffix(c.Message, "."))
		}
	}
	return all
}

// print is the status for people: its table is as wide as columns allow, 0 without a
// limit.
func (s status) print(w io.Writer, machines table, width int) {
	if len(s.Instances) > 0 {
		machines.row("MACHINE", "STATE", "NEWEST (UTC)", amounts("AGE"), amounts("RPO"), "NEXT DUE", amounts("POINTS"), amounts("CHAIN"), amounts("STORED"))
		for _, m := range s.Instances {
			newest, old := "-", "-"
			if m.Newest != nil {
				newest, old = shortTime(m.Newest.Start), age(*m.Age)
			}
			machines.row(m.Address, cell{m.State, machines.paint.ofState(m.State)}, newest, old, spanOf(m.RPO), m.Next(),
				m.Points, m.ChainLength, plan.Bytes(m.Stored))
		}
		machines.print(w, width)
		fmt.Fprintln(w)
	}
	if len(s.Instances) > 1 {
		fmt.Fprintf(w, "%s: %s.\n", count(len(s.Instances), "machine"), s.stateCounts())
	}
	for _, st := range s.Stores {
		if st.Error == "" {
			fmt.Fprintf(w, "%s: %s of %s free.\n", st.Address, plan.Bytes(st.Free), plan.Bytes(st.Size))
		}
	}
	for _, r := range s.remarks() {
		fmt.Fprintln(w, wrapped(r+".", width, "  "))
	}
	problems := s.problems()
	switch {
	case len(problems) == 0 && len(s.oddities()) > 0:
		fmt.Fprintln(w, "All else is as it should be.")
		return
	case len(problems) == 0:
		fmt.Fprintln(w, "All is as it should be.")
		return
	}
	fmt.Fprintln(w, "\nNot as it should be:")
	for _, p := range problems {
		fmt.Fprintf(w, "  %s\n", wrapped(p, width-2, "    "))
	}
}

// stateCounts is "290 ok, 7 late, 3 no point", the best first.
func (s status) stateCounts() string {
	counts := map[string]int{}
	for _, m := range s.Instances {
		counts[m.State]++
	}
	var parts []string
	for _, state := range []string{stateOK, stateIdle, stateFailing, stateDamaged, stateLate, stateMissing, stateUnknown} {
		if n := counts[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	return strings.Join(parts, ", ")
}

// ofState is green for what is well, red for what is not, and nothing in between.
func (p paint) ofState(state string) func(string) string {
	switch state {
	case stateOK:
		return p.green
	case stateIdle:
		return nil
	}
	return p.red
}

func (m machineStatus) Next() string {
	switch {
	case m.Running:
		return "running"
	case m.DueNow:
		return "now"
	case m.Due != nil:
		return shortTime(*m.Due)
	}
	return "-"
}

// The exit codes of Nagios' plugins.
const (
	nagiosOK = iota
	nagiosWarning
	nagiosCritical
	nagiosUnknown
)

// nagios is one line as its plugins print it, with the exit code.
func (s status) nagios() (string, int) {
	counts := map[string]int{}
	damaged, oldest := 0, int64(0)
	for _, m := range s.Instances {
		counts[m.State]++
		damaged += m.Damaged
		if m.Age != nil {
			oldest = max(oldest, *m.Age)
		}
	}
	code := nagiosOK
	switch {
	case counts[stateLate]+counts[stateMissing]+damaged > 0:
		code = nagiosCritical
	case counts[stateUnknown] > 0 || slices.ContainsFunc(s.Stores, func(st storeStatus) bool { return st.Error != "" }):
		code = nagiosUnknown
	case !s.OK:
		code = nagiosWarning
	}
	text := fmt.Sprintf("%s, the newest point of each within its rpo", count(len(s.Instances), "machine"))
	if problems := s.problems(); len(problems) > 0 {
		text = problems[0]
		if more := len(problems) - 1; more > 0 {
			text += fmt.Sprintf(" (and %d more)", more)
		}
	}
	values := fmt.Sprintf("machines=%d late=%d;;0 missing=%d;;0 damaged=%d;;0 failing=%d;0 unclaimed=%d oldest=%ds",
		len(s.Instances), counts[stateLate], counts[stateMissing], damaged, counts[stateFailing], len(s.Unclaimed), oldest)
	for _, st := range s.Stores {
		if st.Error == "" {
			values += fmt.Sprintf(" '%s_free'=%dB;%d:;;0;%d", st.Address, st.Free, st.MinFree+1, st.Size)
		}
	}
	return fmt.Sprintf("VBK %s - %s | %s\n", [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}[code], plain(text), values), code
}

// plain is text for one line of Nagios, which parts it at a bar.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '|' || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}
