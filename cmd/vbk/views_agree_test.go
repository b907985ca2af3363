package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vbk/plan"
	"vbk/store"
	"vbk/virt"
)

// TestViewsAgree: whatever a plan says, its text, its JSON, the lines of plan -json, the
// report for GitLab and the Markdown say the same. The views are read as their readers
// read them; nothing of the program is asked but its output.
func TestViewsAgree(t *testing.T) {
	seen, every := map[string]int{}, []string{"+ point  full ", "+ point  resync ", "+ point  incremental ", " takes in ", "~ cleanup ", "<= verify ", "- 7 points ", "Not now: ",
		"is redefined", "is closed", "; frees ", "\nFrees ", "Departed: "}
	rapid.Check(t, func(rt *rapid.T) {
		w := newViewsWorld(t, rt)
		text := w.vbk("plan", "-inventory", "inventory.json", "-out", "p", "-json-into", "lines")
		w.sameText(text, w.vbk("show", "p"))
		told := readText(rt, text)
		document := readDocument(rt, w.vbk("show", "-json", "p"))
		told.agree(rt, text, document, w.have)
		wantLines(rt, w.read("lines"), document)
		wantReport(rt, w.vbk("show", "-format", "gitlab", "p"), document)
		told.wantMarkdown(rt, w.vbk("show", "-format", "markdown", "-max-bytes", "9999999", "p"))
		for _, words := range every {
			seen[words] += strings.Count(text, words)
		}
	})
	for _, words := range every {
		if seen[words] == 0 {
			t.Errorf("no plan says %q", words)
		}
	}
}

// viewsWorld is a configuration and an inventory in a directory.
type viewsWorld struct {
	*rapid.T
	dir  string
	have plan.Inventory
}

func newViewsWorld(t *testing.T, rt *rapid.T) viewsWorld {
	w := viewsWorld{T: rt, dir: t.TempDir()}
	_, w.have = fleet(t, rapid.IntRange(1, 10).Draw(rt, "machines"))
	for s := range w.have.Stores {
		for n := range w.have.Stores[s].Domains {
			w.folder(&w.have.Stores[s].Domains[n])
		}
	}
	for h := range w.have.Hosts {
		for n := range w.have.Hosts[h].Domains {
			w.domain(&w.have.Hosts[h].Domains[n])
		}
	}
	text, err := plan.EncodeInventory(w.have)
	if err != nil {
		t.Fatal(err)
	}
	base, _, _ := strings.Cut(fleetConfiguration, `policy "nightly"`)
	w.write("inventory.json", text)
	w.write("backup.vbk.hcl", []byte(base+w.blocks()))
	return w
}

func (w viewsWorld) pick(of ...string) string { return rapid.SampledFrom(of).Draw(w.T, "pick") }

func (w viewsWorld) one(in int) bool { return rapid.IntRange(1, in).Draw(w.T, "one in") == 1 }

func (w viewsWorld) blocks() string {
	var text strings.Builder
	for _, b := range [][2]string{
		{"web", `match = ["web*", "<*", "lab*"]` + "\n  store = store.local.nas"}, {"db", `match = ["db*"]` + "\n  store = store.local.vault"},
		{"away", `match = ["away*"]` + "\n  store = store.local.away"},
	} {
		block, rest := b[0], b[1]
		if block != "web" && w.one(6) { // its chains become orphans
			continue
		}
		fmt.Fprintf(&text, "domain %q {\n  %s\n  every = %q\n  rpo = %q\n  mode = %q\n  offline = %q\n", block, rest, w.pick("1h", "6h", "24h"), w.pick("25h", "30d"),
			w.pick("incremental", "incremental", "incremental", "full"), w.pick("backup", "skip", "start_paused"))
		fmt.Fprintf(&text, "  chain {\n    full_every = %q\n    on_broken = %q\n  }\n", w.pick("never", "3d", "7d"), w.pick("resync", "full", "fail"))
		fmt.Fprintf(&text, "  retention {\n    keep_last = %s\n    keep_daily = %s\n    prune = %q\n    max_prune = \"100%%\"\n  }\n", w.pick("1", "3", "40"), w.pick("1", "10"), w.pick("chain", "merge", "merge"))
		if w.one(2) {
			fmt.Fprintf(&text, "  verify {\n    every = %q\n  }\n", w.pick("7d", "60d"))
		}
		text.WriteString("}\n")
	}
	return text.String()
}

