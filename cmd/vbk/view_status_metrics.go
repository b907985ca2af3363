package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"

	"vbk/store"
)

// metrics prints the status in Prometheus' text format 0.0.4, for a textfile
// collector; docs/monitoring.md has the names. code is that of this run. Base
// units; a name comes once, with all its samples.
func (s status) metrics(w io.Writer, code int) {
	m := metrics{w, s.configuration}
	m.head("vbk_build_info", "The version of vbk that wrote this.")
	m.sample("vbk_build_info", 1, "version", s.Version, "goversion", runtime.Version())
	m.head("vbk_last_run_timestamp_seconds", "When a command looked last.")
	m.sample("vbk_last_run_timestamp_seconds", s.Timestamp.Unix(), "command", "status")
	m.head("vbk_last_run_exit_code", "How that ended: 0, or 4 where something is not as it should be.")
	m.sample("vbk_last_run_exit_code", int64(code), "command", "status")
	for _, f := range machineFamilies() {
		m.head(f.name, f.help)
		for _, i := range s.Instances {
			f.samples(i, func(value int64, more ...string) {
				m.sample(f.name, value, append([]string{"host", i.Host, "domain", i.Domain, "block", i.block(), "target", i.Store}, more...)...)
			})
		}
	}
	s.placeMetrics(m)
}

// placeMetrics are about stores, hosts and checks.
func (s status) placeMetrics(m metrics) {
	m.head("vbk_target_up", "1: the store could be read.")
	for _, t := range s.Stores {
		m.sample("vbk_target_up", truth(t.Error == ""), "target", t.Address)
	}
	m.head("vbk_target_free_bytes", "Bytes free on the store's file system.")
	for _, t := range s.Stores {
		if t.Error == "" {
			m.sample("vbk_target_free_bytes", t.Free, "target", t.Address)
		}
	}
	m.head("vbk_target_size_bytes", "Bytes of the store's file system.")
	for _, t := range s.Stores {
		if t.Error == "" {
			m.sample("vbk_target_size_bytes", t.Size, "target", t.Address)
		}
	}
	m.head("vbk_departed_domains", "Folders whose machine is gone or claimed no more; they are kept.")
	for _, t := range s.Stores {
		n := int64(0)
		for _, d := range s.Departed {
			n += truth(d.Store == t.Address)
		}
		m.sample("vbk_departed_domains", n, "target", t.Address)
	}
	m.head("vbk_host_up", "1: libvirt answered.")
	for _, h := range s.hosts {
		m.sample("vbk_host_up", truth(h.Error == ""), "host", h.Name)
	}
	m.head("vbk_unprotected_domains", "Machines that no block claims.")
	for _, h := range s.hosts {
		n := int64(0)
		for _, u := range s.Unclaimed {
			host, _, _ := strings.Cut(u, "/")
			n += truth(host == h.Name)
		}
		if h.Error == "" {
			m.sample("vbk_unprotected_domains", n, "host", h.Name)
		}
	}
	m.head("vbk_check_failed", "1: a check block fails, or cannot be evaluated.")
	for _, c := range s.Checks {
		m.sample("vbk_check_failed", truth(failed(c)), "check", c.Name)
	}
}

// family is a metric of machines.
type family struct {
	name, help string
	samples    func(m machineStatus, sample func(value int64, more ...string))
}

func machineFamilies() []family {
	gauge := func(name, help string, value func(machineStatus) int64) family {
		return family{name, help, func(m machineStatus, sample func(int64, ...string)) { sample(value(m)) }}
	}
	return []family{
		{"vbk_backup_last_success_timestamp_seconds", "Start of the newest point that restores, by kind.", func(m machineStatus, sample func(int64, ...string)) {
			full, increment := m.newestOf()
			if full != nil {
				sample(full.Start.Unix(), "kind", "full")
			}
			if increment != nil {
				sample(increment.Start.Unix(), "kind", "inc")
			}
		}},
		{"vbk_backup_duration_seconds", "How long the newest point took.", func(m machineStatus, sample func(int64, ...string)) {
			if p := m.newestPoint(); p != nil {
				sample(int64(p.End.Sub(p.Start).Seconds()))
			}
		}},
		{"vbk_backup_written_bytes", "Bytes that the newest point stored.", func(m machineStatus, sample func(int64, ...string)) {
			if p := m.newestPoint(); p != nil {
				sample(p.Stored())
			}
		}},
		{"vbk_backup_next_due_timestamp_seconds", "When the next point is due; none while one is due.", func(m machineStatus, sample func(int64, ...string)) {
			if m.Due != nil {
				sample(m.Due.Unix())
			}
		}},
		{"vbk_backup_expected_interval_seconds", "every of the block; none where a schedule says when.", func(m machineStatus, sample func(int64, ...string)) {
			if every := seconds(m.policy.Every); every > 0 {
				sample(every)
			}
		}},
		{"vbk_rpo_limit_seconds", "rpo of the block: how old the newest point may be.", func(m machineStatus, sample func(int64, ...string)) {
			if m.RPO > 0 {
				sample(m.RPO)
			}
		}},
		gauge("vbk_backup_failing", "1: the next point cannot be planned, or the store cannot be read.", func(m machineStatus) int64 {
			return truth(m.State == stateFailing || m.State == stateUnknown)
		}),
		gauge("vbk_backup_interrupted", "1: the last run was cut off; the next cleans up.", func(m machineStatus) int64 { return truth(m.LastError != "") }),
		gauge("vbk_backup_skipped", "1: the configuration says that no point is made now.", func(m machineStatus) int64 { return truth(m.State == stateIdle) }),
		gauge("vbk_restore_points", "Points that exist.", func(m machineStatus) int64 { return int64(m.Points) }),
		gauge("vbk_damaged_points", "Points that do not restore, as far as names and sizes tell.", func(m machineStatus) int64 { return int64(m.Damaged) }),
		gauge("vbk_chain_length", "Points of the newest chain.", func(m machineStatus) int64 { return int64(m.ChainLength) }),
		gauge("vbk_stored_bytes", "Bytes of all points.", func(m machineStatus) int64 { return m.Stored }),
	}
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

// metrics writes the text format. The name of the configuration is a label of
// every sample: a collector refuses the same sample from two files.
type metrics struct {
	w             io.Writer
	configuration string // "" if it has no name
}

func (m metrics) head(name, help string) {
	fmt.Fprintf(m.w, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
}

// sample is a line; labels are names and values in turn.
func (m metrics) sample(name string, value int64, labels ...string) {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	if m.configuration != "" {
		labels = append([]string{"configuration", m.configuration}, labels...)
	}
	var all []string
	for n := 0; n < len(labels); n += 2 {
		all = append(all, labels[n]+`="`+escape.Replace(strings.ToValidUTF8(labels[n+1], "\uFFFD"))+`"`)
	}
	fmt.Fprintf(m.w, "%s{%s} %d\n", name, strings.Join(all, ","), value)
}
