package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"
)

// requirement is one condition on the version of vbk, such as ">= 0.4".
type requirement struct {
	operator string // "=", "!=", "<", "<=", ">", ">=" or "~>"
	version  []int  // one to three numbers
}

var requirementSyntax = regexp.MustCompile(`^(=|!=|<=?|>=?|~>)?\s*v?([0-9]{1,6}(?:\.[0-9]{1,6}){0,2})$`)

// requirements reads conditions with commas between them.
func requirements(v cty.Value) ([]requirement, error) {
	s, err := text(v)
	if err != nil {
		return nil, err
	}
	var all []requirement
	for part := range strings.SplitSeq(s, ",") {
		match := requirementSyntax.FindStringSubmatch(strings.TrimSpace(part))
		if match == nil {
			return nil, fmt.Errorf(`%q is not a version constraint, such as ">= 0.4" or "~> 1.2, != 1.2.5"`, s)
		}
		all = append(all, requirement{cmp.Or(match[1], "="), versionNumbers(match[2])})
	}
	return all, nil
}

func versionNumbers(s string) []int {
	var numbers []int
	for part := range strings.SplitSeq(s, ".") {
		n, _ := strconv.Atoi(part) // digits only
		numbers = append(numbers, n)
	}
	return numbers
}

// meets says whether a version such as "0.4.1-dev" meets the requirement. What
// follows the numbers does not count: a build before 0.4.1 has what it has.
func (r requirement) meets(version string) bool {
	numbers, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), "-")
	have := versionNumbers(numbers)
	order := compareVersions(have, r.version)
	switch r.operator {
	case "=":
		return order == 0
	case "!=":
		return order != 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	case ">=":
		return order >= 0
	}
	// "~> 1.2" is 1.2 and later within 1, "~> 1.2.3" within 1.2.
	fixed := max(1, len(r.version)-1)
	return order >= 0 && compareVersions(have[:min(fixed, len(have))], r.version[:fixed]) == 0
}

// compareVersions takes numbers that are missing for zero.
func compareVersions(a, b []int) int {
	a, b = append(slices.Clone(a), 0, 0, 0), append(slices.Clone(b), 0, 0, 0)
	return slices.Compare(a[:3], b[:3])
}
