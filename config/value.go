package config

import (
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // what a time zone means must not depend on the machine

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// The functions here read one kind of value. They get a known value that is
// not null; their errors become the detail of a diagnostic.

func text(v cty.Value) (string, error) {
	v, err := convert.Convert(v, cty.String)
	if err != nil {
		return "", err
	}
	return v.AsString(), nil
}

func boolean(v cty.Value) (bool, error) {
	v, err := convert.Convert(v, cty.Bool)
	return err == nil && v.True(), err
}

// line reads text that is neither empty nor has control characters, for names
// and paths.
func line(v cty.Value) (string, error) {
	s, err := text(v)
	if err != nil {
		return "", err
	}
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", fmt.Errorf("%q must be text without control characters, and not empty", s)
	}
	return s, nil
}

func absolutePath(v cty.Value) (string, error) {
	s, err := line(v)
	if err == nil && !filepath.IsAbs(s) {
		err = fmt.Errorf("%q must be an absolute path", s)
	}
	return filepath.Clean(s), err
}

func connection(v cty.Value) (string, error) {
	s, err := line(v)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" {
		return "", fmt.Errorf("%q is not a libvirt connection URI such as \"qemu:///system\"", s)
	}
	if u.Host != "" {
		return "", fmt.Errorf("%q is on another machine: %w", s, errNotYet)
	}
	return s, nil
}

func timeZone(v cty.Value) (*time.Location, error) {
	s, err := text(v)
	if err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation(s)
	if err != nil || s == "" || s == "Local" {
		return nil, fmt.Errorf("unknown time zone %q: write a name of the IANA database, such as \"UTC\" or \"Europe/Berlin\"", s)
	}
	return zone, nil
}

// integer reads a whole number of at least low and at most high.
func integer(v cty.Value, low, high int64) (int, error) {
	v, err := convert.Convert(v, cty.Number)
	if err != nil {
		return 0, err
	}
	n, accuracy := v.AsBigFloat().Int64()
	if accuracy != big.Exact || n < low || n > high {
		return 0, fmt.Errorf("%s must be a whole number from %d to %d", v.AsBigFloat().Text('g', 10), low, high)
	}
	return int(n), nil
}

// count reads a whole number above zero. A zero is refused because it could
// mean "none" as well as "no limit"; null says the latter.
func count(v cty.Value) (int, error) { return integer(v, 1, 1_000_000) }

// level reads a compression level of zstd.
func level(v cty.Value) (int, error) { return integer(v, 1, 19) }

func percent(v cty.Value) (int, error) {
	s, err := text(v)
	if err != nil {
		return 0, err
	}
	digits, found := strings.CutSuffix(s, "%")
	n, err := strconv.ParseUint(digits, 10, 8)
	if err != nil || !found || n > 100 {
		return 0, fmt.Errorf("%q must be a percentage from \"0%%\" to \"100%%\"", s)
	}
	return int(n), nil
}

func duration(v cty.Value) (Duration, error) {
	s, err := text(v)
	if err != nil {
		return 0, err
	}
	return ParseDuration(s)
}

func durationOrNever(v cty.Value) (Duration, error) {
	if s, err := text(v); err == nil && s == "never" {
		return 0, nil
	}
	return duration(v)
}

func size(v cty.Value) (int64, error) {
	s, err := text(v)
	if err != nil {
		return 0, err
	}
	return ParseSize(s)
}

// oneOf reads a word of the list; the later ones are words of the language
// that this version does not act on yet.
func oneOf(words []string, later ...string) func(cty.Value) (string, error) {
	return func(v cty.Value) (string, error) {
		s, err := text(v)
		if err != nil || slices.Contains(words, s) {
			return s, err
		}
		if slices.Contains(later, s) {
			return "", fmt.Errorf("%q is %w", s, errNotYet)
		}
		return "", fmt.Errorf("%q must be \"%s\"", s, strings.Join(words, `" or "`))
	}
}

// list reads each element of a list that is not empty.
func list[F any](v cty.Value, element func(cty.Value) (F, error)) ([]F, error) {
	elements, err := listOrNone(v, element)
	if err == nil && len(elements) == 0 {
		return nil, errors.New("the list is empty and would select nothing; leave the attribute out to select all")
	}
	return elements, err
}

func listOrNone[F any](v cty.Value, element func(cty.Value) (F, error)) ([]F, error) {
	if t := v.Type(); !t.IsTupleType() && !t.IsListType() && !t.IsSetType() {
		return nil, fmt.Errorf("a list is required, in brackets; this is a %s", t.FriendlyName())
	}
	var elements []F
	for _, each := range v.AsValueSlice() {
		if each.IsNull() {
			return nil, errors.New("a list must not hold null")
		}
		e, err := element(each)
		if err != nil {
			return nil, err
		}
		elements = append(elements, e)
	}
	return elements, nil
}

func patterns(v cty.Value) ([]string, error)       { return list(v, pattern) }
func patternsOrNone(v cty.Value) ([]string, error) { return listOrNone(v, pattern) }
func uuids(v cty.Value) ([]string, error)          { return list(v, uuid) }

func pattern(v cty.Value) (string, error) {
	s, err := line(v)
	if err != nil {
		return "", err
	}
	if _, err := path.Match(s, ""); err != nil {
		return "", fmt.Errorf("%q is not a pattern: * stands for any characters, ? for one, [a-z] for one of a class, \\ takes the next one literally", s)
	}
	return s, nil
}

var uuidSyntax = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// uuid reads a UUID and returns it in lower case.
func uuid(v cty.Value) (string, error) {
	s, err := text(v)
	if lower := strings.ToLower(s); err != nil || uuidSyntax.MatchString(lower) {
		return lower, err
	}
	return "", fmt.Errorf("%q is not a UUID: write 32 hex digits, such as \"4c1f9d2a-7d1e-4d0a-9b55-0a1b2c3d4e5f\"", s)
}
