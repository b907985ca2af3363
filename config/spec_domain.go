package config

func domainSpec() spec[Domain] {
	s := sharedSpec()
	s.fields = append(ownFields(), s.fields...)
	return s
}

// ownFields are what a domain block has besides the policy attributes.
func ownFields() []field[Domain] {
	return append(selectorFields(),
		policyField(),
		later[Domain]("for_each", "Several blocks of one."),
		later[Domain]("where", "An expression over domains as a selector."),
	)
}

// policyField is evaluated before the block: it says what the block overrides.
func policyField() field[Domain] {
	return before[Domain]("policy", "reference", "The policy that holds for what this block does not set.").otherwise("the defaults")
}

// selectorFields say which domains the block claims.
func selectorFields() []field[Domain] {
	return []field[Domain]{
		at("match", patternLists, func(d *Domain) *[]string { return &d.Match },
			"Names of domains. One of the patterns has to match.").otherwise("any name"),
		at("exclude", patternsIfAny, func(d *Domain) *[]string { return &d.Exclude },
			"Names of domains that are left out, whatever else selects them.").otherwise("none is left out"),
		at("uuids", kind[[]string]{form: "list of UUID", read: uuids, show: showSome}, func(d *Domain) *[]string { return &d.UUIDs },
			"UUIDs of domains.").otherwise("any UUID"),
		at("tags", kind[map[string]string]{form: "map of pattern", read: tagPatterns, show: showMap}, func(d *Domain) *map[string]string { return &d.Tags },
			"Tags of domains. All of them have to be there and match.").otherwise("any tags"),
		at("exclude_tags", kind[map[string]string]{form: "map of pattern", read: tagPatternsOrNone, show: showMap}, func(d *Domain) *map[string]string { return &d.ExcludeTags },
			"Tags of domains that are left out: one that matches is enough.").otherwise("none is left out"),
		at("fallback", flags, func(d *Domain) *bool { return &d.Fallback },
			"The block takes what it selects and no other block claims."),
		at("hosts", kind[[]string]{form: "list of reference", read: hostReferences, show: showList}, func(d *Domain) *[]string { return &d.Hosts },
			"The hosts whose domains are meant, such as `[host.hv1]` or `values(host.hv)`.").otherwise("all hosts"),
	}
}
