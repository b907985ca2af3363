package config

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// defaultPolicy is what holds where neither policy nor domain say otherwise.
// There is no default store, and the default rpo follows the interval.
func defaultPolicy() Policy {
	return Policy{
		Every:       Duration(24 * time.Hour),
		Mode:        "incremental",
		Chain:       Chain{FullEvery: Duration(7 * 24 * time.Hour), MaxIncrements: 30, OnBroken: "resync"},
		Retention:   defaultRetention(),
		Quiesce:     Quiesce{Mode: "try", Timeout: Duration(10 * time.Second)},
		Disks:       Disks{Raw: "resync", Encrypted: "fail"},
		Compression: Compression{Codec: "zstd", Level: 1},
		Stream:      "v3",
		Extra:       Extra{NVRAM: true, TPM: true, Kernel: true},
		Audit:       64,
		Offline:     "backup",
	}
}

func defaultRetention() Retention {
	return Retention{Anchor: "any", Prune: "chain", MinChains: 1, MaxPrune: 50}
}

// policySpec is for policy blocks and for domain blocks, which hold the same
// attributes: a policy block is read as a Domain without a selector.
func policySpec() spec[Domain] {
	return spec[Domain]{
		fields: policyFields(),
		blocks: []block[Domain]{
			nested("chain",
				at("full_every", orNever, func(d *Domain) *Duration { return &d.Policy.Chain.FullEvery }),
				at("max_increments", counts, func(d *Domain) *int { return &d.Policy.Chain.MaxIncrements }),
				at("on_broken", wordOf("resync", "full", "fail"), func(d *Domain) *string { return &d.Policy.Chain.OnBroken }),
				later[Domain]("differential"),
			),
			replacing(nested("retention", retentionFields(func(d *Domain) *Retention { return &d.Policy.Retention })...)),
			nested("quiesce",
				at("mode", wordOf("try", "require", "off"), func(d *Domain) *string { return &d.Policy.Quiesce.Mode }),
				at("timeout", durations, func(d *Domain) *Duration { return &d.Policy.Quiesce.Timeout }),
				at("filesystems", kind[[]string]{paths, showSome}, func(d *Domain) *[]string { return &d.Policy.Quiesce.Filesystems }),
			),
			nested("disks",
				at("include", kind[[]string]{patterns, showSome}, func(d *Domain) *[]string { return &d.Policy.Disks.Include }),
				at("exclude", kind[[]string]{patternsOrNone, showSome}, func(d *Domain) *[]string { return &d.Policy.Disks.Exclude }),
				at("raw", wordOf("resync", "full", "skip", "fail"), func(d *Domain) *string { return &d.Policy.Disks.Raw }),
				at("encrypted", wordOf("fail", "plaintext"), func(d *Domain) *string { return &d.Policy.Disks.Encrypted }),
			),
			nested("compression",
				at("codec", wordOf("zstd", "lz4", "none"), func(d *Domain) *string { return &d.Policy.Compression.Codec }),
				at("level", kind[int]{level, strconv.Itoa}, func(d *Domain) *int { return &d.Policy.Compression.Level }),
			),
			nested("extra",
				at("nvram", flags, func(d *Domain) *bool { return &d.Policy.Extra.NVRAM }),
				at("tpm", flags, func(d *Domain) *bool { return &d.Policy.Extra.TPM }),
				at("kernel", flags, func(d *Domain) *bool { return &d.Policy.Extra.Kernel }),
			),
			nested("verify",
				at("every", orNever, func(d *Domain) *Duration { return &d.Policy.Verify.Every }),
			),
			{name: "copy", labels: []string{"name"}, read: readCopy},
			{name: "hook", labels: []string{"when"}, read: readHook},
			laterBlock[Domain]("window"), laterBlock[Domain]("drill"),
		},
	}
}

