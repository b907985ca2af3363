package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

var metricName = regexp.MustCompile(`\bvbk_[a-z_]+\b`)

// sampledMetrics are metrics of a fleet in which a machine's name is hostile.
func sampledMetrics(t *testing.T) string {
	t.Helper()
	_, s := fleetPage(t, 12)
	s.Instances[2].Verified = &s.Timestamp
	s.Instances[2].Domain = "a\"b\\c\nd\xff"
	var text strings.Builder
	if err := s.metrics(&text, exitUnsound); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// TestMetricsFormat has Prometheus' own linter and parser read what is printed.
func TestMetricsFormat(t *testing.T) {
	text := sampledMetrics(t)
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("problems %v, error %v in\n%s", problems, err, text)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	hostile := 0
	for name, f := range families {
		if f.GetHelp() == "" || f.GetType() != dto.MetricType_GAUGE {
			t.Errorf("%s: help %q, type %v", name, f.GetHelp(), f.GetType())
		}
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["configuration"] != "fleet" {
				t.Errorf("%s%v does not have the configuration's name", name, labels)
			}
			if labels["domain"] == "a\"b\\c\nd\uFFFD" {
				hostile++
			}
		}
	}
	if hostile < 10 {
		t.Errorf("%d samples are of the machine with the hostile name:\n%s", hostile, text)
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
	rules, tests := alertNames(t, "alerts.yml", `- alert: (\w+)`), alertNames(t, "alerts_test.yml", `alertname: (\w+)\n\s+exp_alerts:`)
	if len(rules) < 10 || !slices.Equal(rules, tests) {
		t.Errorf("alerts are %v, those that a test sees fire %v", rules, tests)
	}
	promtool(t, "", "check", "rules", "../../examples/monitoring/alerts.yml")
	promtool(t, "", "test", "rules", "../../examples/monitoring/alerts_test.yml")
}

// alertNames are those in a file of the examples that a pattern finds.
func alertNames(t *testing.T, file, pattern string) (names []string) {
	t.Helper()
	text, err := os.ReadFile("../../examples/monitoring/" + file)
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
		names = append(names, found[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// dashboard is what a test reads of Grafana's.
type dashboard struct {
	Panels []struct {
		Title, Description string
		GridPos            struct{ X, Y, W, H int }
		Targets            []struct{ Expr, RefID string }
		FieldConfig        struct {
			Defaults  struct{ Unit string }
			Overrides []struct {
				Matcher    struct{ Options string }
				Properties []struct {
					ID    string
					Value any
				}
			}
		}
		Transformations []struct {
			Options struct{ RenameByName map[string]string }
		}
	}
}

// TestDashboard has promtool read the dashboard's queries, as rules; and compares the
// units of panels and columns with those that the names of the metrics end in.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("../../examples/monitoring/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []rule
	for _, panel := range d.Panels {
		units := map[string]string{}
		for _, o := range panel.FieldConfig.Overrides {
			for _, p := range o.Properties {
				if p.ID == "unit" {
					units[o.Matcher.Options] = fmt.Sprint(p.Value)
				}
			}
		}
		for _, target := range panel.Targets {
			rules = append(rules, rule{fmt.Sprintf("query:%d", len(rules)), target.Expr})
			unit := panel.FieldConfig.Defaults.Unit
			if len(panel.Transformations) > 0 { // a column
				column := panel.Transformations[len(panel.Transformations)-1].Options.RenameByName["Value #"+target.RefID]
				unit = cmp.Or(units[column], "none")
			}
			if want := unitOf(target.Expr); unit != want {
				t.Errorf("panel %s has unit %q for %s, want %q", panel.Title, unit, target.Expr, want)
			}
		}
	}
	if len(rules) < 20 {
		t.Fatalf("%d queries", len(rules))
	}
	d.wantTiled(t)
	groups, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}}) // JSON is YAML
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, groups, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", file)
}

// wantTiled wants no panel to lie over another, or beyond the edge.
func (d dashboard) wantTiled(t *testing.T) {
	t.Helper()
	taken := map[[2]int]string{}
	for _, panel := range d.Panels {
		for x := panel.GridPos.X; x < panel.GridPos.X+panel.GridPos.W; x++ {
			for y := panel.GridPos.Y; y < panel.GridPos.Y+panel.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s lies over %q, or beyond the edge", panel.Title, other)
				}
				taken[[2]int{x, y}] = panel.Title
			}
		}
	}
}

// unitOf is the unit that Grafana is to show a query's values in.
func unitOf(query string) string {
	metric := metricName.FindString(query)
	switch {
	case strings.HasPrefix(query, "count("):
		return "none"
	case strings.Contains(query, ") / vbk_rpo_limit_seconds"):
		return "percentunit"
	case strings.HasSuffix(metric, "_timestamp_seconds") && strings.Contains(query, "* 1000"):
		return "dateTimeAsIso"
	case strings.HasSuffix(metric, "_seconds"):
		return "s"
	case strings.HasSuffix(metric, "_bytes"):
		return "bytes"
	case strings.HasPrefix(query, "max by") && (strings.HasSuffix(metric, "_success") || strings.HasSuffix(metric, "_failing")):
		return "bool_yes_no"
	}
	return "none"
}

// promtool runs Prometheus' own checks where they are installed, as in CI.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	tool, err := exec.LookPath(cmp.Or(os.Getenv("VBK_PROMTOOL"), "promtool"))
	if err != nil {
		if os.Getenv("VBK_PROMTOOL") != "" {
			t.Fatal(err)
		}
		t.Log("promtool is not installed: what it would check is not checked")
		return
	}
	cmd := exec.Command(tool, args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// TestDeliver: a collector and a web server read files under users of their own; who
// reads one meanwhile sees the old or the new, and nothing else is left beside it.
func TestDeliver(t *testing.T) {
	dir := t.TempDir()
	env := &environment{dir: dir, stdout: new(strings.Builder)}
	for format, mode := range map[string]os.FileMode{"prometheus": 0o644, "html": 0o644, "json": 0o600, "text": 0o600, "nagios": 0o600} {
		for _, text := range []string{"first", "and the next"} {
			if err := env.deliver(text, format, format+".out"); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, format+".out")
			got, err := os.ReadFile(file)
			if err != nil || string(got) != text {
				t.Errorf("%s has %q, %v", file, got, err)
			}
			if found, err := os.Stat(file); err != nil || found.Mode() != mode {
				t.Errorf("%s: %v, %v", file, found.Mode(), err)
			}
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 5 {
		t.Errorf("left are %v, %v", entries, err)
	}
	if err := env.deliver("here", "prometheus", "-"); err != nil || fmt.Sprint(env.stdout) != "here" {
		t.Errorf("printed is %q, %v", env.stdout, err)
	}
	if err := env.deliver("x", "prometheus", filepath.Join("no", "such", "folder")); err == nil || !strings.HasPrefix(err.Error(), "flag -o: ") {
		t.Errorf("without a folder: %v", err)
	}
}
