package main

import (
	"cmp"
	"fmt"
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
// otherwise, and a table of the new points at the end.
type runView struct {
	env     *environment
	stream  *runStream
	paint   paint
	mu      sync.Mutex
	bars    *bars                // nil without a terminal
	last    map[string]time.Time // of the line of an instance
	begun   map[string]time.Time
	points  []executor.Event
	failed  []executor.Event  // told after the bars
	code    int               // exitPanic if a failure is a bug of ours
	names   map[string]string // of domains, by the address of their instance
	scratch map[string]string // directories of their hosts, likewise
	known   map[string]string // errors of instances that the plan has told already
}

func newRunView(env *environment, p plan.Plan) *runView {
	v := &runView{env: env, stream: newRunStream(env, p), paint: painter(env.color), last: map[string]time.Time{}, begun: map[string]time.Time{},
		names: map[string]string{}, scratch: map[string]string{}, known: map[string]string{}}
	disks, bytes := 0, int64(0)
	for _, i := range p.Instances {
		v.names[i.Want.Address] = i.Want.Domain
		v.scratch[i.Want.Address] = i.Want.Host.ScratchDir
		if b := i.Backup(); b != nil {
			disks += len(b.Disks)
			bytes += b.Estimate
		}
	}
	v.bars = env.newBars()
	if v.bars != nil && disks > 1 {
		v.bars.expect(bytes)
	}
	return v
}

func (v *runView) event(e executor.Event) {
	v.stream.event(e)
	v.mu.Lock()
	defer v.mu.Unlock()
	switch e.Kind {
	case executor.Started:
		v.begun[e.Address] = v.env.now()
		v.last[e.Address] = v.env.now()
		v.line("%s: %s", e.Address, describeAction(*e.Action))
	case executor.Progress:
		v.progress(e)
	case executor.Done:
		v.endBar(e.Address)
		if e.Point != nil {
			v.points = append(v.points, e)
		}
		v.line("%s: %s", e.Address, v.paint.green(describeDone(e)))
		if e.Why != "" {
			v.line("%s: %s", e.Address, v.paint.yellow(e.Why))
		}
	case executor.Skipped:
		v.line("%s: nothing to do: %s", e.Address, e.Why)
	case executor.Warned:
		v.line("%s: %s", e.Address, v.paint.yellow("warning: "+e.Err.Error()))
	case executor.Failed:
		v.endBar(e.Address)
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

func (v *runView) endBar(address string) {
	if v.bars != nil {
		v.bars.endAll(address + " ")
	}
}

// fail tells at once, or after the bars, which errors would tear apart.
func (v *runView) fail(e executor.Event) {
	v.code = graver(v.code, codeOf(failWith(exitFailed, e.Err)))
	switch {
	case e.Err.Error() == v.known[e.Address]:
	case v.bars != nil:
		v.line("%s: %s", e.Address, v.paint.red("failed"))
		v.failed = append(v.failed, e)
	default:
		v.complain(e)
	}
}

func (v *runView) complain(e executor.Event) {
	v.env.complain(hint(fmt.Errorf("%s: %w", e.Address, e.Err), "%s", cmp.Or(e.Hint, socketHint(e.Err.Error(), v.scratch[e.Address]))))
}

// socketHint is what to do where QEMU may not make its socket; "" for other errors.
func socketHint(text, scratch string) string {
	lower := strings.ToLower(text)
	if !strings.Contains(text, "Permission denied") || !strings.Contains(lower, "nbd") && !strings.Contains(lower, "socket") {
		return ""
	}
	return fmt.Sprintf("AppArmor may keep QEMU out of %s: allow it in /etc/apparmor.d/local/abstractions/libvirt-qemu, see docs/guarantees.md", scratch)
}

func (v *runView) progress(e executor.Event) {
	if v.bars != nil {
		key := e.Address + " " + e.Disk
		v.bars.set(key, v.names[e.Address]+" "+e.Disk, e.DiskDone, e.DiskTotal)
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
	v.stream.close()
	if len(v.points) > 0 {
		slices.SortFunc(v.points, func(a, b executor.Event) int {
			return slices.Compare([]string{a.Address}, []string{b.Address})
		})
		fmt.Fprintln(v.env.stdout)
		var points table
		points.row("POINT", "KIND", "READ", "STORED", "RATIO", "RATE", "TIME", "FROZEN")
		for _, e := range v.points {
			v.row(&points, e)
		}
		points.print(v.env.stdout, v.env.columns())
	}
	for _, e := range v.failed {
		v.complain(e)
	}
	how := "complete"
	switch {
	case interrupted:
		how = "interrupted"
	case r.Failed > 0:
		how = "incomplete"
	}
	fmt.Fprintf(v.env.stdout, "\n%s %d done, %d skipped, %d failed.\n", v.paint.bold("Apply "+how+":"), r.Done, r.Skipped, r.Failed)
}

// row is a line of the table. A frozen guest is what the backup has cost it.
func (v *runView) row(points *table, e executor.Event) {
	read := readBytes(*e.Point)
	stored, took := e.Point.Stored(), e.Point.End.Sub(e.Point.Start)
	ratio, rate, frozen := "-", "-", "-"
	if stored > 0 && read > 0 {
		ratio = fmt.Sprintf("%.1f", float64(read)/float64(stored))
	}
	if took > 0 && read > 0 {
		rate = plan.Bytes(int64(float64(read)/took.Seconds())) + "/s"
	}
	if e.Point.Quiesced {
		frozen = fmt.Sprintf("%.2fs", float64(e.Point.FrozenMS)/1000)
	}
	points.row(fmt.Sprintf("%s@%s.%d", v.names[e.Address], e.Chain, e.Point.Sequence), kindWord(e.Point.Kind),
		plan.Bytes(read), plan.Bytes(stored), ratio, rate, fmt.Sprintf("%.1fs", took.Seconds()), frozen)
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
