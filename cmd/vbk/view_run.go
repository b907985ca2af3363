package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"vbk/executor"
	"vbk/plan"
	"vbk/store"
)

// quietInterval is how often a run reports where there is no terminal.
const quietInterval = 30 * time.Second

// runView prints the events of a run: bars on a terminal, a line every 30 s
// otherwise; at the end a table of the new points, and what failed.
type runView struct {
	env    *environment
	stream *runStream
	paint  paint
	mu     sync.Mutex
	bars   *bars                // nil without a terminal
	last   map[string]time.Time // of the line of an instance
	begun  map[string]time.Time
	left   map[string]int // actions of instances that have not ended
	atWork map[string]bool
	points []executor.Event
	failed []executor.Event     // told at the end
	cut    int                  // instances that an interrupt has ended
	code   int                  // exitPanic if a failure is a bug of ours
	wants  map[string]plan.Want // of instances, by their addresses
	labels map[string]string    // of their bars
	known  map[string]string    // errors of instances that the plan has told already
}

func newRunView(env *environment, p plan.Plan) *runView {
	v := &runView{env: env, stream: newRunStream(env, p), paint: painter(env.color), last: map[string]time.Time{}, begun: map[string]time.Time{},
		left: map[string]int{}, atWork: map[string]bool{}, wants: map[string]plan.Want{}, labels: map[string]string{}, known: map[string]string{}}
	disks, points, bytes := 0, 0, int64(0)
	hosts := map[string]bool{}
	for _, i := range p.Instances {
		hosts[i.Want.Host.Name] = true
		v.wants[i.Want.Address] = i.Want
		if len(i.Actions) > 0 {
			v.left[i.Want.Address] = len(i.Actions)
		}
		if b := i.Backup(); b != nil {
			disks += len(b.Disks)
			points++
			bytes += b.Estimate
		}
	}
	for _, i := range p.Instances {
		v.labels[i.Want.Address] = i.Want.Domain
		if len(hosts) > 1 {
			v.labels[i.Want.Address] = i.Want.Host.Name + "/" + i.Want.Domain
		}
	}
	v.bars = env.newBars()
	if v.bars != nil && disks > 1 {
		v.bars.expect(bytes, points)
	}
	env.running.Store(v)
	return v
}

func (v *runView) event(e executor.Event) {
	v.stream.event(e)
	v.mu.Lock()
	defer v.mu.Unlock()
	switch e.Kind {
	case executor.Started:
		v.atWork[e.Address] = true
		v.begun[e.Address] = v.env.now()
		v.last[e.Address] = v.env.now()
		v.line("%s: %s", e.Address, describeAction(*e.Action))
	case executor.Progress:
		v.progress(e)
	case executor.Done:
		v.endBars(e.Address)
		v.acted(e.Address)
		if e.Point != nil {
			v.points = append(v.points, e)
		}
		v.line("%s: %s", e.Address, v.paint.green(describeDone(e)))
		if e.Why != "" {
			v.line("%s: %s", e.Address, v.paint.yellow(e.Why))
		}
	case executor.Skipped:
		v.acted(e.Address)
		v.line("%s: nothing to do: %s", e.Address, e.Why)
	case executor.Warned:
		v.line("%s: %s", e.Address, v.paint.yellow("warning: "+e.Err.Error()))
	case executor.Failed:
		v.endBars(e.Address)
		v.ended(e.Address)
		v.fail(e)
	}
}

// line prints above the bars.
func (v *runView) line(format string, args ...any) {
	text := fmt.Sprintf(format+"\n", args...)
	if v.bars != nil {
		v.bars.print(text)
		return
	}
	fmt.Fprint(v.env.stdout, text)
}

func (v *runView) endBars(address string) {
	if v.bars != nil {
		v.bars.endAll(address + " ")
	}
}

// acted counts an action that is done; with its last one an instance has ended.
func (v *runView) acted(address string) {
	if v.left[address]--; v.left[address] <= 0 {
		v.ended(address)
	}
}

func (v *runView) ended(address string) {
	if _, known := v.left[address]; known && v.bars != nil {
		v.bars.finish()
	}
	delete(v.left, address)
	delete(v.atWork, address)
}

// working lists the instances that are in the middle of something.
func (v *runView) working() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Sorted(maps.Keys(v.atWork))
}

// fail tells why at the end, where nothing scrolls away, and at once if others are
// still to come.
func (v *runView) fail(e executor.Event) {
	v.code = graver(v.code, codeOf(failWith(exitFailed, e.Err)))
	switch {
	case e.Err.Error() == v.known[e.Address]:
	case undone(e.Err):
		v.cut++
		v.line("%s: %s", e.Address, v.paint.yellow("interrupted, and what it had begun is undone"))
	default:
		v.failed = append(v.failed, e)
		if len(v.left) > 0 {
			v.line("%s: %s", e.Address, v.paint.red("failed: "+firstLine(e.Err.Error())))
		}
	}
}

// undone says whether an error is an interrupt and nothing else: what cannot be
// cleaned up after one is told besides.
func undone(err error) bool {
	var i *interruptError
	return errors.As(err, &i) && strings.HasSuffix(err.Error(), i.Error()) && !strings.Contains(err.Error(), "\n")
}

func firstLine(text string) string {
	first, _, _ := strings.Cut(text, "\n")
	return first
}

func (v *runView) complain(e executor.Event) {
	store, scratch := v.wants[e.Address].Store.Path, v.wants[e.Address].Host.ScratchDir
	next := cmp.Or(e.Hint, jobHint(e.Err.Error(), scratch), mendFiles(e.Err, store, scratch))
	v.env.complain(hint(fmt.Errorf("%s: %w", e.Address, e.Err), "%s", next))
}

