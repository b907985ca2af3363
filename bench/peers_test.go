//go:build bench

package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vbk/virt/libvirt/embedtest"
)

const gib = 1 << 30

// fill makes vda a file system with 2 GiB of this system's files.
func (s *site) fill(t *testing.T) {
	t.Helper()
	s.root.Kill(t, s.uuid)
	files, raw := filepath.Join(s.dir, "files"), filepath.Join(s.dir, "disk.raw")
	// tar complains that the archive was cut off, and has unpacked what there was.
	must(t, exec.Command("sh", "-c", fmt.Sprintf("mkdir %s; tar -C / -cf - usr 2>/dev/null | head -c %d | tar -C %s -xf - 2>/dev/null; true", files, 2*gib, files)))
	must(t, exec.Command("truncate", "-s", fmt.Sprint(8*gib), raw))
	must(t, exec.Command("mkfs.ext4", "-q", "-F", "-d", files, raw))
	must(t, exec.Command("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", "compat=1.1", raw, s.root.Image(s.uuid, "vda")))
	if err := os.RemoveAll(files); err != nil {
		t.Fatal(err)
	}
	s.root.Start(t, s.uuid)
}

func (s *site) apply(name string) contender {
	return contender{name: name, prepare: s.fresh, pid: s.pid, after: wantDone, command: func() *exec.Cmd { return s.command("apply", "-auto-approve") }}
}

func wantDone(t *testing.T, r *run) {
	if !strings.Contains(r.out, "Apply complete: 1 done, 0 skipped, 0 failed.") {
		t.Fatalf("no point was made:\n%s", r.out)
	}
}

func (s *site) peer(t *testing.T, name string, more ...string) contender {
	return contender{name: name, prepare: s.fresh, pid: s.pid, command: func() *exec.Cmd {
		cmd := exec.Command("/usr/bin/python3", append([]string{"peer.py", "/usr/bin/virtnbdbackup", "-U", s.root.URI(), "-n", "-d", "web01", "-l", "full", "-o", filepath.Join(s.dir, "peer"),
			"-S", s.root.Dir(), "-f", filepath.Join(s.root.Dir(), "peer.sock")}, more...)...)
		return cmd
	}}
}

