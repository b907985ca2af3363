package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// What HCL says of a name that a block does not have, of one that it lacks, of
// labels, and of functions.
var (
	unexpected  = regexp.MustCompile(`^((?:An argument named|(Blocks of type)|No argument or block type is named) "([^"]+)"[^.]*\.)( Did you mean "[^"]+"\?)?$`)
	missing     = regexp.MustCompile(`^The argument "([^"]+)" is required, but no definition was found\.$`)
	mislabelled = regexp.MustCompile(`^(?:All|Only .* expected for) ([a-z0-9]+) blocks`)
	uncallable  = regexp.MustCompile(`^There is no function named "[^"]*"\.$`)
)

// explain adds to what HCL says: of names that are not expected, where they
// belong, or what was meant, or which ones there are; of one that is missing, what
// it is; of labels, which there are.
func (s spec[T]) explain(diags hcl.Diagnostics) hcl.Diagnostics {
	for _, d := range diags {
		if m := missing.FindStringSubmatch(d.Detail); m != nil {
			d.Detail += " " + s.firstSentence(m[1])
		}
		if m := mislabelled.FindStringSubmatch(d.Detail); m != nil {
			d.Detail += fmt.Sprintf(" Write %s.", strings.Join(headersOf(m[1]), " or "))
		}
		m := unexpected.FindStringSubmatch(d.Detail)
		if m == nil {
			continue
		}
		said, ofBlock, name, suggested := m[1], m[2] != "", m[3], m[4] != ""
		switch within, homes := s.blockWith(name), homesOf(name, ofBlock); {
		case within != "" && !ofBlock:
			d.Detail = fmt.Sprintf("%s It belongs in a block: %s { %s = ... }.", said, within, name)
		case len(homes) > 0:
			d.Detail = fmt.Sprintf("%s It is %s.", said, strings.Join(homes, ", or "))
		case !suggested:
			d.Detail += meant("", name, s.names(ofBlock))
		}
	}
	return diags
}

// explainCalls says of functions that there are not what others there are.
func explainCalls(diags hcl.Diagnostics) hcl.Diagnostics {
	for _, d := range diags {
		if uncallable.MatchString(d.Detail) {
			d.Detail += ` None sees the clock, the environment or the network. The command "vbk manual language" lists all.`
		}
	}
	return diags
}

// headersOf are those of the blocks of a name.
func headersOf(name string) []string {
	var headers []string
	for _, b := range slices.Concat(topBlocks(), policyBlock().Blocks) {
		for _, b := range append([]Block{b}, b.Blocks...) {
			if h := b.Header(); b.Name == name && !slices.Contains(headers, h) {
				headers = append(headers, h)
			}
		}
	}
	return headers
}

// firstSentence says what an argument is.
func (s spec[T]) firstSentence(argument string) string {
	for _, f := range s.fields {
		if f.Name == argument {
			first, _, _ := strings.Cut(plain(f.About), ". ")
			return strings.TrimSuffix(first, ".") + "."
		}
	}
	return ""
}

// blockWith is the block in the spec that has an argument, "" if none has.
func (s spec[T]) blockWith(argument string) string {
	for _, b := range s.blocks {
		for _, f := range b.fields {
			if f.Name == argument {
				return b.Name
			}
		}
	}
	return ""
}

// names are those of arguments or of blocks that this version acts on.
func (s spec[T]) names(ofBlocks bool) []string {
	var all []string
	for _, f := range s.fields {
		if !ofBlocks && f.Status != Later {
			all = append(all, f.Name)
		}
	}
	for _, b := range s.blocks {
		if ofBlocks && b.Status != Later {
			all = append(all, b.Name)
		}
	}
	return all
}

// homesOf says where in the language an argument or a block of this name is.
func homesOf(name string, ofBlock bool) []string {
	var homes []string
	visit := func(where string, b Block) {
		if ofBlock && slices.ContainsFunc(b.Blocks, func(b Block) bool { return b.Name == name }) {
			homes = append(homes, "a block of "+where)
		}
		if !ofBlock && slices.ContainsFunc(b.Arguments, func(a Argument) bool { return a.Name == name }) {
			homes = append(homes, "an argument of "+where)
		}
	}
	for _, b := range append(topBlocks(), policyBlock()) {
		where := b.Header()
		switch {
		case ofBlock && b.Name == name:
			homes = append(homes, "a block at the top of a file: "+where+" { ... }")
		case where == "":
			where = "policy and domain"
		}
		visit(where, b)
		for _, inner := range b.Blocks {
			visit(inner.Name+", in "+where, inner)
		}
	}
	return homes
}
