package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// offered are the words and directives that the program offers for the last of
// these words, without what it says of each.
func offered(t *testing.T, dir string, words ...string) (all []string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	env := &environment{dir: dir, stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, getenv: noEnvironment, now: time.Now}
	if code := env.main(t.Context(), append([]string{"vbk", completeWords, "--"}, words...)); code != 0 || stderr.Len() > 0 {
		t.Fatalf("vbk %s %q: exit code %d, stderr %q", completeWords, words, code, &stderr)
	}
	for line := range strings.Lines(stdout.String()) {
		word, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		all = append(all, word)
	}
	return all
}

// TestOffers: what could stand under the cursor, of a store with a domain web01
// that has two points of a disk vda.
func TestOffers(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "backup.vbk.hcl"), []byte(staticConfiguration), 0o600); err != nil {
		t.Fatal(err)
	}
	makeStore(t, dir)
	points := offered(t, dir, "restore", "web01@2")
	if len(points) != 2 || !slices.IsSortedFunc(points, func(a, b string) int { return strings.Compare(b, a) }) {
		t.Fatalf("points %q, want two, the newest first", points)
	}
	chain, _, _ := strings.Cut(points[0], ".")
	here := filepath.Base(dir)
	for _, c := range []struct {
		words     string // apart by spaces; the last may be empty
		want, not []string
	}{
		{"", []string{"init", "apply", "restore", "completion"}, []string{"guard-frozen", completeWords, "-chdir"}},
		{"pl", []string{"plan"}, []string{"apply"}},
		{"help pl", []string{"plan"}, []string{"apply"}},
		{"plam ", nil, nil},
		{"-ch", []string{"-chdir"}, []string{"plan"}},
		{"--", []string{"--chdir", "--no-color", "--version", "--help"}, []string{"-chdir"}},
		{"-chdir ", []string{":directories"}, []string{"plan"}},
		{"-chdir folder si", []string{"simulate"}, nil},
		{"plan -no-", []string{"-no-prune", "-no-color"}, []string{"-out"}},
		{"plan -no-prune -no-", []string{"-no-color"}, []string{"-no-prune"}},
		{"plan -target x -ta", []string{"-target"}, nil},
		{"plan --no-", []string{"--no-prune"}, []string{"-no-prune"}},
		{"plan -out ", []string{":files"}, nil},
		{"plan -base ", []string{":directories"}, nil},
		{"plan ", nil, nil},
		{"plan -target d", []string{"domain.web"}, nil},
		{"apply ", []string{":files"}, nil},
		{"status -format ", []string{"text", "json", "nagios", "prometheus", "html"}, nil},
		{"status -format=h", []string{"-format=html"}, []string{"-format=json"}},
		{"restore -format q", []string{"qcow2"}, []string{"raw"}},
		{"restore web01@latest -o ", []string{":directories"}, nil},
		{"restore w", []string{"web01@", ":nospace"}, nil},
		{"restore 'w", []string{"web01@"}, nil},
		{"restore x", nil, nil},
		{"restore web01@", append([]string{"web01@latest"}, points...), []string{":nospace"}},
		{"restore web01@l", []string{"web01@latest"}, nil},
		{"restore web01@latest ", nil, nil},
		{"restore web01@latest -disk ", []string{"vda"}, nil},
		{"restore -disk vda " + points[1][:len(points[1])-1], points, nil},
		{"restore -host ", []string{"local"}, nil},
		{"serve -i backup -until ", []string{points[0][len("web01@"):]}, nil},
		{"serve -i backup ", nil, nil},
		{"list ", []string{"web01"}, []string{"web01@"}},
		{"verify web01@l", []string{"web01@latest"}, nil},
		{"verify web01 we", []string{"web01"}, nil},
		{"convert w", []string{"web01@"}, nil},
		{"convert web01@", []string{chain}, points},
		{"convert x@y -stream v", []string{"v3", "virtnbdbackup"}, nil},
		{"convert -codec ", []string{"none", "zstd", "lz4"}, nil},
		{"dump ", []string{":files"}, nil},
		{"dump a ", []string{":files"}, nil},
		{"import ", []string{":directories"}, nil},
		{"import -store ", []string{"store.local.backup"}, nil},
		{"completion ", []string{"bash", "zsh", "fish"}, nil},
		{"protect -why ", nil, nil},
		{"protect -- -", nil, []string{"-why"}},
		{"-chdir ../" + here + " list ", []string{"web01"}, nil},
		{"-chdir nowhere list ", nil, nil},
	} {
		got := offered(t, dir, strings.Split(c.words, " ")...)
		for _, w := range c.want {
			if !slices.Contains(got, w) {
				t.Errorf("vbk %s: %q is not offered, but %q", c.words, w, got)
			}
		}
		for _, w := range c.not {
			if slices.Contains(got, w) {
				t.Errorf("vbk %s: %q is offered", c.words, w)
			}
		}
		if c.want == nil && c.not == nil && len(got) > 0 {
			t.Errorf("vbk %s: offered are %q", c.words, got)
		}
	}
}