// exported is a command that reads the same kind of export; beginning and ending
// the job is not measured.
func (s *site) exported(name string, command func(socket string) *exec.Cmd) contender {
	socket := filepath.Join(s.root.Dir(), "copy.sock")
	return contender{name: name, pid: s.pid, prepare: func(t *testing.T) {
		s.fresh(t)
		os.Remove(socket)
		job := filepath.Join(s.dir, "job.xml")
		text := fmt.Sprintf("<domainbackup mode='pull'><server transport='unix' socket='%s'/><disks><disk name='vda' backup='yes' type='file'><scratch file='%s/s'/></disk></disks></domainbackup>", socket, s.root.Dir())
		os.Remove(filepath.Join(s.root.Dir(), "s"))
		if err := os.WriteFile(job, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		must(t, s.virsh("backup-begin", "web01", job))
	}, command: func() *exec.Cmd { return command(socket) }}
}

// nbdcopy writes the export into a raw file.
func (s *site) nbdcopy() contender {
	return s.exported("nbdcopy --flush, the copy alone", func(socket string) *exec.Cmd {
		return exec.Command("nbdcopy", "--flush", "nbd+unix:///vda?socket="+socket, filepath.Join(s.dir, "copy.raw"))
	})
}

// reading is the floor of all that read the export.
func (s *site) reading() contender {
	return s.exported("the export read and thrown away", func(socket string) *exec.Cmd {
		return exec.Command(os.Args[0], "floor", socket)
	})
}

// writing is the floor of all that write as many bytes.
func (s *site) writing(bytes int64) contender {
	return contender{name: "as many bytes written by dd, directly where that goes", prepare: s.fresh, command: func() *exec.Cmd {
		dd := fmt.Sprintf("dd if=%s of=%s bs=1M count=%d conv=fsync", s.root.Image(s.uuid, "vda"), filepath.Join(s.dir, "copy.raw"), bytes>>20)
		return exec.Command("sh", "-c", dd+" oflag=direct || "+dd)
	}}
}

func TestFull(t *testing.T) {
	s := newSite(t, embedtest.DiskSpec{Target: "vda", Size: 8 * gib})
	s.fill(t)
	s.configure(t, "  compression {\n    codec = \"none\"\n  }")
	compare(t, "Full backup, uncompressed, 2 GiB of files in a disk of 8 GiB", 5, s.apply("vbk apply, all of it"), s.nbdcopy(), s.reading(), s.writing(2*gib))
	compare(t, "The same, with virtnbdbackup", 3, s.apply("vbk apply"), s.peer(t, "virtnbdbackup -l full"))
	s.configure(t, "")
	compare(t, "Full backup, compressed", 3, s.apply("vbk apply (zstd)"), s.peer(t, "virtnbdbackup -l full -z (lz4)", "-z"))
}

func TestRestore(t *testing.T) {
	s := newSite(t, embedtest.DiskSpec{Target: "vda", Size: 8 * gib})
	s.fill(t)
	s.configure(t, "  compression {\n    codec = \"none\"\n  }")
	s.fresh(t)
	measure(t, contender{name: "virtnbdbackup", command: s.peer(t, "").command})
	os.RemoveAll(filepath.Join(s.dir, "store"))
	must(t, s.command("init"))
	s.restart(t)
	must(t, s.command("apply", "-auto-approve"))
	raw, out := filepath.Join(s.dir, "disk.raw"), filepath.Join(s.dir, "out")
	clear := func(t *testing.T) { os.RemoveAll(out); os.MkdirAll(out, 0o755) }
	restore := func(format string) contender {
		return contender{name: "vbk restore -format " + format, prepare: func(t *testing.T) { os.RemoveAll(out) },
			command: func() *exec.Cmd { return s.command("restore", "web01@latest", "-o", out, "-format", format) },
			after: func(t *testing.T, _ *run) {
				must(t, exec.Command("qemu-img", "compare", "-f", "raw", "-F", format, raw, filepath.Join(out, "vda."+format)))
			}}
	}
	compare(t, "Restore to raw", 5, restore("raw"), contender{name: "cp --sparse=always, and sync", prepare: clear,
		command: func() *exec.Cmd {
			return exec.Command("sh", "-c", fmt.Sprintf("cp --sparse=always %s %s/vda.raw && sync %s/vda.raw", raw, out, out))
		}})
	compare(t, "Restore to qcow2", 3, restore("qcow2"),
		contender{name: "qemu-img convert -O qcow2", prepare: clear, command: func() *exec.Cmd {
			return exec.Command("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, filepath.Join(out, "vda.qcow2"))
		}},
		contender{name: "virtnbdrestore -a restore", prepare: clear, command: func() *exec.Cmd {
			return exec.Command("virtnbdrestore", "-U", "test:///default", "-n", "-a", "restore", "-i", filepath.Join(s.dir, "peer"), "-o", out)
		}})
	compare(t, "Verify, every byte", 3, contender{name: "vbk verify -read-data", command: func() *exec.Cmd { return s.command("verify", "-read-data") }},
		contender{name: "cat of the files", command: func() *exec.Cmd { return exec.Command("sh", "-c", "cat "+s.dir+"/store/*/*/*.v3 > /dev/null") }})
	compare(t, "Serve", 3, contender{name: "vbk serve, nbdcopy from it to nothing", command: func() *exec.Cmd {
		return s.command("serve", "web01@latest", "-run", "nbdcopy \"$uri\" null:")
	}}, contender{name: "cat of the files", command: func() *exec.Cmd {
		return exec.Command("sh", "-c", "cat "+s.dir+"/store/*/*/*.v3 > /dev/null")
	}}, contender{name: "first MiB from vbk serve", command: func() *exec.Cmd {
		return s.command("serve", "web01@latest", "-run", "qemu-io -r -f raw -c 'read 1G 1M' \"$uri\"")
	}})
}

func TestIncrement(t *testing.T) {
	s := newSite(t, embedtest.DiskSpec{Target: "vda", Size: 1 << 40})
	s.configure(t, "")
	s.fresh(t)
	must(t, s.command("apply", "-auto-approve"))
	n := byte(0)
	change := func(t *testing.T) {
		n++
		for i := range int64(64) {
			s.root.Write(t, s.uuid, "vda", i*(13<<30), 1<<20, n)
		}
		for s.command("plan", "-detailed-exitcode").Run() == nil { // exit 2: something is due
		}
	}
	compare(t, "Increment: 64 MiB in 64 places of a disk of 1 TiB", 5, contender{name: "vbk apply", prepare: change, pid: s.pid, after: wantDone,
		command: func() *exec.Cmd { return s.command("apply", "-auto-approve") }},
		contender{name: "vbk plan, nothing else", command: func() *exec.Cmd { return s.command("plan") }})
}
