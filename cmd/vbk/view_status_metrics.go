package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"vbk/store"
)

// metrics prints the status in Prometheus' text format, for a textfile collector;
// docs/monitoring.md has the names. code is that of this run.
func (s status) metrics(w io.Writer, code int) error {
	registry := prometheus.NewRegistry()
	g := gauges{registry}
	if s.config.Name != "" { // a collector refuses the same sample from two files
		g.to = prometheus.WrapRegistererWith(prometheus.Labels{"configuration": utf8Text(s.config.Name)}, registry)
	}
	g.gauge("vbk_build_info", "The version of vbk that wrote this.", "version", "goversion")(1, s.Version, runtime.Version())
	g.gauge("vbk_last_run_timestamp_seconds", "When a command looked last.", "command")(float64(s.Timestamp.Unix()), "status")
	g.gauge("vbk_last_run_exit_code", "How that ended: 0, or 4 where something is not as it should be.", "command")(float64(code), "status")
	for _, f := range machineFamilies() {
		set := g.gauge(f.name, f.help, append([]string{"host", "domain", "block", "target"}, f.labels...)...)
		for _, i := range s.Instances {
			f.samples(i, func(value float64, more ...string) {
				set(value, append([]string{i.Host, i.Domain, i.block(), i.Store}, more...)...)
			})
		}
	}
	s.placeMetrics(g)
	families, err := registry.Gather()
	for _, f := range families {
		if err == nil {
			_, err = expfmt.MetricFamilyToText(w, f)
		}
	}
	if err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	return nil
}

// gauges registers metrics. All of ours are gauges: they say what is.
type gauges struct{ to prometheus.Registerer }

func (g gauges) gauge(name, help string, labels ...string) (set func(value float64, values ...string)) {
	vector := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	g.to.MustRegister(vector)
	return func(value float64, values ...string) {
		for n := range values {
			values[n] = utf8Text(values[n])
		}
		vector.WithLabelValues(values...).Set(value)
	}
}

