package config

import "slices"

// topBlocks are the blocks of a file, described, in the order of the reference.
func topBlocks() []Block {
	name := []string{"name"}
	return []Block{
		of(Block{Name: "vbk", About: "Settings of the configuration itself."}, settingsSpec(), settings{Config: defaultConfig("/")}),
		of(Block{Name: "variable", Labels: name, About: "A value from outside, `var.NAME` in expressions.",
			Notes: []string{"A sensitive value, and what is computed from it, may be used in the `credentials` of a store and in the `env` of a hook only; anywhere else it is an error, which does not show it."}},
			variableSpec(), variable{}),
		{Name: "locals", Open: true, Several: true, About: "Names for values: each argument is `local.NAME` in expressions. They see variables and each other, in any order."},
		of(Block{Name: "host", Labels: name, About: "A libvirt connection, `host.NAME` in expressions. Without any host block there is `host.local`, with the defaults.",
			Notes:  []string{"No two hosts have the same name, also not by `for_each`."},
			Yields: attributesOf(hostAttributes)}, hostSpec(), defaultHost()),
		of(Block{Name: "store", Kind: "local", Labels: name, About: "A place for restore points in a directory of this host, `store.local.NAME` in expressions. `vbk init` marks the directory as a store; nothing is ever written to one without that mark.",
			Yields: attributesOf(storeAttributes)}, localSpec(), defaultPlace()),
		of(Block{Name: "store", Kind: "s3", Labels: name, Status: Refused, About: "A place for restore points in S3, `store.s3.NAME` in expressions.",
			Yields: attributesOf(storeAttributes)}, s3Spec(), defaultPlace()),
		of(Block{Name: "encryption", Kind: "age", Labels: name, About: "Keys for stores, `encryption.age.NAME` in expressions. They are checked, and count when a store names them.",
			Yields: attributesOf(namedAttributes)}, encryptionSpec(), encryption{}),
		{Name: "policy", Labels: name, Policy: true, About: "Policy attributes under a name, `policy.NAME` in expressions: how the domains are backed up whose blocks name it.",
			Arguments: describeFields([]field[Domain]{extendsField()}), Yields: attributesOf(namedAttributes)},
		{Name: "domain", Labels: name, Policy: true, About: "Which domains are backed up, and how.",
			Notes: []string{
				"The block needs `match`, `uuids`, `tags` or `fallback`. It claims a domain that all of its arguments admit; an argument that is left out restricts nothing. Two blocks that claim one domain are an error of that domain; the others are planned.",
				"Tags are the attributes of `<tags xmlns=\"urn:vbk:tags:1\" tier=\"gold\"/>` in the `<metadata>` of the domain's XML: the first 64, names of up to 64 bytes, values of up to 256 that print.",
			},
			Arguments: describeFields(ownFields())},
		of(Block{Name: "removed", Several: true, About: "The chains that a domain block has made are to be deleted. Without it they stay when the block is deleted, and plan lists them."},
			removedSpec(), Removed{}),
		of(Block{Name: "check", Labels: name, About: "An assertion over what a plan or a status finds.",
			Notes: []string{"It passes, fails, is unknown where not every host and store could be looked at, or is in error where its expressions are wrong. One that does not pass is a warning; with `-fail-on-check` vbk exits with 4."}},
			checkSpec(), Check{}),
	}
}

// policyBlock is what policy and domain blocks have in common.
func policyBlock() Block { return of(Block{}, sharedSpec(), Domain{Policy: defaultPolicy()}) }

func describeFields[T any](fields []field[T]) []Argument {
	var none T
	arguments, _ := spec[T]{fields: fields}.describe(none)
	return arguments
}

// fileSpec is what HCL is to find at the top of a file: blocks only, which the
// phases of Parse read.
func fileSpec() spec[Config] {
	var s spec[Config]
	for _, b := range topBlocks() {
		if !slices.ContainsFunc(s.blocks, func(other block[Config]) bool { return other.Name == b.Name }) {
			s.blocks = append(s.blocks, block[Config]{Block: b})
		}
	}
	return s
}

// kindsOfBlocks are the kinds of the blocks that have some.
func kindsOfBlocks() map[string][]string {
	kinds := map[string][]string{}
	for _, b := range topBlocks() {
		if b.Kind != "" {
			kinds[b.Name] = append(kinds[b.Name], b.Kind)
		}
	}
	return kinds
}
