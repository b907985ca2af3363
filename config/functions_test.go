package config

import (
	goparser "go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// evaluated is the value of an expression in a directory, as JSON.
func evaluated(t *testing.T, dir, source string) (string, hcl.Diagnostics) {
	t.Helper()
	in := scope{map[string]cty.Value{}, functions(dir)}
	expr, diags := hclsyntax.ParseExpression([]byte("jsonencode("+source+")"), "test", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	v, diags := in.value(expr)
	if diags.HasErrors() {
		return "", diags
	}
	v, _ = v.Unmark()
	return v.AsString(), nil
}

func TestFunctions(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"names.txt": "a\nb\n", "greeting.tmpl": "%{ for n in names }<${upper(n)}>%{ endfor }", "data.yaml": "a: [1, 2]", "binary": "\xff", "nested.tmpl": `${templatefile("x", {})}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for source, want := range map[string]string{
		`duration("36h")`:                           `129600`,
		`bytes("4GiB") / bytes("1GiB")`:             `4`,
		`alltrue([])`:                               `true`,
		`alltrue([true, false])`:                    `false`,
		`anytrue([])`:                               `false`,
		`anytrue([false, true])`:                    `true`,
		`sum([1, 2.5])`:                             `3.5`,
		`one([])`:                                   `null`,
		`one(["a"])`:                                `"a"`,
		`one(toset(["a"]))`:                         `"a"`,
		`length("héllo")`:                           `5`,
		`length({ a = 1 })`:                         `1`,
		`length([1, 2])`:                            `2`,
		`startswith("web01", "web")`:                `true`,
		`endswith("web01", "1")`:                    `true`,
		`strcontains("web01", "eb")`:                `true`,
		`replace("a-b", "-", "+")`:                  `"a+b"`,
		`replace("a-b", "/[a-z]/", "x")`:            `"x-x"`,
		`basename("/a/b")`:                          `"b"`,
		`dirname("/a/b")`:                           `"/a"`,
		`base64decode(base64encode("ü"))`:           `"ü"`,
		`sha256("")`:                                `"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"`,
		`format("%02d-%s", 7, "x")`:                 `"07-x"`,
		`split("\n", trimspace(file("names.txt")))`: `["a","b"]`,
		`templatefile("greeting.tmpl", { names = ["x", "y"] })`: `"\u003cX\u003e\u003cY\u003e"`,
		`yamldecode(file("data.yaml")).a[1]`:                    `2`,
		`fileexists("names.txt")`:                               `true`,
		`fileexists("missing")`:                                 `false`,
		`try(file("missing"), "none")`:                          `"none"`,
		`can(file("../x"))`:                                     `false`,
		`[for n in range(3) : n if n > 0]`:                      `[1,2]`,
		`merge({ a = 1 }, { b = 2 })`:                           `{"a":1,"b":2}`,
		`sensitive("a") == "a"`:                                 `true`,
	} {
		got, diags := evaluated(t, dir, source)
		if diags.HasErrors() || got != want {
			t.Errorf("%s = %s, want %s; %v", source, got, want, diags)
		}
	}
	for source, want := range map[string]string{
		`file("binary")`:                   "not text in UTF-8",
		`file(".")`:                        "not a regular file",
		`file("/etc/hostname")`:            "is absolute",
		`one(toset(["a", "b"]))`:           "this has 2",
		`sum([null])`:                      "must not hold null",
		`length(7)`:                        "is required",
		`base64decode("!")`:                "illegal base64",
		`templatefile("nested.tmpl", {})`:  "no function named",
		`templatefile("greeting.tmpl", 1)`: "must be a map",
	} {
		if got, diags := evaluated(t, dir, source); !strings.Contains(diags.Error(), want) {
			t.Errorf("%s = %s, %v, want an error with %q", source, got, diags, want)
		}
	}
}

// TestFilesStayBelow checks that no path leads out of the directory of the
// configuration, not even through links, and that nothing else than a regular
// file is opened.
func TestFilesStayBelow(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "configuration")
	if err := os.MkdirAll(filepath.Join(dir, "below"), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{filepath.Join(root, "outside"), filepath.Join(dir, "below", "inside")} {
		if err := os.WriteFile(name, []byte("x"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"out": "../outside", "absolute": filepath.Join(root, "outside"), "up": "..", "in": "below/inside", "slash": "/"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"out", "absolute", "up/outside", "../outside", "below/../../outside", filepath.Join(root, "outside"), "slash/etc/passwd", "pipe", "below"} {
		for _, call := range []string{`file("` + name + `")`, `templatefile("` + name + `", {})`, `fileexists("` + name + `")`} {
			if got, diags := evaluated(t, dir, call); !diags.HasErrors() {
				t.Errorf("%s = %s", call, got)
			}
		}
	}
	for _, name := range []string{"in", "below/inside", "./below/inside", "below/../below/inside"} {
		if got, diags := evaluated(t, dir, `file("`+name+`")`); got != `"x"` {
			t.Errorf("%s: %s, %v", name, got, diags)
		}
	}
}

// TestFunctionsAreTheKnownOnes holds the list of functions, so that one that
// sees the clock, the environment or the network does not come in unseen.
func TestFunctionsAreTheKnownOnes(t *testing.T) {
	want := strings.Fields(`abs alltrue anytrue base64decode base64encode basename bytes can ceil chomp chunklist coalesce
		coalescelist compact concat contains csvdecode dirname distinct duration element endswith file fileexists flatten floor
		format formatlist join jsondecode jsonencode keys length log lookup lower max merge min one parseint pow range regex regexall
		replace reverse sensitive setintersection setproduct setsubtract setunion sha256 signum slice sort split startswith
		strcontains strrev substr sum templatefile title tobool tolist tomap tonumber toset tostring trim trimprefix trimspace
		trimsuffix try upper values yamldecode yamlencode zipmap`)
	if got := slices.Sorted(maps.Keys(functions("/"))); !slices.Equal(got, want) {
		t.Errorf("functions are %v", got)
	}
	for _, name := range []string{"timestamp", "plantimestamp", "env", "uuid", "bcrypt", "http", "pathexpand", "abspath", "nonsensitive"} {
		if _, diags := evaluated(t, "/", name+`("a")`); !strings.Contains(diags.Error(), "no function named") {
			t.Errorf("%s: %v", name, diags)
		}
	}
}

// TestNoEffects checks that the package can reach neither clock nor
// environment nor network: what it does not name it cannot call.
func TestNoEffects(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil || len(names) < 10 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range []string{"time.Now", "time.Since", "os.Getenv", "os.Environ", "os.LookupEnv", "os.ExpandEnv", "os.UserHomeDir", "os.Hostname"} {
			if strings.Contains(string(source), call) {
				t.Errorf("%s uses %s", name, call)
			}
		}
		file, err := goparser.ParseFile(token.NewFileSet(), name, source, goparser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range file.Imports {
			if slices.Contains([]string{`"net"`, `"net/http"`, `"os/exec"`, `"math/rand"`, `"math/rand/v2"`, `"crypto/rand"`}, i.Path.Value) {
				t.Errorf("%s imports %s", name, i.Path.Value)
			}
		}
	}
}
