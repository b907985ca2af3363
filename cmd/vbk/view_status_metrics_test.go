package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var metricName = regexp.MustCompile(`\bvbk_[a-z_]+\b`)

// sampledMetrics are metrics of an example in which a machine's name is hostile.
func sampledMetrics(t *testing.T) string {
	t.Helper()
	_, s, _ := pageOfExample(t, "review", nil)
	s.Instances[0].Domain = "a\"b\\c\nd\xff"
	var text strings.Builder
	s.metrics(&text, exitUnsound)
	return text.String()
}

// TestMetricsFormat holds what is printed against Prometheus' text format: a
// HELP and a TYPE before the samples of each name, which are in one place, and
// no sample twice.
func TestMetricsFormat(t *testing.T) {
	text := sampledMetrics(t)
	line := regexp.MustCompile(`^(vbk_[a-z_]+)\{(?:[a-z]+="(?:[^"\\]|\\["\\n])*",?)+\} -?[0-9]+$`)
	seen, name := map[string]bool{}, ""
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for n, l := range lines {
		if rest, ok := strings.CutPrefix(l, "# HELP "); ok {
			name, _, _ = strings.Cut(rest, " ")
			if seen[name] || n+1 == len(lines) || lines[n+1] != "# TYPE "+name+" gauge" {
				t.Errorf("%s has two heads, or half of one", name)
			}
		} else if m := line.FindStringSubmatch(l); !strings.HasPrefix(l, "# ") && (m == nil || m[1] != name || seen[l]) {
			t.Errorf("below %s: %s", name, l)
		}
		seen[l], seen[name] = true, true
	}
	if want := `domain="a\"b\\c\nd` + "\uFFFD" + `"`; !strings.Contains(text, want) {
		t.Errorf("no %s in\n%s", want, text)
	}
	if n := strings.Count(text, `{configuration="reviewed",`); n != strings.Count(text, "\n")-strings.Count(text, "\n# ")-1 {
		t.Errorf("%d samples have the configuration's name:\n%s", n, text)
	}
	promtool(t, text, "check", "metrics")
}

// TestMonitoringExamples: rules, dashboard and manual name metrics that exist,
// and the manual all of them.
func TestMonitoringExamples(t *testing.T) {
	have := metricName.FindAllString(sampledMetrics(t), -1)
	for _, file := range []string{"../../examples/monitoring/alerts.yml", "../../examples/monitoring/dashboard.json", "../../docs/monitoring.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		named := metricName.FindAllString(string(text), -1)
		for _, name := range named {
			if !slices.Contains(have, name) {
				t.Errorf("%s names %s, which vbk status does not print", file, name)
			}
		}
		if len(named) < 10 {
			t.Errorf("%s names only %q", file, named)
		}
		if filepath.Ext(file) == ".json" && !json.Valid(text) {
			t.Errorf("%s is no JSON", file)
		}
		for _, name := range have {
			if filepath.Ext(file) == ".md" && !slices.Contains(named, name) {
				t.Errorf("%s does not tell of %s", file, name)
			}
		}
	}
	promtool(t, "", "check", "rules", "../../examples/monitoring/alerts.yml")
	promtool(t, "", "test", "rules", "../../examples/monitoring/alerts_test.yml")
}

// promtool runs Prometheus' own checks where they are installed.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Log("promtool is not installed: what it would check is not checked")
		return
	}
	cmd := exec.Command(tool, args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
