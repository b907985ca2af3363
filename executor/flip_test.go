package executor_test

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"vbk/plan"
	"vbk/store"
)

// TestEveryByteCounts flips bytes of every file of a chain of three points with
// two disks, one at a time: of a data file the edges between its parts, and a
// sample of the rest, for package format flips all bytes of one, as package store
// does of a manifest. Each time the check finds it and blames that file, and every
// disk of every point reads as it was or not at all.
func TestEveryByteCounts(t *testing.T) {
	w := newWorld(t, t.TempDir(), 7)
	w.define(map[string]int64{"vda": 128 << 10, "vdb": 100 << 10})
	for range 3 {
		w.succeed(plan.Options{})
		w.scribble("vda", 1)
		w.scribble("vdb", 1)
		w.now = w.now.Add(25 * time.Hour)
	}
	w.exact()
	points := w.points()
	if len(points) != 3 {
		t.Fatalf("%d points", len(points))
	}
	dir := path.Join(points[0].folder, points[0].chain)
	entries, err := w.disk.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	flips := 0
	for _, e := range entries {
		name := path.Join(dir, e.Name)
		for _, at := range places(t, w, name, e.Size) {
			flips++
			flip(t, w, name, at)
			if why := w.harm(points, name); why != "" {
				t.Errorf("byte %d of %s: %s", at, e.Name, why)
			}
			flip(t, w, name, at)
		}
		if t.Failed() {
			return
		}
	}
	if flips < 700 {
		t.Errorf("only %d bytes were flipped", flips)
	}
	w.exact() // flipped back
	t.Log(flips, "bytes flipped")
}

func flip(t *testing.T, w *world, name string, at int) {
	t.Helper()
	if err := w.disk.Flip(name, at); err != nil {
		t.Fatal(err)
	}
}

// places are the offsets in a file to flip.
func places(t *testing.T, w *world, name string, size int64) (all []int) {
	t.Helper()
	h, err := w.disk.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	text := make([]byte, size)
	if n, err := h.ReadAt(text, 0); n < len(text) {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	step := 43
	data := strings.HasSuffix(name, ".v3")
	if data {
		step = 4093
	}
	for at := range text {
		part := at%4096 == 0 || at%4096 == 4095
		structure := text[at] != 0 && (at < 4096 || at >= len(text)-4096) && at%41 == 0
		if at%step == 0 || data && (part || structure) {
			all = append(all, at)
		}
	}
	return all
}

// harm says what a flipped byte does that it must not do: stay unseen, or change a
// disk.
func (w *world) harm(points []located, name string) string {
	findings, err := w.store().Check(w.ctx(), points[0].folder, true)
	if err != nil {
		return fmt.Sprintf("the check fails: %v", err)
	}
	if !slices.ContainsFunc(findings, func(f store.Finding) bool { return f.File == path.Base(name) }) {
		return fmt.Sprintf("the check blames only %+v", findings)
	}
	for _, l := range points {
		for _, d := range l.point.Disks {
			got, err := w.read(l, d.Target)
			if err == nil && !bytes.Equal(got, w.taken[l.point.Attempt][d.Target]) {
				return fmt.Sprintf("%s at point %d has other bytes", d.Target, l.point.Sequence)
			}
		}
	}
	return ""
}
