package config

import (
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // what a time zone means must not depend on the machine

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// The functions here read one kind of value. They get a value that is neither
// null nor marked; their errors become the detail of a diagnostic.

// errUnknown says that a value hangs on a variable that has none; as far as its
// type goes it is right.
var errUnknown = errors.New("the value is not known")

// as converts to a primitive type.
func as(v cty.Value, t cty.Type) (cty.Value, error) {
	v, err := convert.Convert(v, t)
	switch {
	case err != nil:
		return v, err
	case !v.IsKnown():
		return v, errUnknown
	case v.IsNull():
		return v, errors.New("the value is null")
	}
	return v, nil
}

func text(v cty.Value) (string, error) {
	v, err := as(v, cty.String)
	if err != nil {
		return "", err
	}
	return v.AsString(), nil
}

func boolean(v cty.Value) (bool, error) {
	v, err := as(v, cty.Bool)
	return err == nil && v.True(), err
}

// line reads text that is neither empty nor has control characters, for names
// and paths.
func line(v cty.Value) (string, error) {
	s, err := text(v)
	if err != nil {
		return "", err
	}
	if s == "" || hasControl(s) {
		return "", fmt.Errorf("%q must be text without control characters, and not empty", s)
	}
	return s, nil
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func absolutePath(v cty.Value) (string, error) {
	s, err := line(v)
	if err != nil {
		return "", err
	}
	if !filepath.IsAbs(s) {
		return "", fmt.Errorf("%q must be an absolute path", s)
	}
	return filepath.Clean(s), nil
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
	if _, given := u.User.Password(); given {
		return "", errors.New("a URI must not hold a password: it would be in plans and manifests")
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

// integer reads a whole number of at least low and at most high. Where zero
// could mean "none" as well as "no limit", low is 1; null says the latter.
func integer(v cty.Value, low, high int64) (int, error) {
	v, err := as(v, cty.Number)
	if err != nil {
		return 0, err
	}
	f := v.AsBigFloat()
	if huge(f) {
		return 0, fmt.Errorf("the number must be a whole number from %d to %d", low, high)
	}
	n, accuracy := f.Int64()
	if accuracy != big.Exact || n < low || n > high {
		return 0, fmt.Errorf("%s must be a whole number from %d to %d", f.Text('g', 10), low, high)
	}
	return int(n), nil
}

// largestExponent, of two, is what numbers are read and shown with: above it
// their digits take seconds and gigabytes.
const largestExponent = 4096

func huge(f *big.Float) bool { return f.IsInf() || f.MantExp(nil) > largestExponent }

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

// durationOr reads a duration, or a word that stands for none.
func durationOr(word string) func(cty.Value) (Duration, error) {
	return func(v cty.Value) (Duration, error) {
		if s, err := text(v); err == nil && s == word {
			return 0, nil
		}
		d, err := duration(v)
		if err != nil && !errors.Is(err, errUnknown) {
			err = fmt.Errorf("%w; or %q", err, word)
		}
		return d, err
	}
}

func size(v cty.Value) (int64, error) {
	s, err := text(v)
	if err != nil {
		return 0, err
	}
	return ParseSize(s)
}

// rate reads bytes a second.
func rate(v cty.Value) (int64, error) {
	s, err := text(v)
	if err != nil {
		return 0, err
	}
	return ParseRate(s)
}

// oneOf reads a word of the list.
func oneOf(words []Word) func(cty.Value) (string, error) {
	return func(v cty.Value) (string, error) {
		s, err := text(v)
		if err != nil {
			return s, err
		}
		var known []string
		for _, w := range words {
			switch {
			case w.Status != Later && w.Text == s:
				return s, nil
			case w.Text == s:
				return "", fmt.Errorf("%q is %w", s, errNotYet)
			case w.Status != Later:
				known = append(known, w.Text)
			}
		}
		return "", fmt.Errorf("%q must be \"%s\"", s, strings.Join(known, `" or "`))
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
	t := v.Type()
	if t == cty.DynamicPseudoType && !v.IsKnown() {
		return nil, errUnknown
	}
	if !t.IsTupleType() && !t.IsListType() && !t.IsSetType() {
		return nil, fmt.Errorf("a list is required, in brackets; this is %s", called(t))
	}
	if !v.IsKnown() {
		return nil, errUnknown
	}
	var elements []F
	var unknown error
	for _, each := range v.AsValueSlice() {
		if each.IsNull() {
			return nil, errors.New("a list must not hold null")
		}
		e, err := element(each)
		switch {
		case errors.Is(err, errUnknown):
			unknown = err
		case err != nil:
			return nil, err
		}
		elements = append(elements, e)
	}
	return elements, unknown
}

// called is the name of a type with its article.
func called(t cty.Type) string {
	if t.IsObjectType() {
		return "an object"
	}
	return "a " + t.FriendlyName()
}

// textMap reads a map of text, each value by element.
func textMap(v cty.Value, element func(cty.Value) (string, error)) (map[string]string, error) {
	t := v.Type()
	switch {
	case t == cty.DynamicPseudoType && !v.IsKnown():
		return nil, errUnknown
	case !t.IsMapType() && !t.IsObjectType():
		return nil, fmt.Errorf("a map is required, in braces; this is %s", called(t))
	case !v.IsKnown():
		return nil, errUnknown
	}
	elements, unknown := map[string]string{}, error(nil)
	for key, each := range v.AsValueMap() {
		if key == "" || hasControl(key) {
			return nil, fmt.Errorf("%q must be a name without control characters, and not empty", key)
		}
		if each.IsNull() {
			return nil, fmt.Errorf("%q must not be null", key)
		}
		e, err := element(each)
		switch {
		case errors.Is(err, errUnknown):
			unknown = err
		case err != nil:
			return nil, err
		}
		elements[key] = e
	}
	return elements, unknown
}

func patterns(v cty.Value) ([]string, error)       { return list(v, pattern) }
func patternsOrNone(v cty.Value) ([]string, error) { return listOrNone(v, pattern) }
func uuids(v cty.Value) ([]string, error)          { return list(v, uuid) }
func paths(v cty.Value) ([]string, error)          { return list(v, absolutePath) }
func labels(v cty.Value) (map[string]string, error) {
	return textMap(v, text)
}
func tagPatternsOrNone(v cty.Value) (map[string]string, error) { return textMap(v, pattern) }

func tagPatterns(v cty.Value) (map[string]string, error) {
	tags, err := tagPatternsOrNone(v)
	if err == nil && len(tags) == 0 {
		return nil, errors.New("the map is empty and would restrict nothing; leave the attribute out")
	}
	return tags, err
}

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
