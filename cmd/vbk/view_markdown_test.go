package main

import (
	"fmt"
	"html"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"

	"vbk/config"
	"vbk/plan"
	"vbk/store"
)

// hostile is a name that wants to be markup, a link, a mention and a table.
const hostile = "a|b <img src=x onerror=alert(1)> </details> `code` **bold** [x](http://evil) @everyone #1 \x1b[31m\n# head \u202e www.evil &lt;"

// busyPlan makes, merges, deletes and fails, with names that others chose.
func busyPlan() plan.Plan {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	p := plan.Plan{Created: now, Version: "0.1.0", Warnings: []string{"careful: " + hostile}, Unclaimed: []string{hostile},
		Failures: []plan.Failure{{Object: "host.b", Error: hostile}},
		Checks:   []config.CheckResult{{Name: "c", Status: "fail", Message: hostile}}}
	for n := range 3 {
		name := fmt.Sprint(n, hostile)
		i := plan.Instance{Want: plan.Want{Address: fmt.Sprintf("domain.b[%q]", "hv/"+name), Domain: name, UUID: fmt.Sprint(n),
			Store: config.Store{Kind: "local", Name: "nas"}}}
		for chain := range 2 {
			for sequence := range 4 {
				i.Kept = append(i.Kept, plan.Kept{Chain: fmt.Sprintf("2026110%dT013000Z-000%d", chain+1, chain), Sequence: sequence, Start: now, Rules: []string{"keep_daily"}})
			}
		}
		i.Actions = []plan.Action{
			{Kind: plan.KindCleanup, Reason: "left by an interrupted run", Cleanup: &plan.Cleanup{RunFolder: hostile}},
			{Kind: plan.KindBackup, Reason: hostile, Backup: &plan.Backup{Kind: store.Increment, Chain: i.Kept[4].Chain, Head: 3, Estimate: 1 << 20, Disks: []plan.DiskBackup{{Target: "vda"}}}},
			{Kind: plan.KindPrune, Reason: "no rule keeps them", Prune: &plan.Prune{Chain: i.Kept[0].Chain, Points: 4, Stored: 4 << 20}},
			{Kind: plan.KindMerge, Reason: "no rule keeps them", Merge: &plan.Merge{Chain: i.Kept[4].Chain, Gone: []int{1, 2}, Into: 3, Stored: 2 << 20}},
		}
		p.Instances = append(p.Instances, i)
	}
	return p
}

// TestMarkdownCut cuts a plan at every length: what is left is whole.
func TestMarkdownCut(t *testing.T) {
	p := busyPlan()
	whole, err := markdownPlan(p, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(whole, cutSentence) {
		t.Error("a plan that fits is cut")
	}
	shown := 0
	for room := range len(whole) + len(cutSentence) + 2 {
		text, err := markdownPlan(p, room)
		if err != nil {
			continue
		}
		shown++
		if len(text) > room {
			t.Fatalf("%d bytes where %d were asked for", len(text), room)
		}
		if text != whole && !strings.HasSuffix(text, cutSentence) {
			t.Fatalf("cut at %d without a word", room)
		}
		if !strings.Contains(text, "3 to add, 6 to change, 18 to destroy") {
			t.Fatalf("no sums in %d bytes", room)
		}
		for _, tag := range []string{"details", "summary", "code"} {
			if a, b := strings.Count(text, "<"+tag+">"), strings.Count(text, "</"+tag+">"); a != b {
				t.Fatalf("cut at %d: %d <%s>, %d </%s>:\n%s", room, a, tag, b, tag, text)
			}
		}
		if folded := strings.Index(text, "<details>"); folded >= 0 && strings.Count(text[:folded], "no rule keeps them") != 6 {
			t.Fatalf("cut at %d: something is folded, and not every deletion is shown", room)
		}
	}
	if shown < len(whole)/2 {
		t.Errorf("only %d lengths hold the sums", shown)
	}
}

// TestMarkdownHostile leaves no markup but ours.
func TestMarkdownHostile(t *testing.T) {
	text, err := markdownPlan(busyPlan(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	ours := regexp.MustCompile("<!-- vbk plan -->|</?(details|summary|code)>")
	rest := ours.ReplaceAllString(text, "")
	for _, bad := range []string{"<", ">", "@", "[", "http:", "www.", "\x1b", "\u202e", "alert(1)>"} {
		if strings.Contains(rest, bad) {
			t.Errorf("%q is left in\n%s", bad, rest)
		}
	}
	for _, row := range strings.Split(text, "\n") {
		if strings.HasPrefix(row, "| ") && strings.Count(row, "|") != 6 && strings.Count(row, "|") != 5 && strings.Count(row, "|") != 3 {
			t.Errorf("a name has added a cell: %s", row)
		}
	}
}

// TestEscape keeps the text and loses its meaning.
func TestEscape(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		if len([]rune(text)) > longestText {
			t.Skip("cut")
		}
		escaped := escape(text)
		if plain := regexp.MustCompile(`&#[0-9]+;`).ReplaceAllString(escaped, ""); strings.ContainsAny(plain, "<>&|*_`[]\\@#~!$^{}:\n\r\t") {
			t.Fatalf("escape(%q) = %q", text, escaped)
		}
		want := strings.Map(func(r rune) rune {
			if !unicode.IsPrint(r) {
				return unicode.ReplacementChar
			}
			return r
		}, text)
		if got := strings.ReplaceAll(html.UnescapeString(escaped), "\u200b", ""); got != want {
			t.Fatalf("escape(%q) reads %q", text, got)
		}
	})
}
