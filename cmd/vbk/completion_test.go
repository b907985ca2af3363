package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// shell is where a completion is tried, with a file and a directory around.
type shell struct{ path, script, dir string }

func newShell(t *testing.T, name string) shell {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	s := shell{path: path, dir: t.TempDir()}
	s.script = filepath.Join(t.TempDir(), "completion")
	if err := os.WriteFile(s.script, []byte(helpRaw(t, "completion", name)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "a file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	return s
}

// run returns the lines that a program in the shell's language prints.
func (s shell) run(t *testing.T, program string, args ...string) []string {
	t.Helper()
	cmd := exec.Command(s.path, append([]string{"-c", program}, args...)...)
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), "HOME="+s.dir, "XDG_CONFIG_HOME="+s.dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(lines)
	return lines
}

// completions are what is offered for the last of these words, and what is not.
var completions = []struct {
	words     []string
	want, not []string
}{
	{[]string{"pl"}, []string{"plan"}, []string{"apply"}},
	{[]string{""}, []string{"init", "apply", "restore", "completion"}, []string{"guard-frozen", "a file"}},
	{[]string{"-ch"}, []string{"-chdir"}, []string{"plan"}},
	{[]string{"-chdir", ""}, []string{"folder"}, []string{"plan", "a file"}},
	{[]string{"-chdir", "folder", "si"}, []string{"simulate"}, nil},
	{[]string{"plan", "-no-"}, []string{"-no-prune"}, []string{"-no-color", "-out"}},
	{[]string{"plan", "-out", ""}, []string{"a file", "folder"}, []string{"plan"}},
	{[]string{"plan", "-base", ""}, []string{"folder"}, []string{"a file"}},
	{[]string{"status", "-format", ""}, []string{"text", "json", "nagios", "prometheus", "html"}, []string{"a file"}},
	{[]string{"restore", "-format", "q"}, []string{"qcow2"}, []string{"raw"}},
	{[]string{"convert", "x@y", "-stream", "v"}, []string{"v3", "virtnbdbackup"}, nil},
	{[]string{"dump", ""}, []string{"a file"}, []string{"plan"}},
	{[]string{"import", ""}, []string{"folder"}, []string{"a file"}},
	{[]string{"completion", ""}, []string{"bash", "zsh", "fish"}, []string{"a file"}},
	{[]string{"protect", "-why", ""}, nil, []string{"a file", "plan"}},
}

func wantOffer(t *testing.T, words, offered, want, not []string) {
	t.Helper()
	for _, w := range want {
		if !slices.Contains(offered, w) {
			t.Errorf("vbk %q: %q is not offered, but %q", words, w, offered)
		}
	}
	for _, w := range not {
		if slices.Contains(offered, w) {
			t.Errorf("vbk %q: %q is offered", words, w)
		}
	}
}

func TestBashCompletion(t *testing.T) {
	s := newShell(t, "bash")
	for _, c := range completions {
		offered := s.run(t, `. "$0"; COMP_WORDS=(vbk "$@"); COMP_CWORD=$#; _vbk; printf '%s\n' "${COMPREPLY[@]}"`, append([]string{s.script}, c.words...)...)
		wantOffer(t, c.words, offered, c.want, c.not)
	}
	offered := s.run(t, `. "$0"; COMP_WORDS=(vbk "$@"); COMP_CWORD=$#; _vbk; printf '%s\n' "${COMPREPLY[@]}"`, s.script, "plan", "--no-")
	wantOffer(t, []string{"plan", "--no-"}, offered, []string{"--no-prune"}, []string{"-no-prune"})
}

func TestFishCompletion(t *testing.T) {
	s := newShell(t, "fish")
	for _, c := range completions {
		var line strings.Builder
		line.WriteString("vbk")
		for _, w := range c.words {
			line.WriteString(" " + w)
		}
		var offered []string
		for _, l := range s.run(t, "source "+s.script+"; complete -C '"+line.String()+"'") {
			word, _, _ := strings.Cut(l, "\t")
			offered = append(offered, strings.TrimSuffix(strings.ReplaceAll(word, `\`, ""), "/"))
		}
		wantOffer(t, c.words, offered, c.want, c.not)
	}
}

// TestZshCompletion asks zsh to parse it: its widgets need a terminal.
func TestZshCompletion(t *testing.T) {
	s := newShell(t, "zsh")
	s.run(t, `zsh -n "$0"`, s.script)
	s.run(t, `autoload -U compinit && compinit -D -u && . "$0" && [ "$_comps[vbk]" = _vbk ]`, s.script)
}

// TestCompletionIsTheProgram: each shell offers every command and every flag.
func TestCompletionIsTheProgram(t *testing.T) {
	global, commands := commandTable((&environment{}).app())
	if len(global) < 2 || len(commands) < 18 {
		t.Fatalf("the table has %d flags and %d commands", len(global), len(commands))
	}
	bash, zsh, fish := helpRaw(t, "completion", "bash"), helpRaw(t, "completion", "zsh"), helpRaw(t, "completion", "fish")
	for _, c := range commands {
		for _, f := range c.flags {
			for script, part := range map[string]string{
				bash: "    " + c.name + ") flags='" + flagNames(c.flags) + "'",
				zsh:  "-" + f.name + "[" + zshText(f.usage) + "]",
				fish: "__fish_seen_subcommand_from " + c.name + "' -o " + f.name + " ",
			} {
				if !strings.Contains(strings.ReplaceAll(script, `'\''`, "'"), part) {
					t.Errorf("%s...: no %s", script[:20], part)
				}
			}
		}
	}
}