// folder is as the fleet has it, or spoiled.
func (w viewsWorld) folder(f *store.Domain) {
	c := &f.Chains[rapid.IntRange(0, len(f.Chains)-1).Draw(w.T, "chain")]
	if w.one(2) { // all checkpoints can be redefined
		for n := range f.Chains {
			for k := range f.Chains[n].Manifest.Points {
				p := &f.Chains[n].Manifest.Points[k]
				p.Files = []store.File{{Name: store.ExtraFileName(p.Sequence, p.Attempt, "checkpoint.xml"), Size: 700}}
			}
		}
	}
	switch rapid.IntRange(0, 9).Draw(w.T, "folder") {
	case 0:
		f.Attempt = &store.Attempt{PID: 4711, Host: "backup-1", Since: w.have.Taken.Add(-time.Hour), ID: "0badcafe", Domain: f.UUID}
	case 1:
		f.Leftovers = []string{c.Name + "/vda.full.0badcafe.v3"}
	case 2:
		c.Problems = append(c.Problems, store.Problem{File: "vda.inc.2.v3", Detail: "12 MiB short", From: 2})
	case 3:
		c.Manifest.Points[0].Protected = &store.Protection{Why: "audit"}
	case 4:
		for n := range c.Manifest.Points {
			d := &c.Manifest.Points[n].Disks[0]
			d.FileSize = rapid.Int64Range(0, 1<<50).Draw(w.T, "bytes")
			d.Stored = d.FileSize
		}
	}
}

// domain is as the fleet has it, or changed since.
func (w viewsWorld) domain(d *virt.Domain) {
	d.Disks[0].Allocated = rapid.Int64Range(0, 40<<30).Draw(w.T, "allocated")
	if len(d.Checkpoints) > 0 {
		d.Checkpoints[0].Disks[0].Dirty = rapid.Int64Range(0, 40<<30).Draw(w.T, "dirty")
	}
	switch rapid.IntRange(0, 11).Draw(w.T, "domain") {
	case 0:
		d.State = virt.ShutOff
	case 1:
		d.Disks[0].Format = "raw"
	case 2:
		d.Disks[0].Size *= 2
	case 3:
		d.Disks = append(d.Disks, virt.Disk{Target: "vdb", Device: "disk", Type: "file", Source: "/images/new.qcow2", Format: "qcow2", Size: 1 << 30, Allocated: 5 << 20})
	case 4:
		d.Checkpoints = nil
	case 5:
		for n := range d.Checkpoints {
			d.Checkpoints[n].Disks[0].Health = virt.Broken
		}
	case 6:
		d.Job = &virt.Job{Operation: "block copy"}
	case 7:
		d.Error = "the domain does not answer"
	}
}

func (w viewsWorld) write(name string, text []byte) {
	if err := os.WriteFile(filepath.Join(w.dir, name), text, 0o600); err != nil {
		w.Fatal(err)
	}
}

func (w viewsWorld) read(name string) string {
	text, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.Fatal(err)
	}
	return string(text)
}

// vbk runs a command, which may say that something failed, and returns what it prints.
func (w viewsWorld) vbk(args ...string) string {
	var out, heard bytes.Buffer
	env := &environment{stdin: strings.NewReader(""), stdout: &out, stderr: &heard, getenv: func(string) string { return "" }, dir: w.dir, now: time.Now}
	if code := env.main(context.Background(), append([]string{"vbk"}, args...)); code != exitOK && code != exitFailed {
		w.Fatalf("vbk %v: exit code %d\n%s%s", args, code, &out, &heard)
	}
	return out.String()
}

