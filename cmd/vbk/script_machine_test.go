package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"vbk/executor"
	"vbk/nbd"
	"vbk/virt"
	"vbk/virt/virttest"
)

// twin is a hypervisor in memory that lives as long as a script.
type twin struct {
	*virttest.Host
	down  bool
	old   bool              // its libvirt is
	uuids map[string]string // by name
}

func (th *theatre) openHost(_ context.Context, uri string, _ bool) (hypervisor, error) {
	th.surveyed()
	h := th.hosts[uri]
	if h == nil || h.down {
		return nil, fmt.Errorf("connect to %s: connection refused", uri)
	}
	return h, nil
}

// dial opens an export on whichever host has the job.
func (th *theatre) dial(_ context.Context, socket, export, bitmap string) (executor.Export, error) {
	var all []error
	for _, h := range th.hosts {
		e, err := h.Open(socket, export, bitmap)
		if err == nil {
			return twinExport{e, th}, nil
		}
		all = append(all, err)
	}
	return nil, errors.Join(all...)
}

// twinExport is an export of the twin with the methods of nbd.Conn.
type twinExport struct {
	*virttest.Export
	th *theatre
}

func (e twinExport) Prime(context.Context) error { return nil }

func (e twinExport) Extents(_ context.Context, offset, length int64) ([]nbd.Extent, error) {
	found, err := e.Export.Extents(offset, length)
	extents := make([]nbd.Extent, len(found))
	for i, x := range found {
		extents[i] = nbd.Extent{Offset: x.Offset, Length: x.Length, Zero: x.Zero, Dirty: x.Dirty}
	}
	return extents, err
}

func (e twinExport) ReadBatch(ctx context.Context, reads []nbd.Read) error {
	if e.th.buggy {
		panic("a bug in a reader")
	}
	if last := reads[len(reads)-1]; e.th.stage != nil && last.Offset >= e.th.held {
		select {
		case e.th.waiting <- struct{}{}:
		default:
		}
		done := ctx.Done()
		if e.th.deaf {
			done = nil
		}
		select {
		case <-e.th.stage:
		case <-done:
			return ctx.Err()
		}
	}
	for _, r := range reads {
		if _, err := e.ReadAt(r.Data, r.Offset); err != nil {
			return err
		}
	}
	return nil
}

// machineCommand is what happens on the hypervisor, not through vbk:
//
//	machine NAME define TARGET=SIZE... [TARGET=SIZE:FORMAT...]
//	machine NAME write TARGET OFFSET LENGTH SEED    noise that compresses by half
//	machine NAME fill TARGET FILE                   from the beginning
//	machine NAME zero TARGET OFFSET LENGTH
//	machine NAME resize TARGET SIZE
//	machine NAME start | stop | kill | undefine
//	machine NAME break-bitmap TARGET                of its newest checkpoint
//	machine NAME forget                             its checkpoints, not their bitmaps
//	machine NAME foreign-job | end-foreign-job
//	machine NAME bug | bug-read | no-bug            vbk panics when it begins a job, or reads a disk
//	machine NAME confine                            no job can begin: QEMU may not make its socket
//	machine NAME peer-backup FOLDER                 by virtnbdbackup
//	machine NAME remember AS                        for cmp-disk
//	machine NAME state                              prints checkpoints and job
//	machine host down | old | up
//
// QEMU runs as the user $QEMU_USER of what is defined while it is set.
// The host is qemu:///system, unless $HOST names another URI.
func machineCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: machine NAME VERB ...")
	}
	th := of(ts)
	uri := ts.Getenv("HOST")
	if uri == "" {
		uri = "qemu:///system"
	}
	h := th.hosts[uri]
	if h == nil {
		h = &twin{Host: virttest.New(), uuids: map[string]string{}}
		h.Now = th.clock
		th.hosts[uri] = h
	}
	name, verb, rest := args[0], args[1], args[2:]
	if name == "host" {
		h.down, h.old = verb == "down", verb == "old"
		return
	}
	m := machine{ts: ts, th: th, twin: h, name: name, uuid: h.uuids[name]}
	if m.uuid == "" && verb != "define" {
		ts.Fatalf("no machine %s is defined on %s", name, uri)
	}
	m.do(verb, rest)
}

type machine struct {
	ts *testscript.TestScript
	th *theatre
	*twin
	name, uuid string
}

