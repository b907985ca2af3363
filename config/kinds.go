package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"
)

// The kinds that several blocks have.
var (
	texts         = kind[string]{form: "string", read: text, show: showText}
	names         = kind[string]{form: "string", read: line, show: showText} // not empty
	files         = kind[string]{form: "path", read: line, show: showText}
	absolutePaths = kind[string]{form: "absolute path", read: absolutePath, show: showText}
	counts        = numbers(1, 1_000_000)
	flags         = kind[bool]{form: "bool", read: boolean, show: strconv.FormatBool}
	durations     = kind[Duration]{form: "duration", read: duration, show: showDuration("never")}
	sizes         = kind[int64]{form: "size", read: size, show: showSize}
	rates         = kind[int64]{form: "rate", read: rate, show: showRate}
	percentages   = kind[int]{form: "percentage", read: percent, show: showPercent}
	patternLists  = kind[[]string]{form: "list of pattern", read: patterns, show: showSome}
	patternsIfAny = kind[[]string]{form: "list of pattern", read: patternsOrNone, show: showSome}
	textMaps      = kind[map[string]string]{form: "map of string", read: labels, show: showMap}
)

// numbers are whole, and from low to high.
func numbers(low, high int64) kind[int] {
	return kind[int]{form: "number", low: low, high: high, show: strconv.Itoa,
		read: func(v cty.Value) (int, error) { return integer(v, low, high) }}
}

// durationsOr are durations, or a word that stands for none.
func durationsOr(w Word) kind[Duration] {
	return kind[Duration]{form: "duration", words: []Word{w}, read: durationOr(w.Text), show: showDuration(w.Text)}
}

// wordOf are the words of a list.
func wordOf(words ...Word) kind[string] {
	return kind[string]{form: "string", words: words, read: oneOf(words), show: showText}
}

func word(text, about string) Word { return Word{Text: text, About: about} }

// refused is a word that is accepted, and for which plan refuses what it concerns.
func (w Word) refused() Word {
	w.Status = Refused
	return w
}

// later is a word that is kept for a later version.
func (w Word) later() Word {
	w.Status = Later
	return w
}

// How values are shown.

func showList(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = showText(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// showSome shows a list that restricts nothing where it is empty.
func showSome(list []string) string {
	if list == nil {
		return "null"
	}
	return showList(list)
}

func showMap(m map[string]string) string {
	if m == nil {
		return "null"
	}
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		pairs = append(pairs, showText(key)+" = "+showText(m[key]))
	}
	return strings.TrimSpace("{ "+strings.Join(pairs, ", ")) + " }"
}

// showText quotes for HCL, where a template starts with ${ or %{.
func showText(s string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(strconv.Quote(s))
}

func showPercent(n int) string { return fmt.Sprintf(`"%d%%"`, n) }

// showDuration shows zero as word.
func showDuration(word string) func(Duration) string {
	return func(d Duration) string {
		if d == 0 {
			return showText(word)
		}
		return showText(d.String())
	}
}

// showSize takes the largest unit of 1024 that leaves a whole number.
func showSize(n int64) string {
	for _, u := range sizeUnits() {
		if n > 0 && u.worth%1024 == 0 && n%u.worth == 0 {
			return fmt.Sprintf(`"%d%s"`, n/u.worth, u.name)
		}
	}
	return fmt.Sprintf(`"%dB"`, n)
}

func showRate(n int64) string {
	if n == 0 {
		return "null"
	}
	return strings.TrimSuffix(showSize(n), `"`) + `/s"`
}