func (v *runView) progress(e executor.Event) {
	if v.bars != nil {
		key := e.Address + " " + e.Disk
		v.bars.set(key, v.labels[e.Address], e.Disk, e.DiskDone, e.DiskTotal)
		if e.DiskRead {
			v.bars.end(key)
		}
		return
	}
	now := v.env.now()
	if now.Sub(v.last[e.Address]) < quietInterval {
		return
	}
	v.last[e.Address] = now
	v.line("%s: disk %s, ~%s", e.Address, e.Disk, paceLine(e.Done, max(e.Total, e.Done), now.Sub(v.begun[e.Address])))
}

// close prints the table of what was made, what failed, and the sum.
func (v *runView) close(r executor.Result, interrupted bool) {
	v.env.endBars()
	v.env.running.Store(nil)
	v.stream.close()
	if len(v.points) > 0 {
		fmt.Fprintln(v.env.stdout)
		v.table()
	}
	if len(v.failed) > 0 {
		fmt.Fprintln(v.env.stdout)
	}
	for _, e := range v.failed {
		v.complain(e)
	}
	how, rest := "complete", ""
	switch {
	case interrupted:
		how = "interrupted"
		r.Failed -= v.cut
		if v.cut > 0 {
			rest += fmt.Sprintf(", %d interrupted", v.cut)
		}
		if n := len(v.left); n > 0 {
			rest += fmt.Sprintf(", %d not begun", n)
		}
	case r.Failed > 0:
		how = "incomplete"
	}
	fmt.Fprintf(v.env.stdout, "\n%s %d done, %d skipped, %d failed%s.\n", v.paint.bold("Apply "+how+":"), r.Done, r.Skipped, r.Failed, rest)
}

// table is a row for each point, and their sum: its rate and time are those of the
// run, in which they were made side by side.
func (v *runView) table() {
	slices.SortFunc(v.points, func(a, b executor.Event) int { return strings.Compare(a.Address, b.Address) })
	points := v.env.table()
	points.row("POINT", "KIND", amounts("READ"), amounts("STORED"), amounts("RATIO"), amounts("RATE"), amounts("TIME"), amounts("FROZEN"))
	var read, stored int64
	from, to := v.points[0].Point.Start, v.points[0].Point.End
	for _, e := range v.points {
		p := e.Point
		frozen := "-" // what the backup has cost the guest
		if p.Quiesced {
			frozen = fmt.Sprintf("%.2fs", float64(p.FrozenMS)/1000)
		}
		row := append([]any{fmt.Sprintf("%s@%s.%d", v.wants[e.Address].Domain, e.Chain, p.Sequence), kindWord(p.Kind)},
			costs(readBytes(*p), p.Stored(), p.End.Sub(p.Start))...)
		points.row(append(row, frozen)...)
		read, stored = read+readBytes(*p), stored+p.Stored()
		if p.Start.Before(from) {
			from = p.Start
		}
		if p.End.After(to) {
			to = p.End
		}
	}
	if n := len(v.points); n > 1 {
		points.row(append([]any{count(n, "point"), ""}, costs(read, stored, to.Sub(from))...)...)
	}
	points.print(v.env.stdout, v.env.columns())
}

// costs are bytes read and stored, their ratio, rate and time, as cells.
func costs(read, stored int64, took time.Duration) []any {
	ratio, rate := "-", "-"
	if stored > 0 && read > 0 {
		ratio = fmt.Sprintf("%.1f", float64(read)/float64(stored))
	}
	if took > 0 && read > 0 {
		rate = plan.Bytes(int64(float64(read)/took.Seconds())) + "/s"
	}
	return []any{plan.Bytes(read), plan.Bytes(stored), ratio, rate, span(took)}
}

// span is 3.1s, 12m5s or 3h4m5s.
func span(d time.Duration) string {
	if d < 100*time.Second {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// readBytes are the bytes of the guest that making a point has read and stored.
func readBytes(p store.Point) int64 {
	var read int64
	for _, d := range p.Disks {
		read += d.Data
	}
	return read
}

func describeAction(a plan.Action) string {
	switch a.Kind {
	case plan.KindBackup:
		return "making " + a.Backup.String() + "..."
	case plan.KindPrune:
		return fmt.Sprintf("releasing chain %s (%s)...", a.Prune.Chain, count(a.Prune.Points, "point"))
	case plan.KindMerge:
		return fmt.Sprintf("merging %s of chain %s into point %d...", count(len(a.Merge.Gone), "point"), a.Merge.Chain, a.Merge.Into)
	case plan.KindVerify:
		return fmt.Sprintf("reading every byte of %s of chain %s (%s)...", count(len(a.Verify.Points), "point"), a.Verify.Chain, plan.Bytes(a.Verify.Bytes))
	}
	return string(a.Kind) + "..."
}

func describeDone(e executor.Event) string {
	switch {
	case e.Point != nil:
		return fmt.Sprintf("point %s.%d is durable", e.Chain, e.Point.Sequence)
	case e.Action.Kind == plan.KindPrune:
		return fmt.Sprintf("chain %s is gone, %s free again", e.Action.Prune.Chain, plan.Bytes(e.Action.Prune.Stored))
	case e.Action.Kind == plan.KindMerge:
		return fmt.Sprintf("point %s.%d has taken in %s", e.Action.Merge.Chain, e.Action.Merge.Into, count(len(e.Action.Merge.Gone), "older point"))
	case e.Action.Kind == plan.KindVerify:
		return fmt.Sprintf("every byte of %s of chain %s was read, all is sound", count(len(e.Action.Verify.Points), "point"), e.Action.Verify.Chain)
	}
	return "cleaned up what an interrupted run left"
}
