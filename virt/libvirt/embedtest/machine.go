package embedtest

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"
)

// Machine describes a virtual machine. Without a Linux nothing runs in it.
type Machine struct {
	Name    string
	Disks   []DiskSpec
	TPM     bool   // an emulated one, of version 2.0
	Devices string // more of them, as XML
	UEFI    bool   // its firmware, which writes to the serial console; libvirt makes its variables
	Linux   *Linux // boots it, with the guest agent; it takes vda for its file system
}

// DiskSpec describes a disk on the virtio bus. Size is in bytes; Format is
// "qcow2" unless set.
type DiskSpec struct {
	Target string
	Size   int64
	Format string
	Ext4   bool   // holds an empty file system
	From   string // holds what this raw file does
	Data   bool   // keeps its data in an external file, image.data
	Secret string // encrypted (LUKS), with the secret of a daemon that has this UUID
	Compat string // of qcow2, "1.1" unless set
}

var machineXML = template.Must(template.New("machine").Parse(`<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>{{.Name}}</name>
  <uuid>{{.UUID}}</uuid>
  <memory unit='MiB'>{{if .Linux}}192{{else if .UEFI}}96{{else}}32{{end}}</memory>
  <vcpu>1</vcpu>
  <os{{if .UEFI}} firmware='efi'{{end}}><type arch='x86_64' machine='pc'>hvm</type>
{{- with .Linux}}<kernel>{{.Kernel}}</kernel><initrd>{{.Initrd}}</initrd><cmdline>console=ttyS0 quiet panic=1</cmdline>{{end}}</os>
  <features><acpi/></features>
  <devices>
    <emulator>{{.Emulator}}</emulator>
{{- range .Disks}}
    <disk type='file' device='disk'>
      <driver name='qemu' type='{{.Format}}' discard='unmap'/>
      <source file='{{$.Dir}}/{{.Target}}.{{.Format}}'>{{with .Secret}}<encryption format='luks'><secret type='passphrase' uuid='{{.}}'/></encryption>{{end}}</source>
      <target dev='{{.Target}}' bus='virtio'/>
    </disk>
{{- end}}
{{- if or .Linux .UEFI}}
    <serial type='file'><source path='{{$.Dir}}/q/console'/><target port='0'/></serial>
{{- end}}
{{- if .Linux}}
    <channel type='unix'><source mode='bind' path='{{$.Dir}}/q/agent'/><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
{{- end}}
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
{{.Devices}}
{{- if .TPM}}
    <tpm model='tpm-crb'><backend type='emulator' version='2.0' persistent_state='yes'/></tpm>
{{- end}}
  </devices>
  <qemu:commandline>
    <qemu:arg value='-qmp'/>
    <qemu:arg value='unix:{{.Dir}}/q/s,server=on,wait=off'/>
  </qemu:commandline>
</domain>
`))

// Define makes images, defines a machine and starts it: paused, or with a Linux
// until that is ready. It returns the UUID. The machine is destroyed and removed
// after the test.
func (r *Root) Define(t testing.TB, m Machine) string {
	t.Helper()
	uuid := newUUID()
	dir := filepath.Join(r.work, uuid[:8])
	sockets := filepath.Join(dir, "q")
	if err := os.MkdirAll(sockets, 0o711); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{dir: 0o711, sockets: 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if m.Linux != nil { // QEMU's user cannot enter the cache
		m.Linux = m.Linux.copyTo(t, dir)
	}
	for i, d := range m.Disks {
		if d.Format == "" {
			m.Disks[i].Format = "qcow2"
		}
		r.makeImage(t, dir, m.Disks[i])
	}
	r.defineAs(t, m, uuid, dir)
	t.Cleanup(func() { r.remove(t, uuid) })
	r.Start(t, uuid)
	if m.Linux != nil {
		r.Resume(t, uuid)
		r.WaitConsole(t, uuid, "guest: ready")
	}
	return uuid
}

func (r *Root) defineAs(t testing.TB, m Machine, uuid, dir string) {
	t.Helper()
	emulator, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Fatal(err)
	}
	var doc bytes.Buffer
	if err := machineXML.Execute(&doc, struct {
		Machine
		UUID, Dir, Emulator string
	}{m, uuid, dir, emulator}); err != nil {
		t.Fatal(err)
	}
	if err := r.driver.define(doc.String()); err != nil {
		t.Fatalf("define %s: %v", m.Name, err)
	}
	r.machines[uuid], r.documents[uuid] = m, doc.String()
}

