package executor_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vbk/config"
	"vbk/executor"
	"vbk/executor/bind"
	"vbk/plan"
	"vbk/store"
	"vbk/virt"
)

// bootsFrom is a host whose domains name files besides their disks.
type bootsFrom struct {
	executor.Host
	os string
}

func (h bootsFrom) DomainXML(ctx context.Context, uuid string) (string, error) {
	doc, err := h.Host.DomainXML(ctx, uuid)
	return strings.Replace(doc, "<devices>", "<os><type>hvm</type>"+h.os+"</os><devices>", 1), err
}

// TestExtra: the firmware's variables and the kernel are as old as the disks; what
// cannot be had is noted, and the point is made all the same.
func TestExtra(t *testing.T) {
	dir := t.TempDir()
	vars, pipe, huge := filepath.Join(dir, "vars"), filepath.Join(dir, "pipe"), filepath.Join(dir, "huge")
	if err := os.WriteFile(vars, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(huge, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, 64<<20+1); err != nil {
		t.Fatal(err)
	}
	all := config.Extra{NVRAM: true, Kernel: true}
	for name, c := range map[string]struct {
		os, uri string
		extra   config.Extra
		note    string
		stored  bool
	}{
		"there":      {os: "<nvram>" + vars + "</nvram>", extra: all, stored: true},
		"off":        {os: "<nvram>" + vars + "</nvram>"},
		"far away":   {os: "<nvram>" + vars + "</nvram>", extra: all, uri: "qemu+ssh://other/system"},
		"missing":    {os: "<nvram>" + vars + ".no</nvram>", extra: all, note: "nvram is not stored: open "},
		"a pipe":     {os: "<kernel>" + pipe + "</kernel>", extra: all, note: "kernel is not stored: " + pipe + " is no regular file"},
		"a big file": {os: "<initrd>" + huge + "</initrd>", extra: all, note: "initrd is not stored: " + huge + " has more than 64 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir(), 8)
			w.define(map[string]int64{"vda": 100 << 10})
			w.policy().Extra = c.extra
			if c.uri != "" {
				w.config.Hosts[0].URI = c.uri
			}
			w.bind = func(b *executor.Bindings) { b.Hosts["local"] = bootsFrom{b.Hosts["local"], c.os} }
			w.succeed(plan.Options{})
			l := w.points()[0]
			if notes := strings.Join(l.point.Notes, "\n"); (c.note == "") != (notes == "") || !strings.HasPrefix(notes, c.note) {
				t.Errorf("noted is %q", notes)
			}
			r := executor.Restoration{Dir: t.TempDir(), Format: "raw"}
			if _, err := restore(t.Context(), w.store(), l, 0, r, func(string, int64, int64) {}); err != nil {
				t.Fatal(err)
			}
			if !c.stored {
				wantNames(t, r.Dir, 2)
				return
			}
			wantFile(t, filepath.Join(r.Dir, "nvram"), []byte("first"))
			w.wantVars(t, l, r)
		})
	}
}

// wantVars wants a restored machine to have the restored variables, and none of a
// machine that they are damaged for.
func (w *world) wantVars(t *testing.T, l located, r executor.Restoration) {
	t.Helper()
	chain, err := bind.Store{Store: w.store()}.OpenChain(l.folder, l.chain)
	if err != nil {
		t.Fatal(err)
	}
	defer chain.Close()
	p, err := executor.PointOf(chain, 0)
	if err != nil {
		t.Fatal(err)
	}
	d, err := executor.Machine{Name: "again", UUID: otherUUID}.Define(p, r)
	if err != nil || !strings.Contains(d.XML, "<nvram>"+r.Dir+"/nvram</nvram>") {
		t.Errorf("%v %s", err, d.XML)
	}
	i := slices.IndexFunc(l.point.Files, func(f store.File) bool { return strings.HasSuffix(f.Name, ".nvram") })
	if err := w.disk.Flip(l.folder+"/"+l.chain+"/"+l.point.Files[i].Name, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := (executor.Machine{Name: "again", UUID: otherUUID}).Define(p, r); !executor.IsDamage(err) {
		t.Errorf("damaged variables: %v", err)
	}
}

// TestCheckDefinition: a restored machine takes nobody's place but its own, and
// that only while it does not run.
func TestCheckDefinition(t *testing.T) {
	for name, c := range map[string]struct {
		machine executor.Machine
		change  func(*world)
		want    string
	}{
		"another one":             {machine: executor.Machine{UUID: otherUUID}},
		"its name is taken":       {machine: executor.Machine{UUID: otherUUID, Name: "web01"}, want: "a domain web01 is there already"},
		"its UUID is taken":       {machine: executor.Machine{UUID: uuid, Name: "again"}, want: "domain web01 has the UUID"},
		"itself, running":         {want: "domain web01 is running"},
		"itself, paused":          {change: func(w *world) { w.host.SetState(uuid, virt.Paused) }, want: "domain web01 is paused"},
		"itself, shut off":        {change: func(w *world) { w.host.SetState(uuid, virt.ShutOff) }},
		"itself, gone":            {change: func(w *world) { w.host.Undefine(uuid) }},
		"itself, another by name": {change: func(w *world) { w.rename(otherUUID) }, want: "a domain web01 is there already"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir(), 8)
			w.define(map[string]int64{"vda": 100 << 10})
			w.succeed(plan.Options{})
			l := w.points()[0]
			if c.change != nil {
				c.change(w)
			}
			chain, err := bind.Store{Store: w.store()}.OpenChain(l.folder, l.chain)
			if err != nil {
				t.Fatal(err)
			}
			defer chain.Close()
			p, err := executor.PointOf(chain, 0)
			if err != nil {
				t.Fatal(err)
			}
			d, err := c.machine.Define(p, executor.Restoration{Dir: t.TempDir(), Format: "qcow2"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Check(t.Context(), w.host); (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("check: %v", err)
			}
		})
	}
}

// rename puts another domain in the place of the one there is.
func (w *world) rename(other string) {
	w.host.Undefine(uuid)
	w.host.Define(virt.Domain{Name: "web01", UUID: other, State: virt.ShutOff}, nil)
}
