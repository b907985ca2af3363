package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/rogpeppe/go-internal/testscript"

	"vbk/virt"
	"vbk/virt/virttest"
)

// releases has a folder for each version: a configuration with what it meant, the
// store that it made, the sum of each disk at each point, and the schemas of what it
// printed. They are never written again once the version is out.
const releases = "testdata/release"

// TestReleases: what an older version has written is read, goes on, and means what
// it meant (docs/compatibility.md).
func TestReleases(t *testing.T) {
	if v := os.Getenv("UPDATE_RELEASE"); v != "" {
		makeRelease(t, v)
	}
	all, err := filepath.Glob(releases + "/*/sums.txt")
	if err != nil || len(all) == 0 {
		t.Fatalf("releases %v: %v", all, err)
	}
	for _, sums := range all {
		dir := filepath.Dir(sums)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			r := openRelease(t, dir)
			r.sameMeaning(t)
			r.samePoints(t)
			r.goesOn(t)
			r.sameMetrics(t)
			r.planIsUnderstood(t)
		})
	}
}

// makeRelease writes the folder of a version that is not out yet.
func makeRelease(t *testing.T, version string) {
	if version+"-dev" != unreleased {
		t.Fatalf("the folder of %s is not written again: this is %s", version, unreleased)
	}
	to := filepath.Join(releases, version)
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	commands := scriptCommands()
	commands["keep"] = func(ts *testscript.TestScript, _ bool, _ []string) {
		ts.Check(os.CopyFS(filepath.Join(to, "store"), os.DirFS(ts.MkAbs("store"))))
		for _, name := range []string{"backup.vbk.hcl", "saved.plan"} {
			ts.Check(os.WriteFile(filepath.Join(to, name), []byte(ts.ReadFile(name)), 0o644))
		}
		ts.Check(os.CopyFS(filepath.Join(to, "schema"), os.DirFS(schemaDir)))
	}
	testscript.RunT(inTurn{t}, testscript.Params{Files: []string{releases + "/make.txtar"}, Setup: setUp, Condition: condition, Cmds: commands})
	r := openRelease(t, to)
	record := func(name, text string) {
		if err := os.WriteFile(filepath.Join(to, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	record("meaning.txt", strings.Join(r.meaning(t), ""))
	record("sums.txt", r.sums(t))
	record("metrics.txt", strings.Join(metricsWithLabels(t), ""))
}

// release is a copy of a version's folder in which this program works.
type release struct {
	source, dir string
	theatre     *theatre
}

func openRelease(t *testing.T, source string) release {
	t.Helper()
	r := release{source: source, dir: t.TempDir(), theatre: &theatre{
		hosts:  map[string]*twin{"qemu:///system": {Host: virttest.New()}},
		random: &dice{source: rand.NewChaCha8(sha256.Sum256([]byte(source)))},
		time:   clock{now: time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)},
	}}
	if err := os.CopyFS(r.dir, os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	// Version control knows no modes; a store without its own is not sound.
	err := filepath.WalkDir(filepath.Join(r.dir, "store"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(r.dir, "scratch"), 0o700); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r release) environment(stdout, stderr io.Writer) *environment {
	return &environment{
		stdin: strings.NewReader(""), stdout: stdout, stderr: stderr, getenv: func(string) string { return "" }, root: true, dir: r.dir,
		now: r.theatre.clock, random: r.theatre.random, openHost: r.theatre.openHost, dial: r.theatre.dial,
	}
}

func (r release) run(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	env := r.environment(&stdout, &stderr)
	if code := env.main(t.Context(), append([]string{"vbk"}, args...)); code != 0 {
		t.Fatalf("vbk %v: exit code %d\n%s%s", args, code, &stdout, &stderr)
	}
	return stdout.String()
}

// sameMetrics: names and labels are there; others may have come.
func (r release) sameMetrics(t *testing.T) {
	now := metricsWithLabels(t)
	for line := range strings.Lines(r.recorded(t, "metrics.txt")) {
		want := strings.Fields(line)
		if !slices.ContainsFunc(now, func(metric string) bool {
			have := strings.Fields(metric)
			return have[0] == want[0] && !slices.ContainsFunc(want, func(label string) bool { return !slices.Contains(have, label) })
		}) {
			t.Errorf("the metric %q is gone", line)
		}
	}
}

// metricsWithLabels are lines of a name and its labels.
func metricsWithLabels(t *testing.T) (all []string) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(sampledMetrics(t)))
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range families {
		line := name
		for _, l := range f.GetMetric()[0].GetLabel() {
			line += " " + l.GetName()
		}
		all = append(all, line+"\n")
	}
	slices.Sort(all)
	return all
}

// planIsUnderstood: a saved plan of then is shown, or refused by its version.
func (r release) planIsUnderstood(t *testing.T) {
	var stdout, stderr bytes.Buffer
	env := r.environment(&stdout, &stderr)
	code := env.main(t.Context(), []string{"vbk", "show", "saved.plan"})
	if shown := code == 0 && strings.Contains(stdout.String(), "\nPlan: "); !shown && !(code == exitUsage && strings.Contains(stderr.String(), "this vbk reads")) {
		t.Errorf("show of a saved plan: exit code %d\n%s%s", code, &stdout, &stderr)
	}
}

// sums restores every disk of every point.
func (r release) sums(t *testing.T) string {
	t.Helper()
	var list struct {
		Points []struct {
			Address string `json:"address"`
		} `json:"points"`
	}
	if err := json.Unmarshal([]byte(r.run(t, "list", "-json")), &list); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for n, p := range list.Points {
		out := filepath.Join(r.dir, "restored", fmt.Sprint(n))
		r.run(t, "restore", p.Address, "-o", out, "-format", "raw")
		disks, err := fs.Glob(os.DirFS(out), "*.raw")
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range disks {
			content, err := os.ReadFile(filepath.Join(out, d))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s %s %x\n", p.Address, strings.TrimSuffix(d, ".raw"), sha256.Sum256(content))
		}
	}
	return b.String()
}

func (r release) recorded(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(r.source, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// meaning is a line for each value of each domain, without where it comes from.
func (r release) meaning(t *testing.T) (all []string) {
	block := ""
	for line := range strings.Lines(r.run(t, "validate", "-effective")) {
		line, _, _ = strings.Cut(line, " # ")
		name, value, isValue := strings.Cut(strings.TrimSpace(line), " = ")
		switch {
		case isValue:
			all = append(all, fmt.Sprintf("%s %s = %s\n", block, strings.TrimSpace(name), strings.TrimSpace(value)))
		case name != "":
			block, _, _ = strings.Cut(name, " ")
		}
	}
	return all
}

// sameMeaning: the configuration is valid, and every value is what it was. New
// attributes may have come.
func (r release) sameMeaning(t *testing.T) {
	now := r.meaning(t)
	for line := range strings.Lines(r.recorded(t, "meaning.txt")) {
		if !slices.Contains(now, line) {
			t.Errorf("the configuration meant %q\n%s", line, strings.Join(now, ""))
		}
	}
}

// samePoints: each is there, sound, and restores to the same bytes.
func (r release) samePoints(t *testing.T) {
	r.run(t, "verify", "-read-data")
	if got, want := r.sums(t), r.recorded(t, "sums.txt"); got != want {
		t.Errorf("restored\n%swant\n%s", got, want)
	}
}

// goesOn: a machine whose chain an older version began gets its next point in it.
func (r release) goesOn(t *testing.T) {
	h := r.theatre.hosts["qemu:///system"]
	const uuid = "00000001-0000-4000-8000-000000000000"
	h.Now = r.theatre.clock
	content := map[string][]byte{"vda": append(noise(1<<19, "later"), make([]byte, 1<<19)...), "vdb": noise(256<<10, "later")}
	h.Define(virt.Domain{Name: "zstd", UUID: uuid, ProcessUID: -1, ProcessGID: -1, Disks: []virt.Disk{
		{Target: "vda", Type: "file", Source: "/images/zstd-vda"}, {Target: "vdb", Type: "file", Source: "/images/zstd-vdb"}}}, content)
	before := strings.Count(r.run(t, "list", "zstd"), "zstd@")
	r.run(t, "apply", "-auto-approve", "-target", "domain.zstd", "-var", "scratch="+filepath.Join(r.dir, "scratch"))
	if after := strings.Count(r.run(t, "list", "zstd"), "zstd@"); after <= before {
		t.Errorf("%d points of zstd, %d before", after, before)
	}
	r.run(t, "verify", "-read-data")
	out := filepath.Join(r.dir, "later")
	r.run(t, "restore", "zstd@latest", "-o", out, "-format", "raw")
	for target, want := range content {
		wantContent(t, filepath.Join(out, target+".raw"), want)
	}
}