// SetDisks gives a machine that is shut off other disks. Images of new ones are
// made, those of others stay.
func (r *Root) SetDisks(t testing.TB, uuid string, disks ...DiskSpec) {
	t.Helper()
	m, dir := r.machines[uuid], filepath.Join(r.work, uuid[:8])
	m.Disks = disks
	for i := range m.Disks {
		m.Disks[i].Format = cmp.Or(m.Disks[i].Format, "qcow2")
	}
	r.defineAs(t, m, uuid, dir)
	for _, d := range m.Disks {
		if _, err := os.Stat(r.Image(uuid, d.Target)); err != nil {
			r.makeImage(t, dir, d)
		}
	}
}

func (r *Root) makeImage(t testing.TB, dir string, d DiskSpec) {
	t.Helper()
	args := []string{"create", "-q", "-f", d.Format}
	if d.Format == "qcow2" {
		args = append(args, "-o", "compat="+cmp.Or(d.Compat, "1.1"))
	}
	image := filepath.Join(dir, d.Target+"."+d.Format)
	if d.Data {
		run(t, "qemu-img", append(args, "-o", "data_file="+image+".data,data_file_raw=on", image, strconv.FormatInt(d.Size, 10))...)
		if err := os.Chmod(image+".data", 0o666); err != nil { // libvirt 9.0 gives QEMU's user the image alone
			t.Fatal(err)
		}
		return
	}
	if d.Secret != "" {
		r.makeEncrypted(t, image, d)
		return
	}
	if d.From != "" {
		run(t, "qemu-img", "convert", "-f", "raw", "-O", d.Format, d.From, image)
		return
	}
	if !d.Ext4 {
		run(t, "qemu-img", append(args, image, strconv.FormatInt(d.Size, 10))...)
		return
	}
	raw := filepath.Join(t.TempDir(), "ext4.raw")
	run(t, "qemu-img", "create", "-q", "-f", "raw", raw, strconv.FormatInt(d.Size, 10))
	run(t, "mkfs.ext4", "-q", "-F", raw)
	run(t, "qemu-img", append(append([]string{"convert", "-f", "raw", "-O"}, args[3:]...), raw, image)...)
}

func (r *Root) remove(t testing.TB, uuid string) {
	if active, err := r.driver.active(uuid); err != nil || active {
		if pid := r.PID(uuid); pid > 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			if err := r.waitInactive(uuid); err != nil {
				t.Errorf("remove machine: %v", err)
			}
		}
	}
	if err := r.driver.undefine(uuid); err != nil {
		t.Errorf("undefine %s: %v", r.machines[uuid].Name, err)
	}
}

// DefineAgain undefines a machine that is shut off and defines it again: libvirt
// forgets its checkpoints, whose bitmaps stay in the images.
func (r *Root) DefineAgain(t testing.TB, uuid string) {
	t.Helper()
	if err := errors.Join(r.driver.undefine(uuid), r.driver.define(r.documents[uuid])); err != nil {
		t.Fatalf("define %s again: %v", r.machines[uuid].Name, err)
	}
}

// Start starts a machine that is shut off, paused. libvirt 9.0 may hear of a
// QEMU's end twice and then end the next one, in good order, while it starts:
// so a start is tried again.
func (r *Root) Start(t testing.TB, uuid string) {
	t.Helper()
	err := r.driver.start(uuid)
	if err != nil {
		err = r.driver.start(uuid)
	}
	if err != nil {
		log := r.Log(uuid)
		t.Fatalf("start %s: %v; the end of QEMU's log:\n%s", r.machines[uuid].Name, err, log[max(0, len(log)-1000):])
	}
}

// Stop ends QEMU in good order, so that its bitmaps are saved, and returns when
// libvirt has noticed.
func (r *Root) Stop(t testing.TB, uuid string) {
	t.Helper()
	if _, err := qmp(r.socket(uuid), "quit", map[string]any{}); err != nil {
		t.Fatalf("stop %s: %v", r.machines[uuid].Name, err)
	}
	if err := r.waitInactive(uuid); err != nil {
		t.Fatalf("stop %s: %v", r.machines[uuid].Name, err)
	}
}

