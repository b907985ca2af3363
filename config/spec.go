package config

import (
	"time"

	"github.com/zclconf/go-cty/cty"
)

// spec says what a block of the language may hold, whose settings go into a T.
type spec[T any] struct {
	fields []field[T]
	blocks []block[T]
}

// field is an attribute. Without set it is part of the language, but this
// version does not act on it yet.
type field[T any] struct {
	name string
	set  setter[T]
}

// setter puts a value into t, or the default's where the value is null.
type setter[T any] func(t, defaults *T, v cty.Value) error

// block is a block inside a block, at most one of a name. Without fields it is
// part of the language, but this version does not act on it yet.
type block[T any] struct {
	name   string
	labels []string
	fields []field[T]
	reset  func(t, defaults *T) // before the fields, where the block replaces what it overrides
}

// at makes the setter of one place in a T from the reader of its kind.
func at[T, F any](read func(cty.Value) (F, error), place func(*T) *F) setter[T] {
	return func(t, defaults *T, v cty.Value) error {
		if v.IsNull() {
			*place(t) = *place(defaults)
			return nil
		}
		value, err := read(v)
		if err == nil {
			*place(t) = value
		}
		return err
	}
}

// optional makes the setter of a place that is nil unless set.
func optional[T, F any](read func(cty.Value) (F, error), place func(*T) **F) setter[T] {
	return at(func(v cty.Value) (*F, error) {
		value, err := read(v)
		return &value, err
	}, place)
}

func vbkSpec() spec[Config] {
	return spec[Config]{fields: []field[Config]{
		{"name", at(line, func(c *Config) *string { return &c.Name })},
		{"time_zone", at(timeZone, func(c *Config) **time.Location { return &c.TimeZone })},
		{"required_version", nil},
	}}
}

func hostSpec() spec[Host] {
	return spec[Host]{
		fields: []field[Host]{
			{"uri", at(connection, func(h *Host) *string { return &h.URI })},
			{"max_parallel", at(count, func(h *Host) *int { return &h.MaxParallel })},
			{"scratch_dir", at(absolutePath, func(h *Host) *string { return &h.ScratchDir })},
			{"for_each", nil},
			{"labels", nil},
		},
		blocks: []block[Host]{{name: "limits"}, {name: "nbd"}},
	}
}

func localStoreSpec() spec[Store] {
	return spec[Store]{
		fields: []field[Store]{
			{"path", at(line, func(s *Store) *string { return &s.Path })},
			{"min_free", at(size, func(s *Store) *int64 { return &s.MinFree })},
			{"encryption", nil},
		},
		blocks: []block[Store]{{name: "limits"}},
	}
}

// policySpec is for policy blocks and for domain blocks, which hold the same
// attributes: a policy block is read as a Domain without a selector.
func policySpec() spec[Domain] {
	return spec[Domain]{
		fields: []field[Domain]{
			{"store", at(storeReference, func(d *Domain) *string { return &d.Policy.Store })},
			{"every", at(duration, func(d *Domain) *Duration { return &d.Policy.Every })},
			{"offline", at(oneOf([]string{"backup", "skip"}, "start_paused"), func(d *Domain) *string { return &d.Policy.Offline })},
			{"schedule", nil}, {"rpo", nil}, {"mode", nil}, {"min_change", nil}, {"stream", nil}, {"audit", nil},
		},
		blocks: []block[Domain]{
			{name: "chain", fields: []field[Domain]{
				{"full_every", at(durationOrNever, func(d *Domain) *Duration { return &d.Policy.Chain.FullEvery })},
				{"max_increments", at(count, func(d *Domain) *int { return &d.Policy.Chain.MaxIncrements })},
				{"on_broken", nil},
			}},
			retentionBlock(),
			{name: "disks", fields: []field[Domain]{
				{"include", at(patterns, func(d *Domain) *[]string { return &d.Policy.Disks.Include })},
				{"exclude", at(patternsOrNone, func(d *Domain) *[]string { return &d.Policy.Disks.Exclude })},
				{"raw", nil},
			}},
			{name: "compression", fields: []field[Domain]{
				{"codec", at(oneOf([]string{"zstd", "none"}, "lz4"), func(d *Domain) *string { return &d.Policy.Compression.Codec })},
				{"level", at(level, func(d *Domain) *int { return &d.Policy.Compression.Level })},
			}},
			{name: "quiesce"}, {name: "extra"}, {name: "verify"}, {name: "window"}, {name: "drill"},
			{name: "copy", labels: []string{"name"}}, {name: "hook", labels: []string{"when"}},
		},
	}
}

func retentionBlock() block[Domain] {
	keep := func(place func(*Retention) **int) setter[Domain] {
		return optional(count, func(d *Domain) **int { return place(&d.Policy.Retention) })
	}
	return block[Domain]{
		name:  "retention",
		reset: func(d, defaults *Domain) { d.Policy.Retention = defaults.Policy.Retention },
		fields: []field[Domain]{
			{"keep_last", keep(func(r *Retention) **int { return &r.KeepLast })},
			{"keep_hourly", keep(func(r *Retention) **int { return &r.KeepHourly })},
			{"keep_daily", keep(func(r *Retention) **int { return &r.KeepDaily })},
			{"keep_weekly", keep(func(r *Retention) **int { return &r.KeepWeekly })},
			{"keep_monthly", keep(func(r *Retention) **int { return &r.KeepMonthly })},
			{"keep_yearly", keep(func(r *Retention) **int { return &r.KeepYearly })},
			{"keep_within", optional(duration, func(d *Domain) **Duration { return &d.Policy.Retention.KeepWithin })},
			{"min_chains", at(count, func(d *Domain) *int { return &d.Policy.Retention.MinChains })},
			{"max_prune", at(percent, func(d *Domain) *int { return &d.Policy.Retention.MaxPrune })},
			{"anchor", nil}, {"prune", nil}, {"departed", nil},
		},
	}
}

func domainSpec() spec[Domain] {
	s := policySpec()
	s.fields = append([]field[Domain]{
		{"policy", setPolicy}, // first: the attributes after it override
		{"match", at(patterns, func(d *Domain) *[]string { return &d.Match })},
		{"exclude", at(patternsOrNone, func(d *Domain) *[]string { return &d.Exclude })},
		{"uuids", at(uuids, func(d *Domain) *[]string { return &d.UUIDs })},
		{"fallback", at(boolean, func(d *Domain) *bool { return &d.Fallback })},
		{"hosts", at(hostReferences, func(d *Domain) *[]string { return &d.Hosts })},
		{"tags", nil}, {"exclude_tags", nil}, {"for_each", nil}, {"where", nil},
	}, s.fields...)
	return s
}