// sameText: show prints what plan has printed, but for where the plan was saved.
func (w viewsWorld) sameText(planned, shown string) {
	planned, _, _ = strings.Cut(planned, "\nSaved the plan to ")
	if planned != shown {
		w.Fatalf("plan prints\n%s\nshow prints\n%s", planned, shown)
	}
}

// told is what the text of a plan says.
type told struct {
	add, change, destroy int // as summed up
	plus, tilde, minus   int // as listed
	verified             int
	kinds                map[string]int
	read                 string
	freed                map[string]string // by store
	notDue, leftOut      int
}

var (
	planLine    = regexp.MustCompile(`(?m)^Plan: (\d+) to add, (\d+) to change, (\d+) to destroy\.$`)
	backupsText = regexp.MustCompile(`(?m)^Backups: (.+?) \((?:~|up to )([\d.]+ \w+) to read\)`)
	freesText   = regexp.MustCompile(`(?m)^(?:Backups: .+; f|F)rees (.+)\.$`)
	plusLine    = regexp.MustCompile(`^  \+ point  (\w+) .*  (store\.local\.\w+)$`)
	minusLine   = regexp.MustCompile(`^  - (\d+) points? of chain \S+(?:: [^(]+)? \((?:up to )?([\d.]+ \w+)\)   \S`)
	tildeLine   = regexp.MustCompile(`^  ~ (?:cleanup   |point \S+ takes in the data of \d+ points?$)`)
	verifyLine  = regexp.MustCompile(`^  <= verify (\d+) points? of chain `)
	notDueLine  = regexp.MustCompile(`(?m)^Not now: (\d+) instances? (?:is|are) not due `)
	leftOutLine = regexp.MustCompile(`(?m)^Left out by -target or -exclude: (\d+) `)
)

func readText(t *rapid.T, text string) told {
	all := told{kinds: map[string]int{}, freed: map[string]string{}}
	if m := planLine.FindStringSubmatch(text); m != nil {
		all.add, all.change, all.destroy = number(m[1]), number(m[2]), number(m[3])
	} else if !strings.HasPrefix(text, "No changes.") && !strings.HasPrefix(text, "No actions, ") {
		t.Fatalf("no sums in\n%s", text)
	}
	if m := backupsText.FindStringSubmatch(text); m != nil {
		all.read = m[2]
		for part := range strings.SplitSeq(m[1], ", ") {
			count, kind, _ := strings.Cut(part, " ")
			all.kinds[kind] = number(count)
		}
	}
	if m := freesText.FindStringSubmatch(text); m != nil {
		for part := range strings.SplitSeq(m[1], ", ") {
			bytes, address, _ := strings.Cut(strings.TrimPrefix(part, "up to "), " on ")
			all.freed[address] = bytes
		}
	}
	if m := notDueLine.FindStringSubmatch(text); m != nil {
		all.notDue = number(m[1])
	}
	if m := leftOutLine.FindStringSubmatch(text); m != nil {
		all.leftOut = number(m[1])
	}
	for line := range strings.Lines(text) {
		all.line(t, strings.TrimSuffix(line, "\n"))
	}
	return all
}

// line takes one that begins with a symbol; no other may.
func (all *told) line(t *rapid.T, line string) {
	switch symbol, _, _ := strings.Cut(strings.TrimPrefix(line, "  "), " "); {
	case !strings.HasPrefix(line, "  ") || strings.HasPrefix(line, "   "):
	case symbol == "+" && plusLine.MatchString(line):
		all.plus++
	case symbol == "-" && minusLine.MatchString(line):
		all.minus += number(minusLine.FindStringSubmatch(line)[1])
	case symbol == "~" && tildeLine.MatchString(line):
		all.tilde++
	case symbol == "<=" && verifyLine.MatchString(line):
		all.verified += number(verifyLine.FindStringSubmatch(line)[1])
	case symbol == "#", strings.HasPrefix(line, "  vbk apply"), strings.HasPrefix(line, "  vbk show"):
	default:
		t.Fatalf("what is the line %q?", line)
	}
}

