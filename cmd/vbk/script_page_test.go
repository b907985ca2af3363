package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// pageCommand is a command line in a page of the documentation.
type pageCommand struct {
	line   int
	text   string
	shown  []string // what the page shows that it prints; nil: nothing is shown
	notRun string   // why no test runs it
}

// notRunMark stands in a page before a block whose commands no test can run.
var notRunMark = regexp.MustCompile(`^<!-- not run: (.+) -->$`)

// commandsOf reads a page. Its blocks are fenced, with a language: of sh every line is
// a command, of console those behind "$ ", with what they print below.
func commandsOf(file string) (all []pageCommand, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	language, mark := "", ""
	for n, line := range strings.Split(string(text), "\n") {
		if fence, ok := strings.CutPrefix(line, "```"); ok {
			if language != "" {
				language, mark = "", ""
			} else if language = fence; fence == "" {
				return nil, fmt.Errorf("%s:%d: the block has no language: sh, console, hcl, text ...", file, n+1)
			}
			continue
		}
		switch command, prompted := strings.CutPrefix(line, "$ "); {
		case language == "" && strings.HasPrefix(line, "    ") && n > 0 && !strings.HasPrefix(strings.TrimSpace(line), "*"):
			return nil, fmt.Errorf("%s:%d: an indented block: give it a fence and a language", file, n+1)
		case language == "" && notRunMark.MatchString(line):
			mark = notRunMark.FindStringSubmatch(line)[1]
		case language == "" && strings.TrimSpace(line) != "":
			mark = ""
		case language == "sh" && line != "" && !strings.HasPrefix(line, "#"):
			all = append(all, pageCommand{line: n + 1, text: line, notRun: mark})
		case language == "console" && prompted:
			all = append(all, pageCommand{line: n + 1, text: command, notRun: mark})
		case language == "console" && len(all) > 0:
			last := &all[len(all)-1]
			last.shown = append(last.shown, line)
		}
	}
	return all, nil
}