func policyFields() []field[Domain] {
	return []field[Domain]{
		at("store", kind[string]{storeReference, showStore}, func(d *Domain) *string { return &d.Policy.Store }),
		everyField(), scheduleField(),
		at("rpo", kind[Duration]{duration, showRPO}, func(d *Domain) *Duration { return &d.Policy.RPO }),
		at("mode", kind[string]{oneOf([]string{"incremental", "full"}, "differential"), showText}, func(d *Domain) *string { return &d.Policy.Mode }),
		at("offline", wordOf("backup", "start_paused", "skip"), func(d *Domain) *string { return &d.Policy.Offline }),
		at("min_change", sizes, func(d *Domain) *int64 { return &d.Policy.MinChange }),
		at("stream", wordOf("v3", "virtnbdbackup", "raw"), func(d *Domain) *string { return &d.Policy.Stream }),
		at("audit", kind[int]{countOrNone, strconv.Itoa}, func(d *Domain) *int { return &d.Policy.Audit }),
	}
}

func retentionFields[T any](of func(*T) *Retention) []field[T] {
	keep := func(name string, place func(*Retention) **int) field[T] {
		return at(name, optional(counts), func(t *T) **int { return place(of(t)) })
	}
	return []field[T]{
		keep("keep_last", func(r *Retention) **int { return &r.KeepLast }),
		keep("keep_hourly", func(r *Retention) **int { return &r.KeepHourly }),
		keep("keep_daily", func(r *Retention) **int { return &r.KeepDaily }),
		keep("keep_weekly", func(r *Retention) **int { return &r.KeepWeekly }),
		keep("keep_monthly", func(r *Retention) **int { return &r.KeepMonthly }),
		keep("keep_yearly", func(r *Retention) **int { return &r.KeepYearly }),
		at("keep_within", optional(durations), func(t *T) **Duration { return &of(t).KeepWithin }),
		at("anchor", wordOf("any", "full"), func(t *T) *string { return &of(t).Anchor }),
		at("prune", wordOf("chain", "merge"), func(t *T) *string { return &of(t).Prune }),
		at("min_chains", counts, func(t *T) *int { return &of(t).MinChains }),
		at("max_prune", kind[int]{percent, showPercent}, func(t *T) *int { return &of(t).MaxPrune }),
		at("departed", kind[Duration]{durationOr("keep"), showDuration("keep")}, func(t *T) *Duration { return &of(t).Departed }),
	}
}

// everyField and scheduleField are one setting in two notations: each takes
// the place of the other.
func everyField() field[Domain] {
	f := at("every", durations, func(d *Domain) *Duration { return &d.Policy.Every })
	return alternative(f, "schedule", func(d *Domain) { d.Policy.Schedule = "" }, func(d *Domain) bool { return d.Policy.Schedule != "" })
}

func scheduleField() field[Domain] {
	f := at("schedule", kind[string]{schedule, showText}, func(d *Domain) *string { return &d.Policy.Schedule })
	return alternative(f, "every", func(d *Domain) { d.Policy.Every = 0 }, func(d *Domain) bool { return d.Policy.Schedule == "" })
}

func alternative(f field[Domain], other string, clear func(*Domain), unused func(*Domain) bool) field[Domain] {
	set, show := f.set, f.show
	f.other = other
	f.set = func(d *Domain, v cty.Value) error {
		err := set(d, v)
		if err == nil {
			clear(d)
		}
		return err
	}
	f.reset = func(d, defaults *Domain) {
		d.Policy.Every, d.Policy.Schedule = defaults.Policy.Every, defaults.Policy.Schedule
	}
	f.show = func(d *Domain) string {
		if unused(d) {
			return "null"
		}
		return show(d)
	}
	return f
}

func showStore(address string) string { return cmp.Or(address, "null") }

func showRPO(d Duration) string {
	if d == 0 {
		return "null"
	}
	return showText(d.String())
}

func copySpec() spec[Copy] {
	return spec[Copy]{
		fields: []field[Copy]{
			at("to", kind[string]{storeReference, showStore}, func(c *Copy) *string { return &c.To }),
			at("only", wordOf("all", "full"), func(c *Copy) *string { return &c.Only }),
		},
		blocks: []block[Copy]{nested("retention", retentionFields(func(c *Copy) *Retention { return &c.Retention })...)},
	}
}