func number(text string) int {
	n, _ := strconv.Atoi(text) // matched by digits
	return n
}

// document is as much of show -json as is compared.
type document struct {
	Changes []struct {
		Address, Type string
		Change        struct {
			Actions       []string
			Before, After *struct {
				UUID, Store, Chain, Kind string
				Sequence                 int
				Read                     int64 `json:"read_bytes"`
			}
		}
	} `json:"resource_changes"`
	Summary struct {
		Add, Change, Destroy int
		Read                 int64 `json:"read_bytes"`
		Freed                int64 `json:"freed_bytes"`
	}
	Instances []struct {
		Address, Error string
		Due            *time.Time
	}
	LeftOut []string `json:"left_out"`
}

func readDocument(t *rapid.T, text string) (d document) {
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d document) counts() map[string]int {
	counts := map[string]int{}
	for _, c := range d.Changes {
		counts[c.Change.Actions[0]]++
	}
	return counts
}

// agree compares text and JSON, and both with what the stores hold.
func (all told) agree(t *rapid.T, text string, d document, have plan.Inventory) {
	counts, kinds, read := d.counts(), map[string]int{}, int64(0)
	frees, made := map[string]int64{}, map[string]bool{}
	for _, c := range d.Changes {
		instance, _, _ := strings.Cut(c.Address, "@")
		switch c.Change.Actions[0] {
		case "create":
			kinds[map[string]string{"full": "full", "resync": "resync", "inc": "incremental"}[c.Change.After.Kind]]++
			read += c.Change.After.Read
			made[instance] = true
		case "delete":
			frees[c.Change.Before.Store] += storedBytes(have, c.Change.Before.UUID, c.Change.Before.Chain, c.Change.Before.Sequence)
		}
	}
	same := func(what string, got, want any) {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%s: the text says %v, JSON %v\n%s", what, got, want, text)
		}
	}
	same("add", []int{all.add, all.plus, d.Summary.Add}, []int{counts["create"], counts["create"], counts["create"]})
	same("change", []int{all.change, all.tilde, d.Summary.Change}, []int{counts["update"], counts["update"], counts["update"]})
	same("destroy", []int{all.destroy, all.minus, d.Summary.Destroy}, []int{counts["delete"], counts["delete"], counts["delete"]})
	same("kinds", all.kinds, kinds)
	same("stores that are freed", slices.Sorted(maps.Keys(all.freed)), slices.Sorted(maps.Keys(frees)))
	freed := int64(0)
	for address, bytes := range frees {
		freed += bytes
		if !roughly(all.freed[address], bytes) {
			t.Fatalf("the text says that %s of %s are freed, the stores %d bytes\n%s", all.freed[address], address, bytes, text)
		}
	}
	if freed != d.Summary.Freed || read != d.Summary.Read || counts["create"] > 0 && !roughly(all.read, read) {
		t.Fatalf("freed %d, read %d; the sums in JSON: %+v\n%s", freed, read, d.Summary, text)
	}
	if all.verified < counts["read"] || counts["read"] == 0 && all.verified > 0 && counts["update"] == 0 {
		t.Fatalf("the text has %d points verified, JSON %d\n%s", all.verified, counts["read"], text)
	}
	notDue := 0
	for _, i := range d.Instances {
		if i.Error == "" && i.Due != nil && !made[i.Address] {
			notDue++
		}
	}
	same("not due", all.notDue, notDue)
	same("left out", all.leftOut, len(d.LeftOut))
}