func (m machine) do(verb string, args []string) {
	switch verb {
	case "define":
		m.define(args)
	case "write":
		m.Write(m.uuid, args[0], m.bytes(args[1]), noise(m.bytes(args[2]), args[3]))
	case "fill":
		m.Write(m.uuid, args[0], 0, []byte(m.ts.ReadFile(args[1])))
	case "zero":
		m.Zero(m.uuid, args[0], m.bytes(args[1]), m.bytes(args[2]))
	case "resize":
		m.Resize(m.uuid, args[0], m.bytes(args[1]))
	case "start":
		m.SetState(m.uuid, virt.Running)
	case "stop":
		m.SetState(m.uuid, virt.ShutOff)
	case "kill":
		m.Kill(m.uuid)
	case "undefine":
		m.Undefine(m.uuid)
		delete(m.uuids, m.name)
	case "break-bitmap":
		checkpoints := m.survey().Checkpoints
		m.BreakBitmap(m.uuid, args[0], checkpoints[len(checkpoints)-1].Name)
	case "forget":
		for _, c := range m.survey().Checkpoints {
			m.ts.Check(m.ForgetCheckpoint(context.Background(), m.uuid, c.Name))
		}
	case "foreign-job":
		m.ForeignJob(m.uuid, virt.Job{Operation: "block copy"})
	case "end-foreign-job":
		m.ForeignJob(m.uuid, virt.Job{})
	case "bug":
		bug := m.uuid
		m.Before = func(op, uuid string) error {
			if uuid == bug && op == "BeginBackup" {
				panic("a bug")
			}
			return nil
		}
	case "confine":
		confined := m.uuid
		m.Before = func(op, uuid string) error {
			if uuid == confined && op == "BeginBackup" {
				return errors.New("internal error: unable to execute QEMU command 'nbd-server-start': Failed to bind socket to /var/tmp/vbk-1f0c9a3e-0badcafe/nbd: Permission denied")
			}
			return nil
		}
	case "bug-read":
		m.th.buggy = true
	case "no-bug":
		m.Before, m.th.buggy = nil, false
	case "peer-backup":
		m.peerBackup(args[0])
	case "remember":
		for _, d := range m.survey().Disks {
			m.th.pictures[args[0]+" "+m.name+" "+d.Target] = m.Content(m.uuid, d.Target)
		}
	case "state":
		m.state()
	default:
		m.ts.Fatalf("machine has no verb %s", verb)
	}
}

func (m machine) define(args []string) {
	m.th.defined++
	m.uuids[m.name] = fmt.Sprintf("%08d-0000-4000-8000-000000000000", m.th.defined)
	def := virt.Domain{Name: m.name, UUID: m.uuids[m.name], ProcessUID: -1, ProcessGID: -1}
	if user := m.ts.Getenv("QEMU_USER"); user != "" {
		uid, err := strconv.Atoi(user)
		m.ts.Check(err)
		def.ProcessUID, def.ProcessGID = uid, uid
	}
	content := map[string][]byte{}
	for _, a := range args {
		target, size, _ := strings.Cut(a, "=")
		size, format, _ := strings.Cut(size, ":")
		def.Disks = append(def.Disks, virt.Disk{Target: target, Type: "file", Source: "/images/" + m.name + "-" + target, Format: format})
		content[target] = make([]byte, m.bytes(size))
	}
	m.Define(def, content)
}

func (m machine) survey() virt.Domain {
	d, err := m.Domain(context.Background(), m.uuid)
	m.ts.Check(err)
	return d
}

func (m machine) state() {
	d := m.survey()
	fmt.Fprint(m.ts.Stdout()) // replaces what was there
	for _, c := range d.Checkpoints {
		fmt.Fprintf(m.ts.Stdout(), "checkpoint %s\n", c.Name)
	}
	if d.Job != nil {
		fmt.Fprintf(m.ts.Stdout(), "job %s\n", d.Job.Operation)
	}
}

// bytes reads 512, 64K or 4M.
func (m machine) bytes(text string) int64 {
	unit := int64(1)
	if digits, ok := strings.CutSuffix(text, "K"); ok {
		text, unit = digits, 1<<10
	} else if digits, ok := strings.CutSuffix(text, "M"); ok {
		text, unit = digits, 1<<20
	}
	n, err := strconv.ParseInt(text, 10, 64)
	m.ts.Check(err)
	return n * unit
}

// noise is half random and half zero.
func noise(n int64, seed string) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(seed))).Read(data) // never fails
	for at := range data {
		if at%64 < 32 {
			data[at] = 0
		}
	}
	return data
}

// compareDisk is cmp-disk FILE AS NAME TARGET: a raw file holds exactly what
// machine NAME remember AS saw.
func compareDisk(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: cmp-disk FILE AS NAME TARGET")
	}
	want, ok := of(ts).pictures[strings.Join(args[1:], " ")]
	if !ok {
		ts.Fatalf("nothing is remembered as %s", strings.Join(args[1:], " "))
	}
	got, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	if same := bytes.Equal(got, want); same == neg {
		ts.Fatalf("%s and %s: the same: %v", args[0], strings.Join(args[1:], " "), same)
	}
}
