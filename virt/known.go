package virt

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// knownText lists what of a definition is known to stay inside the machine, as
// long as it names no path: an element a line, below the one that it lies in, with
// the names of its attributes. "#" is its text, "+" behind its name that there may
// be several (of others the first stays), "~" before what an attribute or text must
// match as a whole, and "*" that everything in it will do.
//
//go:embed known.txt
var knownText string

var knownDomain = sync.OnceValue(func() *known { return parseKnown(knownText) })

// known is an element of that list.
type known struct {
	several  bool
	anything bool
	attrs    map[string]*regexp.Regexp // nil: any value; "#" is text
	children map[string]*known
}

func parseKnown(text string) *known {
	root := &known{children: map[string]*known{}}
	open := []*known{root}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		depth := (len(line) - len(strings.TrimLeft(line, " "))) / 2
		k := &known{attrs: map[string]*regexp.Regexp{}, children: map[string]*known{}}
		for _, word := range words[1:] {
			name, pattern, limited := strings.Cut(word, "~")
			k.anything = k.anything || name == "*"
			k.attrs[name] = nil
			if limited {
				k.attrs[name] = regexp.MustCompile("^(?:" + pattern + ")$")
			}
		}
		var name string
		name, k.several = strings.CutSuffix(words[0], "+")
		open = append(open[:depth+1], k)
		open[depth].children[name] = k
	}
	return root.children["domain"]
}

func (k *known) allows(name, value string) bool {
	pattern, found := k.attrs[name]
	return found && (pattern == nil || pattern.MatchString(value))
}

// confine leaves of an element only what is known, and tells what goes. libvirt
// disregards the prefixes of many names, so a name with one is another name here.
func (w *rewriter) confine(e *element, k *known) {
	if k.anything {
		return
	}
	for _, a := range slices.Clone(e.attrs) {
		name := rawName(a.Name)
		if e.name == "domain" && a.Name.Space == "xmlns" || k.allows(name, a.Value) {
			continue
		}
		e.unset(name)
		what := name
		if name != "passwd" {
			what = fmt.Sprintf("%s=%q", name, a.Value)
		}
		w.say("%s of %s: removed", what, e.name)
	}
	seen := map[string]bool{}
	e.keep(func(c *element) bool {
		if c.name == "" {
			return true
		}
		below := k.children[c.name]
		if below == nil || seen[c.name] && !below.several || c.refused(below) {
			w.say("%s in %s: removed", c.name, e.name)
			return false
		}
		seen[c.name] = true
		w.confine(c, below)
		return true
	})
	if _, text := k.attrs["#"]; !text && e.content() != "" {
		e.children = slices.DeleteFunc(e.children, func(c *element) bool { return c.name == "" })
	}
}

// refused says whether an element is of a kind, or has a text, that it may not have.
func (e *element) refused(k *known) bool {
	for _, name := range []string{"type", "mode"} {
		if v := e.attr(name); v != "" && k.attrs[name] != nil && !k.allows(name, v) {
			return true
		}
	}
	_, text := k.attrs["#"]
	return text && !k.allows("#", e.content())
}
