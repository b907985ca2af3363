package config

import (
	"path"
	"slices"
	"strings"
)

// Claims says whether the block claims the domain on a host: Selects, and the
// block is no fallback. A fallback block never claims; the planner gives it
// what it Selects and no other block claims.
func (d Domain) Claims(host, name, uuid string, tags map[string]string) bool {
	return !d.Fallback && d.Selects(host, name, uuid, tags)
}

// Selects says whether the block's criteria admit the domain: host, one of the
// match patterns, one of the UUIDs and all of the tags, each where it is given,
// and neither an exclude pattern nor one of the excluded tags. The UUID is in
// lower case with dashes.
func (d Domain) Selects(host, name, uuid string, tags map[string]string) bool {
	return slices.Contains(d.Hosts, host) &&
		(d.Match == nil || matchAny(d.Match, name)) &&
		(d.UUIDs == nil || slices.Contains(d.UUIDs, uuid)) &&
		(d.Match != nil || d.UUIDs != nil || d.Tags != nil || d.Fallback) &&
		countTags(d.Tags, tags) == len(d.Tags) &&
		!matchAny(d.Exclude, name) && countTags(d.ExcludeTags, tags) == 0
}

// countTags says how many of the patterns a domain's tags match.
func countTags(patterns, tags map[string]string) int {
	n := 0
	for name, pattern := range patterns {
		if value, tagged := tags[name]; tagged && matchAny([]string{pattern}, value) {
			n++
		}
	}
	return n
}

// Selects says whether the disk with this target takes part.
func (d Disks) Selects(target string) bool {
	return (len(d.Include) == 0 || matchAny(d.Include, target)) && !matchAny(d.Exclude, target)
}

// matchAny says whether a pattern matches the whole of name. path.Match stops
// at a slash, which has no meaning in a name: it stands in as another byte.
func matchAny(patterns []string, name string) bool {
	name = strings.ReplaceAll(name, "/", "\x00")
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, err := path.Match(strings.ReplaceAll(pattern, "/", "\x00"), name)
		return ok && err == nil
	})
}
