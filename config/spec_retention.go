package config

func defaultRetention() Retention {
	return Retention{Anchor: "any", Prune: "chain", MinChains: 1, MaxPrune: 50}
}

// retentionFields are for the policy, and for a copy.
func retentionFields[T any](of func(*T) *Retention) []field[T] {
	keep := func(name, about string, place func(*Retention) **int) field[T] {
		return at(name, optional(counts), func(t *T) **int { return place(of(t)) }, about).otherwise("no such rule")
	}
	return []field[T]{
		keep("keep_last", "This many of the newest points.", func(r *Retention) **int { return &r.KeepLast }),
		keep("keep_hourly", "The newest point of each of the last N hours that have one.", func(r *Retention) **int { return &r.KeepHourly }),
		keep("keep_daily", "The newest point of each of the last N days that have one, in the `time_zone` of the configuration.", func(r *Retention) **int { return &r.KeepDaily }),
		keep("keep_weekly", "The newest point of each of the last N weeks (Monday to Sunday) that have one.", func(r *Retention) **int { return &r.KeepWeekly }),
		keep("keep_monthly", "The newest point of each of the last N months that have one.", func(r *Retention) **int { return &r.KeepMonthly }),
		keep("keep_yearly", "The newest point of each of the last N years that have one.", func(r *Retention) **int { return &r.KeepYearly }),
		at("keep_within", optional(durations), func(t *T) **Duration { return &of(t).KeepWithin },
			"All points that are at most this much older than the newest one.").otherwise("no such rule"),
		at("anchor", wordOf(
			word("any", "all points"),
			word("full", "fulls only, which need no other point"),
		), func(t *T) *string { return &of(t).Anchor }, "What `keep_weekly`, `keep_monthly` and `keep_yearly` choose among."),
		at("prune", wordOf(
			word("chain", "a chain goes when none of its points is kept"),
			word("merge", "points go one by one: what the next one needs of them is merged into it"),
		), func(t *T) *string { return &of(t).Prune }, "How points go that no rule keeps."),
		at("min_chains", counts, func(t *T) *int { return &of(t).MinChains },
			"This many of the newest sound chains stay, whatever the rules say."),
		at("max_prune", percentages, func(t *T) *int { return &of(t).MaxPrune },
			"If more than this share of a domain's points would go at once, beyond what one interval releases, none goes, and the plan names the flag that allows it (`-allow-prune`)."),
		at("departed", durationsOr(word("keep", "they stay")), func(t *T) *Duration { return &of(t).Departed },
			"When the chains of a domain go that is on no host any more, or that no block claims: this long after its newest point."),
	}
}