// utf8Text is text that a label may hold: UTF-8.
func utf8Text(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// placeMetrics are about stores, hosts and checks.
func (s status) placeMetrics(g gauges) {
	up := g.gauge("vbk_target_up", "1: the store could be read.", "target")
	free := g.gauge("vbk_target_free_bytes", "Bytes free on the store's file system.", "target")
	size := g.gauge("vbk_target_size_bytes", "Bytes of the store's file system.", "target")
	minFree := g.gauge("vbk_target_min_free_bytes", "min_free of the store: with no more than that no point is made.", "target")
	departed := g.gauge("vbk_departed_domains", "Folders whose machine is gone or claimed no more; they are kept.", "target")
	orphaned := g.gauge("vbk_orphaned_chains", "Chains whose block is not in the configuration any more; they are kept.", "target")
	for _, t := range s.Stores {
		up(float64(truth(t.Error == "")), t.Address)
		if t.Error == "" {
			free(float64(t.Free), t.Address)
			size(float64(t.Size), t.Address)
			minFree(float64(t.MinFree), t.Address)
		}
		n, chains := int64(0), 0
		for _, d := range s.Departed {
			n += truth(d.Store == t.Address)
			if d.Store == t.Address && d.Orphaned {
				chains += d.Chains
			}
		}
		departed(float64(n), t.Address)
		orphaned(float64(chains), t.Address)
	}
	answered := g.gauge("vbk_host_up", "1: libvirt answered.", "host")
	unprotected := g.gauge("vbk_unprotected_domains", "Machines that no block claims.", "host")
	for _, h := range s.hosts {
		answered(float64(truth(h.Error == "")), h.Name)
		n := int64(0)
		for _, u := range s.Unclaimed {
			host, _, _ := strings.Cut(u, "/")
			n += truth(host == h.Name)
		}
		if h.Error == "" {
			unprotected(float64(n), h.Name)
		}
	}
	check := g.gauge("vbk_check_failed", "1: a check block fails, or cannot be evaluated.", "check")
	for _, c := range s.Checks {
		check(float64(truth(failed(c))), c.Name)
	}
}

// family is a metric of machines.
type family struct {
	name, help string
	labels     []string // beside those that say which machine
	samples    func(m machineStatus, sample func(value float64, more ...string))
}

func machineFamilies() []family {
	return slices.Concat(pointFamilies(), attemptFamilies(), scheduleFamilies(), storedFamilies(), drillFamilies())
}

// each has a sample of every machine.
func each(name, help string, value func(machineStatus) int64) family {
	return family{name, help, nil, func(m machineStatus, sample func(float64, ...string)) { sample(float64(value(m))) }}
}

// known has one where the value is not 0.
func known(name, help string, value func(machineStatus) int64) family {
	return family{name, help, nil, func(m machineStatus, sample func(float64, ...string)) {
		if v := value(m); v != 0 {
			sample(float64(v))
		}
	}}
}

// with has one where there is the thing that it is about.
func with[T any](name, help string, thing func(machineStatus) *T, value func(T) float64) family {
	return family{name, help, nil, func(m machineStatus, sample func(float64, ...string)) {
		if x := thing(m); x != nil {
			sample(value(*x))
		}
	}}
}

// pointFamilies are about the newest point.
func pointFamilies() []family {
	newest := machineStatus.newestPoint
	return []family{
		{"vbk_backup_last_success_timestamp_seconds", "Start of the newest point that restores, by kind.", []string{"kind"}, func(m machineStatus, sample func(float64, ...string)) {
			full, increment := m.newestOf()
			if full != nil {
				sample(float64(full.Start.Unix()), "full")
			}
			if increment != nil {
				sample(float64(increment.Start.Unix()), "inc")
			}
		}},
		with("vbk_backup_duration_seconds", "How long the newest point took.", newest, func(p store.Point) float64 { return p.End.Sub(p.Start).Seconds() }),
		with("vbk_backup_read_bytes", "Bytes of the guest that were read for the newest point.", machineStatus.newestRead, func(p store.Point) float64 { return float64(p.Read) }),
		with("vbk_backup_written_bytes", "Bytes that the newest point stored.", newest, func(p store.Point) float64 { return float64(p.Stored()) }),
		with("vbk_backup_freeze_seconds", "How long the guest stood still for the newest point, at most.", newest, func(p store.Point) float64 { return float64(p.FrozenMS) / 1000 }),
	}
}

// attemptFamilies are about what was tried last, and what stands against the next try.
func attemptFamilies() []family {
	last := func(m machineStatus) *lastAttempt { return m.LastAttempt }
	return []family{
		with("vbk_backup_last_attempt_timestamp_seconds", "When the last attempt to make a point that has ended began; none without any.", last, func(a lastAttempt) float64 { return float64(a.Began.Unix()) }),
		with("vbk_backup_last_attempt_success", "1: it made a point; 0: it failed, or was cut off.", last, func(a lastAttempt) float64 { return float64(truth(a.Outcome == attemptOK || a.Point != "")) }),
		each("vbk_backup_failing", "1: the next point cannot be planned, or the store cannot be read.", func(m machineStatus) int64 {
			return truth(m.State == stateUnknown || m.Error != "" && !m.Running)
		}),
		each("vbk_backup_interrupted", "1: the last run was cut off; the next cleans up.", func(m machineStatus) int64 { return truth(m.LastError != "") }),
		each("vbk_backup_skipped", "1: the configuration says that no point is made now.", func(m machineStatus) int64 { return truth(m.State == stateIdle) }),
	}
}

// scheduleFamilies are about when points are due, and how old they may be.
func scheduleFamilies() []family {
	return []family{
		known("vbk_backup_next_due_timestamp_seconds", "When the next point is due; none while one is due.", func(m machineStatus) int64 { return unixOf(m.Due) }),
		known("vbk_backup_expected_interval_seconds", "every of the block; none where a schedule says when.", func(m machineStatus) int64 { return seconds(m.policy.Every) }),
		known("vbk_rpo_limit_seconds", "rpo of the block: how old the newest point may be.", func(m machineStatus) int64 { return m.RPO }),
	}
}

// storedFamilies are about all points.
func storedFamilies() []family {
	return []family{
		each("vbk_restore_points", "Points that exist.", func(m machineStatus) int64 { return int64(m.Points) }),
		each("vbk_damaged_points", "Points that do not restore, as far as names and sizes tell, and what was verified.", func(m machineStatus) int64 { return int64(m.Damaged) }),
		known("vbk_verify_last_success_timestamp_seconds", "When files of a point were last read whole; none if never.", func(m machineStatus) int64 { return unixOf(m.Verified) }),
		known("vbk_unread_since_timestamp_seconds", "Since when the files of some point were not read: since they were written, or read last; none without points.",
			func(m machineStatus) int64 { return unixOf(m.UnreadSince) }),
		each("vbk_chain_length", "Points of the newest chain.", func(m machineStatus) int64 { return int64(m.ChainLength) }),
		each("vbk_stored_bytes", "Bytes of all points.", func(m machineStatus) int64 { return m.Stored }),
	}
}

// drillFamilies are about the points that were booted to try them.
func drillFamilies() []family {
	last, booted := func(m machineStatus) *lastDrill { return m.LastDrill }, func(m machineStatus) *lastDrill { return m.LastBooted }
	return []family{
		with("vbk_drill_last_attempt_timestamp_seconds", "When vbk drill was tried last; none if never.", last, func(d lastDrill) float64 { return float64(d.Began.Unix()) }),
		with("vbk_drill_last_attempt_success", "1: the point has booted then.", last, func(d lastDrill) float64 { return float64(truth(d.Booted)) }),
		with("vbk_drill_last_success_timestamp_seconds", "When a point was booted last; none if never.", booted, func(d lastDrill) float64 { return float64(d.Began.Unix()) }),
		with("vbk_drill_restore_seconds", "How long that took from the start until it had booted.", booted, func(d lastDrill) float64 { return d.Took }),
	}
}

func unixOf(t *time.Time) int64 {
	if t == nil {
		return 0
	}
	return t.Unix()
}

// newestOf are the newest points that restore: fulls, and the others.
func (m machineStatus) newestOf() (full, increment *store.Point) {
	if m.Newest == nil {
		return nil, nil
	}
	for _, c := range m.folder.Chains {
		for n, p := range c.Manifest.Points {
			which := &increment
			if p.Kind == store.Full {
				which = &full
			}
			if c.Sound(p.Sequence) && !p.Start.After(m.Newest.Start) && (*which == nil || p.Start.After((*which).Start)) {
				*which = &c.Manifest.Points[n]
			}
		}
	}
	return full, increment
}

func (m machineStatus) newestPoint() *store.Point {
	full, increment := m.newestOf()
	if full == nil || increment != nil && increment.Start.After(full.Start) {
		return increment
	}
	return full
}

// newestRead is the newest point if it tells what was read for it: older versions of
// vbk did not record that.
func (m machineStatus) newestRead() *store.Point {
	p := m.newestPoint()
	if p == nil || p.Read == 0 && readBytes(*p) > 0 {
		return nil
	}
	return p
}

// block is the address of the machine's block.
func (m machineStatus) block() string {
	block, _, _ := strings.Cut(m.Address, `["`)
	return block
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
