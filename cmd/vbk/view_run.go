package main

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"vbk/executor"
	"vbk/plan"
)

// quietInterval is how often a run reports where there is no terminal.
const quietInterval = 30 * time.Second

// runView prints the events of a run: bars on a terminal, a line every 30 s
// otherwise, and a table of the new points at the end.
type runView struct {
	env    *environment
	paint  paint
	mu     sync.Mutex
	bars   *mpb.Progress // nil without a terminal
	shown  map[string]*mpb.Bar
	last   map[string]time.Time // of the line of an instance
	begun  map[string]time.Time
	points []executor.Event
}

func newRunView(env *environment, _ plan.Plan) *runView {
	v := &runView{env: env, paint: painter(env.color), shown: map[string]*mpb.Bar{}, last: map[string]time.Time{}, begun: map[string]time.Time{}}
	if env.terminal {
		v.bars = mpb.New(mpb.WithOutput(env.stdout), mpb.WithWidth(min(env.width, 100)))
	}
	return v
}

func (v *runView) event(e executor.Event) {
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
		v.endBar(e.Address, true)
		if e.Point != nil {
			v.points = append(v.points, e)
		}
		v.line("%s: %s", e.Address, v.paint.green(describeDone(e)))
	case executor.Skipped:
		v.line("%s: nothing to do: %s", e.Address, e.Why)
	case executor.Failed:
		v.endBar(e.Address, false)
		v.fail(e)
	}
}

// line prints above the bars.
func (v *runView) line(format string, args ...any) {
	var out io.Writer = v.env.stdout
	if v.bars != nil {
		out = v.bars
	}
	fmt.Fprintf(out, format+"\n", args...)
}

func (v *runView) fail(e executor.Event) {
	if v.bars != nil {
		v.line("%s %s: %v", v.paint.red("Error:"), e.Address, e.Err)
		if e.Hint != "" {
			v.line("  hint: %s", e.Hint)
		}
		return
	}
	v.env.complain(hint(fmt.Errorf("%s: %w", e.Address, e.Err), "%s", e.Hint))
}

func (v *runView) progress(e executor.Event) {
	if v.bars != nil {
		bar := v.shown[e.Address]
		if bar == nil {
			bar = v.newBar(e)
			v.shown[e.Address] = bar
		}
		if e.Done > e.Total {
			bar.SetTotal(e.Done, false)
		}
		bar.SetCurrent(e.Done)
		return
	}
	now := v.env.now()
	if now.Sub(v.last[e.Address]) < quietInterval {
		return
	}
	v.last[e.Address] = now
	rate := float64(e.Done) / max(now.Sub(v.begun[e.Address]).Seconds(), 0.001)
	v.line("%s: %s of ~%s, disk %s, %s/s", e.Address, plan.Bytes(e.Done), plan.Bytes(max(e.Total, e.Done)), e.Disk, plan.Bytes(int64(rate)))
}

func (v *runView) newBar(e executor.Event) *mpb.Bar {
	return v.bars.AddBar(max(e.Total, 1),
		mpb.PrependDecorators(decor.Name(e.Address+" ")),
		mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f"), decor.Name(" "),
			decor.EwmaSpeed(decor.SizeB1024(0), "% .1f", 30), decor.Name(" "), decor.AverageETA(decor.ET_STYLE_MMSS)))
}

func (v *runView) endBar(address string, complete bool) {
	if bar := v.shown[address]; bar != nil {
		if complete {
			bar.SetTotal(-1, true)
		} else {
			bar.Abort(false)
		}
		delete(v.shown, address)
	}
}

// close prints the table of what was made, and the sum.
func (v *runView) close(r executor.Result) {
	if v.bars != nil {
		for address := range v.shown {
			v.endBar(address, false)
		}
		v.bars.Wait()
	}
	if len(v.points) > 0 {
		slices.SortFunc(v.points, func(a, b executor.Event) int {
			return slices.Compare([]string{a.Address}, []string{b.Address})
		})
		fmt.Fprintln(v.env.stdout)
		table := tabwriter.NewWriter(v.env.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "INSTANCE\tPOINT\tKIND\tREAD\tSTORED\tRATIO\tTIME\tRATE")
		for _, e := range v.points {
			v.row(table, e)
		}
		_ = table.Flush() // writes to stdout, as everything here
	}
	fmt.Fprintf(v.env.stdout, "\nApply complete: %d done, %d skipped, %d failed.\n", r.Done, r.Skipped, r.Failed)
}

func (v *runView) row(table io.Writer, e executor.Event) {
	var read int64
	for _, d := range e.Point.Disks {
		read += d.Data
	}
	stored, took := e.Point.Stored(), e.Point.End.Sub(e.Point.Start)
	ratio := "-"
	if stored > 0 && read > 0 {
		ratio = fmt.Sprintf("%.1f", float64(read)/float64(stored))
	}
	rate := plan.Bytes(int64(float64(read)/max(took.Seconds(), 0.001))) + "/s"
	fmt.Fprintf(table, "%s\t%s.%d\t%s\t%s\t%s\t%s\t%.1fs\t%s\n", e.Address, e.Chain, e.Point.Sequence, e.Point.Kind,
		plan.Bytes(read), plan.Bytes(stored), ratio, took.Seconds(), rate)
}

func describeAction(a plan.Action) string {
	switch a.Kind {
	case plan.KindBackup:
		return "making " + a.Backup.String() + "..."
	case plan.KindPrune:
		return fmt.Sprintf("releasing chain %s (%d points)...", a.Prune.Chain, a.Prune.Points)
	}
	return string(a.Kind) + "..."
}

func describeDone(e executor.Event) string {
	switch {
	case e.Point != nil:
		return fmt.Sprintf("point %s.%d is durable", e.Chain, e.Point.Sequence)
	case e.Action.Kind == plan.KindPrune:
		return fmt.Sprintf("chain %s is gone, %s free again", e.Action.Prune.Chain, plan.Bytes(e.Action.Prune.Stored))
	}
	return "cleaned up what an interrupted run left"
}
