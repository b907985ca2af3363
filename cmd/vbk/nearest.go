package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// didYouMean is `; did you mean "apply"?` for the nearest name, "" if none is
// near; prefix comes before it. The only name that begins so is near, too.
func didYouMean(given, prefix string, names []string) string {
	slices.Sort(names)
	best, distance := "", min(max(3, 1+len(given)/6), len(given))
	for _, name := range names {
		if d := levenshtein.Distance(given, name, nil); d < distance {
			best, distance = name, d
		}
	}
	if best == "" && given != "" {
		begins := slices.Clone(names)
		begins = slices.DeleteFunc(begins, func(name string) bool { return !strings.HasPrefix(name, given) })
		if len(slices.Compact(begins)) == 1 {
			best = begins[0]
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", prefix+best)
}
