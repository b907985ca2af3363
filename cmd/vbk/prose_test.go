package main

import (
	"bytes"
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/rogpeppe/go-internal/testscript"

	"vbk/config"
)

// TestProseIsRun wants every command with arguments that stands in a sentence, a
// table or a comment, outside of fenced blocks, to be run as it stands there, its
// placeholders filled in, by a line "typed" of a script.
func TestProseIsRun(t *testing.T) {
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	typedLine := regexp.MustCompile(`(?m)^(?:\[[a-z:]+\] )?typed (?:\d+ )?'([^']*(?:''[^']*)*)'`)
	isTyped := map[string]bool{}
	for _, file := range scripts {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range typedLine.FindAllStringSubmatch(string(text), -1) {
			isTyped[strings.ReplaceAll(m[1], "''", "'")] = true
		}
	}
	found := commandsInProse(t)
	for command, place := range found {
		if !isTyped[command] {
			t.Errorf("%s: no script runs %s: add \"typed '%s' PLACEHOLDER=VALUE...\" to testdata/script/prose.txtar", place, command, command)
		}
	}
	for command := range isTyped {
		if found[command] == "" {
			t.Errorf("a script runs %s, which stands nowhere", command)
		}
	}
	if len(found) < 40 {
		t.Errorf("found only %d commands: %v", len(found), found)
	}
}

// commandsInProse are the commands in code spans of pages and in indented comments of
// examples, with the first place where each stands.
func commandsInProse(t *testing.T) map[string]string {
	examples, err := filepath.Glob("../../examples/*/*.*")
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob("../../examples/offsite/*")
	if err != nil {
		t.Fatal(err)
	}
	policies, err := filepath.Glob("../../examples/review/policy/*")
	if err != nil {
		t.Fatal(err)
	}
	// A name of a command alone, as of a chapter, is none; nor is what is no command line.
	line := regexp.MustCompile(`^(?:[-*/0-9 ]+ root )?vbk (?:-chdir \S+ )?[a-z]+ \S|^VBK_[A-Z]+=\S+ vbk |` + // or one of these, with a file
		`^(?:qemu-img|sgdisk|fdisk|debugfs|virtnbdrestore) -?\S+ .*[A-Z/]`)
	found := map[string]string{}
	add := func(command, place string) {
		if line.MatchString(command) && !strings.Contains(command, ", ") { // which a message has
			found[command] = cmp.Or(found[command], place)
		}
	}
	for _, file := range pages(t) {
		for _, l := range outsideOfBlocks(t, file) {
			for n, span := range strings.Split(l, "`") {
				if n%2 == 1 {
					add(strings.ReplaceAll(span, `\|`, "|"), file)
				}
			}
		}
	}
	comment := regexp.MustCompile(`^(?:#|//) {2,}(\S.*)$`)
	for _, file := range slices.Concat(examples, scripts, policies) {
		if strings.HasSuffix(file, ".json") || strings.HasSuffix(file, ".md") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for l := range strings.Lines(string(text)) {
			if m := comment.FindStringSubmatch(strings.TrimSpace(l)); m != nil {
				add(m[1], file)
			}
		}
	}
	return found
}

// TestToolsInProse: the subcommands and options of virsh, and the targets of make, that
// the pages name are known to these.
func TestToolsInProse(t *testing.T) {
	if _, err := exec.LookPath("virsh"); err != nil {
		if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, page := range pages(t) {
		for _, l := range outsideOfBlocks(t, page) {
			for n, span := range strings.Split(l, "`") {
				words := strings.Fields(span)
				if n%2 == 0 || len(words) < 2 {
					continue
				}
				switch words[0] {
				case "make":
					seen++
					if !bytes.Contains(makefile, []byte("\n"+words[1]+":")) {
						t.Errorf("%s: %s: there is no such target", page, span)
					}
				case "virsh":
					seen++
					help, err := exec.Command("virsh", "help", words[1]).CombinedOutput()
					if err != nil {
						t.Errorf("%s: %s: %s", page, span, help)
					}
					for _, w := range words[2:] {
						if strings.HasPrefix(w, "--") && !bytes.Contains(help, []byte(w+" ")) {
							t.Errorf("%s: %s: virsh does not know %s", page, span, w)
						}
					}
				}
			}
		}
	}
	if seen < 15 {
		t.Errorf("found only %d commands", seen)
	}
}

// TestPageConfigurations: what stands in HCL in a page, but for fragments in the pages of
// the language, is valid as it stands, and formatted.
func TestPageConfigurations(t *testing.T) {
	seen := 0
	for _, page := range pages(t) {
		if name := filepath.Base(page); name == "language.md" || name == "reference.md" {
			continue
		}
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("(?s)```hcl\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			seen++
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "page.vbk.hcl"), []byte(m[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, _, diags := config.Load(dir, config.Inputs{}); len(diags) > 0 {
				t.Errorf("%s: %v", page, diags)
			}
			if formatted := hclwrite.Format([]byte(m[1])); string(formatted) != m[1] {
				t.Errorf("%s: formatted it is\n%s", page, formatted)
			}
		}
	}
	if seen < 2 {
		t.Errorf("found only %d configurations", seen)
	}
}

func outsideOfBlocks(t *testing.T, file string) (lines []string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	inBlock := false
	for l := range strings.Lines(string(text)) {
		if strings.HasPrefix(l, "```") {
			inBlock = !inBlock
		} else if !inBlock {
			lines = append(lines, l)
		}
	}
	return lines
}

// runTyped is typed [CODE] 'COMMAND' [OLD=NEW...]: runs a command line of the documentation
// with its placeholders filled in.
func runTyped(ts *testscript.TestScript, neg bool, args []string) {
	want := 0
	if len(args) > 0 {
		if code, err := strconv.Atoi(args[0]); err == nil {
			want, args = code, args[1:]
		}
	}
	if neg || len(args) == 0 {
		ts.Fatalf("usage: typed [CODE] 'COMMAND' [OLD=NEW...]")
	}
	command := args[0]
	if _, job, isCron := strings.Cut(command, " root "); isCron {
		command = job
	}
	ts.Check(newShell(ts).run(ts, replacer(args[1:]).Replace(command), want))
}