// pages are those whose commands are run; all have a script page_NAME.txtar.
func pages(t *testing.T) []string {
	t.Helper()
	all := []string{"../../README.md"}
	for _, pattern := range []string{"../../docs/*.md", "../../examples/*/README.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

// pageName is what tests call a page: readme, first_backup, example_review.
func pageName(page string) string {
	if dir := filepath.Dir(page); filepath.Base(filepath.Dir(dir)) == "examples" {
		return "example_" + filepath.Base(dir)
	}
	return strings.ToLower(strings.ReplaceAll(strings.TrimSuffix(filepath.Base(page), ".md"), "-", "_"))
}

// notRun are how many commands of each page CI does not run. It is to become less.
var notRun = map[string]int{"readme": 3, "every_night": 21, "first_backup": 2, "migrate": 1, "monitoring": 7, "performance": 2, "restore": 2}

// TestPagesAreRun wants a script for each page that has commands, and few commands
// that are not run, each with a reason.
func TestPagesAreRun(t *testing.T) {
	for _, page := range pages(t) {
		commands, err := commandsOf(page)
		if err != nil {
			t.Error(err)
			continue
		}
		skipped := 0
		for _, c := range commands {
			if c.notRun != "" {
				skipped++
			}
		}
		name := pageName(page)
		if skipped != notRun[name] {
			t.Errorf("%s: %d commands are not run, the table says %d", page, skipped, notRun[name])
		}
		if len(commands) == skipped {
			continue
		}
		file := "testdata/script/page_" + name + ".txtar"
		script, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("%s has commands and no script runs them: %v", page, err)
		} else if !strings.Contains(string(script), "\npage "+strings.TrimPrefix(page, "../../")) || !strings.Contains(string(script), "\npage end\n") {
			t.Errorf("%s does not run %s to its end", file, page)
		}
	}
}

// reading is a page whose commands a script runs.
type reading struct {
	page    string
	rest    []pageCommand
	shell   *shell
	replace *strings.Replacer
}

// openPage is page FILE [marked] [OLD=NEW...]: the commands of a page of the documentation
// are run by next, one after the other, as they stand there, but for these words;
// those that are marked as not run are left out, or run alone.
// page end wants all to have been run.
func openPage(ts *testscript.TestScript, neg bool, args []string) {
	th := of(ts)
	if neg || len(args) == 0 {
		ts.Fatalf("usage: page FILE [marked] [OLD=NEW...] | page end")
	}
	if args[0] == "end" {
		if n := len(th.page.rest); n > 0 {
			ts.Fatalf("%d commands of %s were not run, the first: %s", n, th.page.page, th.page.rest[0].text)
		}
		return
	}
	all, err := commandsOf(filepath.Join("../..", args[0]))
	ts.Check(err)
	words, marked := args[1:], len(args) > 1 && args[1] == "marked"
	if marked {
		words = words[1:]
	}
	th.page = &reading{page: args[0], rest: slices.DeleteFunc(all, func(c pageCommand) bool { return (c.notRun != "") != marked }),
		shell: newShell(ts), replace: replacer(words)}
}

// replacer replaces by OLD=NEW.
func replacer(words []string) *strings.Replacer {
	var pairs []string
	for _, a := range words {
		old, new, _ := strings.Cut(a, "=")
		pairs = append(pairs, old, new)
	}
	return strings.NewReplacer(pairs...)
}

// nextCommand is next [CODE] [WORDS...]: runs the next command of the page, which
// begins with these words, and wants its exit code. What the page shows as its
// output has to look like what it prints.
func nextCommand(ts *testscript.TestScript, neg bool, args []string) {
	r, want := of(ts).page, 0
	if len(args) > 0 {
		if code, err := strconv.Atoi(args[0]); err == nil {
			want, args = code, args[1:]
		}
	}
	if neg || r == nil || len(r.rest) == 0 {
		ts.Fatalf("next: the page has no command left")
	}
	c := r.rest[0]
	r.rest = r.rest[1:]
	if start := strings.Join(args, " "); !strings.HasPrefix(c.text, start) {
		ts.Fatalf("%s:%d: the next command is %s, not %s", r.page, c.line, c.text, start)
	}
	if err := r.shell.run(ts, r.replace.Replace(c.text), want); err != nil {
		ts.Fatalf("%s:%d: %v", r.page, c.line, err)
	}
	if c.shown != nil {
		wantShape(ts, r.page, c, r.shell.out.String())
	}
}

// wantShape compares what a page shows with what is printed, numbers, amounts,
// names of points and widths of columns aside. A simulation is the same each time.
func wantShape(ts *testscript.TestScript, page string, c pageCommand, printed string) {
	look := shape
	if strings.HasPrefix(c.text, "vbk simulate ") {
		look = strings.TrimSpace
	}
	shown := look(strings.Join(c.shown, "\n"))
	if got := look(printed); got != shown {
		ts.Fatalf("%s:%d: %s shows\n%s\nand prints\n%s", page, c.line, c.text, shown, got)
	}
}

var variesInOutput = []struct {
	pattern *regexp.Regexp
	to      string
}{
	{regexp.MustCompile(`\d{8}T\d{6}Z-[0-9a-f]{4}`), "CHAIN"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d`), "DAY"},
	{regexp.MustCompile(`\d\d:\d\d`), "TIME"},
	{regexp.MustCompile(`\d[\d.]*( ([KMGT]i)?B\b|[smhd]\b)?(/s)?`), "N"},
	{regexp.MustCompile(`(?m) -( |$)`), " N "},
	{regexp.MustCompile(`/\S*/`), ""},
	{regexp.MustCompile(` +`), " "},
	{regexp.MustCompile(`(?m) $`), ""},
}

func shape(text string) string {
	for _, v := range variesInOutput {
		text = v.pattern.ReplaceAllString(text, v.to)
	}
	return strings.TrimSpace(text)
}