// Kill ends QEMU by SIGKILL and returns when libvirt has noticed: bitmaps that
// QEMU had not saved are gone, the others inconsistent.
func (r *Root) Kill(t testing.TB, uuid string) {
	t.Helper()
	pid := r.PID(uuid)
	if pid <= 0 {
		t.Fatalf("kill %s: no QEMU runs", r.machines[uuid].Name)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("kill %s: %v", r.machines[uuid].Name, err)
	}
	if err := r.waitInactive(uuid); err != nil {
		t.Fatalf("kill %s: %v", r.machines[uuid].Name, err)
	}
}

// PID is the process id of a machine's QEMU, 0 if none runs.
func (r *Root) PID(uuid string) int {
	text, err := os.ReadFile(filepath.Join(r.run, r.machines[uuid].Name+".pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
}

// WaitInactive returns when libvirt has noticed that QEMU has ended.
func (r *Root) WaitInactive(t testing.TB, uuid string) {
	t.Helper()
	if err := r.waitInactive(uuid); err != nil {
		t.Fatalf("wait for the end of %s: %v", r.machines[uuid].Name, err)
	}
}

// Log is what a machine's QEMU has said.
func (r *Root) Log(uuid string) string {
	log, _ := os.ReadFile(filepath.Join(r.logs, r.machines[uuid].Name+".log"))
	return string(log)
}

func (r *Root) waitInactive(uuid string) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(time.Minute); ; {
		active, err := r.driver.active(uuid)
		if err != nil || !active {
			return err
		}
		select {
		case <-tick.C:
		case <-limit:
			return fmt.Errorf("libvirt has not noticed the end of QEMU")
		}
	}
}

// socket is the machine's own QMP socket.
func (r *Root) socket(uuid string) string { return filepath.Join(r.work, uuid[:8], "q", "s") }

// Image is the path of a disk's image file.
func (r *Root) Image(uuid, target string) string {
	if image := r.overlays[uuid+target]; image != "" {
		return image
	}
	return filepath.Join(r.work, uuid[:8], target+"."+r.disk(uuid, target).Format)
}

// Copy returns the path of a raw copy of a disk as the guest would read it now,
// taken over NBD by nbdcopy from a qemu-nbd that reads the image file. The
// machine may run, a backup may be under way; nothing may write meanwhile.
func (r *Root) Copy(t testing.TB, uuid, target string) string {
	t.Helper()
	if active, err := r.driver.active(uuid); err != nil {
		t.Fatal(err)
	} else if active {
		r.io(t, uuid, target, "flush")
	}
	image := r.Image(uuid, target)
	out := filepath.Join(t.TempDir(), target+".raw")
	format, node := strings.TrimPrefix(filepath.Ext(image), "."), "file.driver=file,file.filename="+image+",force-share=on"
	args := []string{"--", "[", "qemu-nbd", "--read-only", "--object", "secret,id=s,data=" + passphrase, "--image-opts"}
	switch {
	case r.disk(uuid, target).Secret == "":
		node = "driver=" + format + "," + node
	case format == "raw":
		node = "driver=luks,key-secret=s," + node
	default:
		node = "driver=qcow2,encrypt.format=luks,encrypt.key-secret=s," + node
	}
	run(t, "nbdcopy", append(args, node, "]", out)...)
	return out
}

// passphrase is that of every encrypted image.
const passphrase = "correct-horse"

func (r *Root) makeEncrypted(t testing.TB, image string, d DiskSpec) {
	t.Helper()
	key := []string{"create", "-q", "--object", "secret,id=s,data=" + passphrase}
	how := []string{"-f", "luks", "-o", "key-secret=s,iter-time=10"}
	if d.Format == "qcow2" {
		how = []string{"-f", "qcow2", "-o", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10"}
	}
	for range 100 { // QEMU 7.2 fails where a clock is coarse
		if out, err := exec.Command("qemu-img", append(append(key, how...), image, strconv.FormatInt(d.Size, 10))...).CombinedOutput(); err == nil {
			return
		} else if !strings.Contains(string(out), "accurate CPU usage") {
			t.Fatalf("qemu-img: %v: %s", err, out)
		}
	}
	t.Fatal("qemu-img cannot measure time")
}

func (r *Root) disk(uuid, target string) DiskSpec {
	for _, d := range r.machines[uuid].Disks {
		if d.Target == target {
			return d
		}
	}
	panic("embedtest: " + r.machines[uuid].Name + " has no disk " + target)
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

func newUUID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
