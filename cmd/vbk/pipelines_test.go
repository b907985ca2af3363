package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/zclconf/go-cty-yaml"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// step is one of a job of GitHub: a program, or an action.
type step struct {
	Run  string         `json:"run"`
	Uses string         `json:"uses"`
	With map[string]any `json:"with"`
}

// runPipeline is pipeline FILE JOB [OLD=NEW...]: runs the lines of a job of GitHub's or
// GitLab's, as they stand there, in one shell.
func runPipeline(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: pipeline FILE JOB [OLD=NEW...]")
	}
	lines, shell, words := jobLines(ts, args[0], args[1]), newShell(ts), replacer(args[2:])
	if len(lines) < 2 {
		ts.Fatalf("%s has only %q in job %s", args[0], lines, args[1])
	}
	for _, line := range lines {
		if err := shell.run(ts, words.Replace(line), 0); err != nil {
			ts.Fatalf("%s: %v", args[0], err)
		}
	}
}

func jobLines(ts *testscript.TestScript, file, job string) (lines []string) {
	text, err := os.ReadFile(filepath.Join("../../examples", file))
	ts.Check(err)
	kind, err := yaml.Standard.ImpliedType(text)
	ts.Check(err)
	value, err := yaml.Standard.Unmarshal(text, kind)
	ts.Check(err)
	all, err := ctyjson.Marshal(value, kind)
	ts.Check(err)
	if strings.Contains(file, "gitlab") {
		var jobs map[string]struct {
			Script []string `json:"script"`
		}
		ts.Check(json.Unmarshal(all, &jobs))
		return jobs[job].Script
	}
	var workflow struct {
		Jobs map[string]struct {
			RunsOn string `json:"runs-on"`
			Steps  []step `json:"steps"`
		} `json:"jobs"`
	}
	ts.Check(json.Unmarshal(all, &workflow))
	if workflow.Jobs[job].RunsOn == "" {
		ts.Fatalf("%s: job %s runs nowhere", file, job)
	}
	for _, s := range workflow.Jobs[job].Steps {
		if (s.Run == "") == (s.Uses == "") {
			ts.Fatalf("%s: a step either runs a program or uses an action: %+v", file, s)
		}
		if s.Run != "" {
			lines = append(lines, s.Run)
		}
	}
	return lines
}
