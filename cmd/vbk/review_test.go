package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const policyDir = "../../examples/review/policy/"

// TestReviewPolicy runs the rules of examples/review over plans that they allow
// and forbid: in jq, and in Rego where opa is installed.
func TestReviewPolicy(t *testing.T) {
	allowed := busyPlan() // 18 deletions
	many := busyPlan()
	for n := range many.Instances {
		many.Instances[n].Actions = many.Instances[n].Actions[2:]
		more := many.Instances[n]
		more.Want.Address = strings.Replace(more.Want.Address, "domain.b", "domain.c", 1)
		many.Instances = append(many.Instances, more)
	}
	large := busyPlan()
	large.Instances[0].Actions[2].Prune.Stored = 600 << 30
	release := busyPlan()
	release.Instances[1].Want.Release, release.Instances[1].Want.Domain = "removed { from = domain.b }", "old"
	tests := []struct {
		name string
		plan planDocument
		want []string
	}{
		{"allowed", documentOf(allowed, true), nil},
		{"many", documentOf(many, false), []string{"36 points would be deleted, 20 are allowed"}},
		{"large", documentOf(large, false), []string{fmt.Sprintf("%d bytes of points would be deleted, 536870912000 are allowed", int64(600<<30+14<<20))}},
		{"release", documentOf(release, false), []string{"all points of old would be deleted: removed { from = domain.b }"}},
	}
	for language, evaluate := range map[string]func(*testing.T, []byte) []string{"jq": evaluateJQ, "rego": evaluateRego} {
		t.Run(language, func(t *testing.T) {
			for _, test := range tests {
				var text bytes.Buffer
				if err := writeJSON(&text, test.plan); err != nil {
					t.Fatal(err)
				}
				if got := evaluate(t, text.Bytes()); !slices.Equal(got, test.want) {
					t.Errorf("%s: %q, want %q", test.name, got, test.want)
				}
			}
		})
	}
}

func evaluateJQ(t *testing.T, plan []byte) []string {
	program, err := exec.LookPath("jq")
	if err != nil {
		if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
			t.Fatalf("VBK_REQUIRE_PEERS=1: %v", err)
		}
		t.Skip(err)
	}
	jq := exec.Command(program, "--raw-output", "--from-file", policyDir+"deletions.jq")
	jq.Stdin = bytes.NewReader(plan)
	out, err := jq.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")[:strings.Count(string(out), "\n")]
}

// evaluateRego is never required: distributions have no opa.
func evaluateRego(t *testing.T, plan []byte) []string {
	program, err := exec.LookPath("opa")
	if err != nil {
		t.Skip(err)
	}
	opa := exec.Command(program, "eval", "--data", policyDir+"deletions.rego", "--stdin-input", "--format", "raw", "[m | some m in data.main.deny]")
	opa.Stdin = bytes.NewReader(plan)
	out, err := opa.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var messages []string
	if err := json.Unmarshal(out, &messages); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return messages
}