// readCopy takes the place of a copy of the same name.
func readCopy(r reader, b *hcl.Block, d *Domain, _ Domain) hcl.Diagnostics {
	defaults := Copy{Name: b.Labels[0], Only: "all", Retention: defaultRetention()}
	c := defaults
	l := newLedger(r.ledger.block)
	diags := decode(reader{in: r.in, ledger: l}, b.Body, copySpec(), &c, defaults)
	r.ledger.unknown = r.ledger.unknown || l.unknown
	if c.To == "" && !diags.HasErrors() && !l.unknown {
		diags = append(diags, failure("Missing required argument", "A copy needs to, the store that it goes to.", b.DefRange))
	}
	d.Policy.Copies = put(d.Policy.Copies, c, func(c Copy) string { return c.Name }, strings.Compare)
	r.ledger.enter("copy."+c.Name, b.DefRange)
	return diags
}

func hookSpec() spec[Hook] {
	env := at("env", kind[map[string]string]{labels, showMap}, func(h *Hook) *map[string]string { return &h.Env })
	env.secret = true
	return spec[Hook]{fields: []field[Hook]{
		at("command", kind[[]string]{command, showList}, func(h *Hook) *[]string { return &h.Command }),
		env,
		at("timeout", durations, func(h *Hook) *Duration { return &h.Timeout }),
		at("on_fail", wordOf("abort", "warn"), func(h *Hook) *string { return &h.OnFail }),
	}}
}

// hookOrder is that of a run.
var hookOrder = []string{"pre", "post", "fail"}

// readHook takes the place of a hook with the same label.
func readHook(r reader, b *hcl.Block, d *Domain, _ Domain) hcl.Diagnostics {
	when := b.Labels[0]
	if !slices.Contains(hookOrder, when) {
		return hcl.Diagnostics{failure("Unknown hook", `A hook is "pre", "post" or "fail".`, b.LabelRanges[0])}
	}
	defaults := Hook{When: when, Timeout: Duration(5 * time.Minute), OnFail: "warn"}
	if when == "pre" {
		defaults.OnFail = "abort"
	}
	h := defaults
	l := newLedger(r.ledger.block)
	diags := decode(reader{in: r.in, ledger: l}, b.Body, hookSpec(), &h, defaults)
	r.ledger.unknown = r.ledger.unknown || l.unknown
	if h.Command == nil && !diags.HasErrors() && !l.unknown {
		diags = append(diags, failure("Missing required argument", "A hook needs a command, a list of the program and its arguments.", b.DefRange))
	}
	d.Policy.Hooks = put(d.Policy.Hooks, h, func(h Hook) string { return h.When }, func(a, b string) int {
		return cmp.Compare(slices.Index(hookOrder, a), slices.Index(hookOrder, b))
	})
	r.ledger.enter("hook."+when, b.DefRange)
	return diags
}

// command reads a program and its arguments.
func command(v cty.Value) ([]string, error) {
	argv, err := listOrNone(v, text)
	if err == nil && (len(argv) == 0 || argv[0] == "") {
		return nil, errors.New("the list must start with a program")
	}
	return argv, err
}

// put replaces the element with the same name, or adds one, in a new list that
// is in order.
func put[E any](list []E, e E, name func(E) string, order func(a, b string) int) []E {
	list = slices.DeleteFunc(slices.Clone(list), func(other E) bool { return name(other) == name(e) })
	list = append(list, e)
	slices.SortFunc(list, func(a, b E) int { return order(name(a), name(b)) })
	return list
}

func domainSpec() spec[Domain] {
	s := policySpec()
	s.fields = slices.Concat(selectorFields(), s.fields, []field[Domain]{later[Domain]("for_each"), later[Domain]("where")})
	return s
}

func selectorFields() []field[Domain] {
	return []field[Domain]{
		at("match", kind[[]string]{patterns, showSome}, func(d *Domain) *[]string { return &d.Match }),
		at("exclude", kind[[]string]{patternsOrNone, showSome}, func(d *Domain) *[]string { return &d.Exclude }),
		at("uuids", kind[[]string]{uuids, showSome}, func(d *Domain) *[]string { return &d.UUIDs }),
		at("tags", kind[map[string]string]{tagPatterns, showMap}, func(d *Domain) *map[string]string { return &d.Tags }),
		at("exclude_tags", kind[map[string]string]{tagPatternsOrNone, showMap}, func(d *Domain) *map[string]string { return &d.ExcludeTags }),
		at("fallback", flags, func(d *Domain) *bool { return &d.Fallback }),
		at("hosts", kind[[]string]{hostReferences, showList}, func(d *Domain) *[]string { return &d.Hosts }),
	}
}
