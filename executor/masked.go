package executor

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// shortestPart is how long a value is at least that is looked for inside of words.
const shortestPart = 5

// Masked is text with mask in the place of each of these values. A short one, of
// less than five bytes, counts only where it stands as a word of its own: "1" and
// "yes" are part of everything.
func Masked(text string, values []string, mask string) string {
	values = slices.SortedFunc(slices.Values(values), func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // the longest first: it may hold others
	for _, v := range values {
		switch {
		case len(v) >= shortestPart:
			text = strings.ReplaceAll(text, v, mask)
		case v != "":
			text = maskedWords(text, v, mask)
		}
	}
	return text
}

func maskedWords(text, word, mask string) string {
	var done strings.Builder
	for rest := text; ; {
		at := strings.Index(rest, word)
		if at < 0 {
			done.WriteString(rest)
			return done.String()
		}
		end := at + len(word)
		before, _ := utf8.DecodeLastRuneInString(text[:len(text)-len(rest)+at])
		after, _ := utf8.DecodeRuneInString(rest[end:])
		done.WriteString(rest[:at])
		if inWord(before) || inWord(after) {
			done.WriteString(word)
		} else {
			done.WriteString(mask)
		}
		rest = rest[end:]
	}
}

// inWord says whether a rune goes on with a word; RuneError is the end of the text.
func inWord(r rune) bool { return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) }
