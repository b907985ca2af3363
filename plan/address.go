package plan

import (
	"slices"
	"strings"

	"vbk/config"
)

// names says whether one of the patterns means this instance: its address or
// that of its block.
func names(patterns []string, w Want) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return means(p, w.Block) || means(p, w.Address) })
}

func selected(w Want, o Options) bool {
	return (len(o.Target) == 0 || names(o.Target, w)) && !names(o.Exclude, w)
}

// means says whether a pattern stands for an address: * is any text, ? any
// character, and everything else itself, brackets included.
func means(pattern, address string) bool {
	star, resume := -1, 0 // the last *, and where what follows it is tried next
	p, a := 0, 0
	for a < len(address) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, a
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == address[a]):
			p++
			a++
		case star >= 0:
			resume++
			p, a = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// UnknownAddresses lists what the command line names and the plan does not
// have: a misspelt -exclude must not back up what it was to leave out.
func UnknownAddresses(want *config.Config, p Plan, o Options) []string {
	known := KnownAddresses(want, p)
	var unknown []string
	for _, pattern := range slices.Concat(o.Target, o.Exclude, o.Full, o.AllowPrune) {
		if !slices.ContainsFunc(known, func(address string) bool { return means(pattern, address) }) {
			unknown = append(unknown, pattern)
		}
	}
	return unknown
}

// KnownAddresses are those that a command line can name: instances and blocks.
func KnownAddresses(want *config.Config, p Plan) []string {
	known := slices.Clone(p.LeftOut)
	for _, i := range p.Instances {
		known = append(known, i.Want.Address)
	}
	for _, address := range slices.Clone(known) { // the block of a release may be gone
		block, _, _ := strings.Cut(address, "[")
		known = append(known, block)
	}
	for _, b := range want.Domains {
		known = append(known, b.Address())
	}
	slices.Sort(known)
	return slices.Compact(known)
}