// TestOffersOfManyFolders: of a big store the folders' names alone are read, and of
// those that are left their domains'.
func TestOffersOfManyFolders(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "backup.vbk.hcl"), []byte(staticConfiguration), 0o600); err != nil {
		t.Fatal(err)
	}
	makeStore(t, dir)
	for n := range 3 * fewFolders { // they hold nothing that could be read
		name := "db-" + strings.Repeat("x", n) + "-0000000a"
		if err := os.Mkdir(filepath.Join(dir, "backup", name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if all := offered(t, dir, "list", ""); len(all) != 3*fewFolders+1 || !slices.Contains(all, "web01") {
		t.Errorf("offered are %q", all)
	}
	if all := offered(t, dir, "restore", "web01@l"); !slices.Equal(all, []string{"web01@latest"}) {
		t.Errorf("offered are %q", all)
	}
	if all := offered(t, dir, "restore", "w"); !slices.Equal(all, []string{"web01@", ":nospace"}) {
		t.Errorf("offered are %q", all)
	}
}

// TestOffersAreTheProgram: every flag of every command is offered.
func TestOffersAreTheProgram(t *testing.T) {
	_, commands := commandTable((&environment{}).app())
	if len(commands) < 18 {
		t.Fatalf("the table has %d commands", len(commands))
	}
	for _, c := range commands {
		got := offered(t, t.TempDir(), c.name, "-")
		for _, f := range c.flags {
			if !slices.Contains(got, "-"+f.name) {
				t.Errorf("vbk %s: -%s is not offered, but %q", c.name, f.name, got)
			}
		}
	}
}

// TestCompletions types into real shells.
func TestCompletions(t *testing.T) {
	p := buildProgram(t, "0")
	if err := os.WriteFile(filepath.Join(p.dir, "backup.vbk.hcl"), []byte(staticConfiguration), 0o600); err != nil {
		t.Fatal(err)
	}
	makeStore(t, p.dir)
	if err := os.Mkdir(filepath.Join(p.dir, "my folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, begin := range map[string]func(*testing.T, program) func(string) string{"bash": inTerminal("bash"), "zsh": inTerminal("zsh"), "fish": inFish} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(name); err != nil {
				peerMissing(t, name+" is not installed")
			}
			t.Parallel()
			complete := begin(t, p)
			for _, c := range completedLines {
				if got := complete(c.typed); !strings.HasPrefix(got, c.want) {
					t.Errorf("%s is completed to %s, want %s", c.typed, got, c.want)
				}
			}
		})
	}
}

// completedLines are what is typed before a tab, and the words of the line after
// it, as far as they are known, apart by |.
var completedLines = []struct{ typed, want string }{
	{"vbk pl", "vbk|plan"},
	{"vbk -ch", "vbk|-chdir"},
	{"vbk plan --detail", "vbk|plan|--detailed-exitcode"},
	{"vbk status -format n", "vbk|status|-format|nagios"},
	{"vbk status -format=n", "vbk|status|-format=nagios"},
	{"vbk list w", "vbk|list|web01"},
	{"vbk restore w", "vbk|restore|web01@"},
	{"vbk restore web01@l", "vbk|restore|web01@latest"},
	{"vbk restore web01@2", "vbk|restore|web01@20261122T120000Z-"},
	{"vbk restore web01@latest -o my", "vbk|restore|web01@latest|-o|my folder"},
	{"vbk -chdir 'my folder/..' list w", "vbk|-chdir|my folder/..|list|web01"},
	{"vbk dump back", "vbk|dump|backup"},
	{"vbk import nothing-of-this-na", "vbk|import|nothing-of-this-na"},
}
