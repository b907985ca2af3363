package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"vbk/plan"
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