// storedBytes are those of a point's files.
func storedBytes(have plan.Inventory, uuid, chain string, sequence int) (bytes int64) {
	for _, s := range have.Stores {
		for _, f := range s.Domains {
			for _, c := range f.Chains {
				for _, p := range c.Manifest.Points {
					if f.UUID == uuid && c.Name == chain && p.Sequence == sequence {
						for _, d := range p.Disks {
							bytes += d.FileSize
						}
						for _, file := range p.Files {
							bytes += file.Size
						}
					}
				}
			}
		}
	}
	return bytes
}

// roughly says whether a size for people, of three digits, is that of so many bytes.
func roughly(text string, bytes int64) bool {
	digits, unit, _ := strings.Cut(text, " ")
	value, err := strconv.ParseFloat(digits, 64)
	power := slices.Index([]string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}, unit)
	if err != nil || power < 0 {
		return false
	}
	one := float64(int64(1) << (10 * power))
	_, decimals, _ := strings.Cut(digits, ".")
	last := one
	for range decimals {
		last /= 10
	}
	return max(value*one-float64(bytes), float64(bytes)-value*one) <= last/2*1.0001+0.5
}

// wantLines: the lines of plan -json sum up as the document does.
func wantLines(t *rapid.T, text string, d document) {
	counts := map[string]int{}
	for line := range strings.Lines(text) {
		var l struct {
			Type    string
			Change  struct{ Action string }
			Changes *struct {
				Add, Change, Remove int
			}
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if l.Type == "planned_change" {
			counts[l.Change.Action]++
		}
		if c := l.Changes; c != nil && (c.Add != d.Summary.Add || c.Change != d.Summary.Change || c.Remove != d.Summary.Destroy) {
			t.Fatalf("change_summary is %+v, the document says %+v", *c, d.Summary)
		}
	}
	if !maps.Equal(counts, d.counts()) {
		t.Fatalf("planned changes %v, the document has %v", counts, d.counts())
	}
	if n := strings.Count(text, `"change_summary"`); n != 1 {
		t.Fatalf("%d lines change_summary", n)
	}
}

func wantReport(t *rapid.T, text string, d document) {
	var report struct{ Create, Update, Delete int }
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		t.Fatal(err)
	}
	if report.Create != d.Summary.Add || report.Update != d.Summary.Change || report.Delete != d.Summary.Destroy {
		t.Fatalf("GitLab's report has %+v, the document %+v", report, d.Summary)
	}
}

var (
	deletedRow = regexp.MustCompile(`(?m)^\| (?:all )?(\d+)(?:: [^|]*)? \| <code>`)
	folded     = regexp.MustCompile(`<summary>(Made|Changed): (\d+)</summary>`)
	entity     = regexp.MustCompile(`&#(\d+);`)
)

// wantMarkdown reads it as it is shown.
func (all told) wantMarkdown(t *rapid.T, markdown string) {
	shown := entity.ReplaceAllStringFunc(markdown, func(e string) string {
		n := number(entity.FindStringSubmatch(e)[1])
		if n == 8203 {
			return ""
		}
		return string(rune(n))
	})
	want := fmt.Sprintf("### Plan: %d to add, %d to change, %d to destroy\n", all.add, all.change, all.destroy)
	if !strings.Contains(shown, want) || all.read != "" && !strings.Contains(shown, all.read+" to read)") {
		t.Fatalf("no %q, or not %s to read, in\n%s", want, all.read, markdown)
	}
	for address, bytes := range all.freed {
		if !strings.Contains(shown, bytes+" on "+address) {
			t.Fatalf("not %s on %s in\n%s", bytes, address, markdown)
		}
	}
	deleted, folds := 0, map[string]int{}
	before, _, _ := strings.Cut(markdown, "<details>")
	for _, m := range deletedRow.FindAllStringSubmatch(before, -1) {
		deleted += number(m[1])
	}
	for _, m := range folded.FindAllStringSubmatch(markdown, -1) {
		folds[m[1]] = number(m[2])
	}
	if deleted != all.destroy || folds["Made"] != all.add || folds["Changed"] != all.change {
		t.Fatalf("%d deleted and %v, the text says %+v\n%s", deleted, folds, all, markdown)
	}
}
