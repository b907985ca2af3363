package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"vbk/config"
)

// helpRaw is what a command line prints, of any width.
func helpRaw(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	env := &environment{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, getenv: func(string) string { return "" }}
	if code := env.main(t.Context(), append([]string{"vbk"}, args...)); code != 0 || stderr.Len() > 0 {
		t.Fatalf("vbk %s: exit code %d, stderr %q", strings.Join(args, " "), code, &stderr)
	}
	return stdout.String()
}

// TestManualIsTheProgram: every command, flag and exit code is in it.
func TestManualIsTheProgram(t *testing.T) {
	page, text := helpRaw(t, "manual"), helpRaw(t, "manual", "-format", "markdown")
	for _, section := range []string{"SYNOPSIS", "DESCRIPTION", "COMMANDS", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"} {
		if !strings.Contains(page, "\n.SH "+section+"\n") {
			t.Errorf("no section %s", section)
		}
	}
	global, commands := commandTable((&environment{}).app())
	all := append(commands, commandRow{name: "", flags: global})
	for _, c := range all {
		_, ofCommand, found := strings.Cut(text, "\n### vbk "+c.name+"\n")
		if c.name != "" && !found || !strings.Contains(page, "\n.SS vbk "+c.name) {
			t.Errorf("no command %s", c.name)
		}
		if c.name == "" {
			ofCommand = text
		}
		ofCommand, _, _ = strings.Cut(ofCommand, "\n### ")
		for _, f := range c.flags {
			if !strings.Contains(ofCommand, strings.TrimSpace("\n* `-"+f.name+" "+f.value)+"`: ") || !strings.Contains(page, `\fB\-`+strings.ReplaceAll(f.name, "-", `\-`)) {
				t.Errorf("vbk %s: no flag -%s", c.name, f.name)
			}
		}
	}
	guarantees, err := os.ReadFile("../../docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range exitMeanings() {
		if row := fmt.Sprintf("| %d | %s |", e.code, e.meaning); !strings.Contains(strings.ReplaceAll(string(guarantees), "`", ""), row) {
			t.Errorf("docs/guarantees.md has no row %s", row)
		}
		wantOnPage(t, text, fmt.Sprintf("* `%d`: ", e.code))
	}
}

// TestManualIsAPage: man's own checks find nothing.
func TestManualIsAPage(t *testing.T) {
	manIsContent(t, helpRaw(t, "manual"))
	manIsContent(t, helpRaw(t, "manual", "language"))
}

func manIsContent(t *testing.T, page string) {
	t.Helper()
	for _, l := range strings.Split(page, "\n") {
		if strings.HasPrefix(l, "'") || strings.HasPrefix(l, ".") && !strings.HasPrefix(l, ".TH ") && !strings.HasPrefix(l, ".S") &&
			l != ".PP" && l != ".TP" && l != ".nf" && l != ".fi" && l != ".br" {
			t.Errorf("text became a request: %s", l)
		}
	}
	for _, check := range [][]string{{"mandoc", "-T", "lint", "-W", "warning"}, {"groff", "-man", "-z", "-ww"}} {
		if _, err := exec.LookPath(check[0]); err != nil {
			peerMissing(t, check[0]+" is not installed")
		}
		cmd := exec.Command(check[0], check[1:]...)
		cmd.Stdin = strings.NewReader(page)
		out, err := cmd.CombinedOutput()
		if err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		for l := range strings.Lines(string(out)) {
			if !strings.Contains(l, "missing date") { // tests are built without one
				t.Errorf("%s: %s", strings.Join(check, " "), l)
			}
		}
	}
}

// TestManualPage: docs/manual.md, docs/reference.md and the schema of the language
// are what this program prints. UPDATE_DOCS=1 writes them.
func TestManualPage(t *testing.T) {
	for name, args := range map[string][]string{
		"manual.md":    {"manual", "-format", "markdown"},
		"reference.md": {"manual", "-format", "markdown", "language"},

		"schema/configuration.json": {"manual", "-format", "schema", "language"},
	} {
		file, text := "../../docs/"+name, helpRaw(t, args...)
		if os.Getenv("UPDATE_DOCS") == "1" {
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		page, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(page) != text {
			t.Errorf("docs/%s is not what this program prints: make docs writes it", name)
		}
	}
}

// TestReferenceHasTheLanguage: every block, argument, word, type and function is
// on the page, and each heading that it links to.
func TestReferenceHasTheLanguage(t *testing.T) {
	page, l := helpRaw(t, "manual", "-format", "markdown", "language"), config.Describe()
	var blocks func(all []config.Block)
	blocks = func(all []config.Block) {
		for _, b := range all {
			wantOnPage(t, page, "`"+b.Header())
			for _, a := range b.Arguments {
				wantOnPage(t, page, "| `"+a.Name)
				for _, w := range a.Words {
					wantOnPage(t, page, fmt.Sprintf("%q`", w.Text))
				}
			}
			blocks(b.Blocks)
		}
	}
	blocks(append(l.Blocks, l.Policy.Blocks...))
	for _, a := range l.Policy.Arguments {
		wantOnPage(t, page, "| `"+a.Name+"` |")
	}
	for _, f := range l.Forms {
		wantOnPage(t, page, "| "+f.Name+" |")
	}
	for _, f := range l.Functions {
		wantOnPage(t, page, "| `"+f.Call+"` |")
	}
	for _, v := range l.Values {
		wantOnPage(t, page, "| `"+v.Name+"` |")
	}
}
