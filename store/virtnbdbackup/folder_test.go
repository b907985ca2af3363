package virtnbdbackup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/adler32"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
)

const size = 4096

// stream is a v2 file that writes one byte at a place of the disk; none if the
// byte is 0.
func stream(disk, checkpoint, parent, date string, place int64, value byte) *fstest.MapFile {
	data := int64(1)
	if value == 0 {
		data = 0
	}
	head := fmt.Sprintf(`{"virtualSize": %d, "dataSize": %d, "date": "2026-11-22T%s:00.5", "diskName": %q, "diskFormat": "qcow2", "checkpointName": %q,
		"compressed": false, "parentCheckpoint": %q, "incremental": %v, "streamVersion": 2}`, size, data, date, disk, checkpoint, parent, parent != "")
	b := fmt.Sprintf("meta %016x %016x\r\n%s\r\n", 0, len(head), head)
	if data > 0 {
		b += fmt.Sprintf("data %016x %016x\r\n%c\r\n", place, 1, value)
	}
	b += fmt.Sprintf("stop %016x %016x\r\n", 0, 0)
	return &fstest.MapFile{Data: []byte(b)}
}

func domain(uuid string, targets ...string) *fstest.MapFile {
	b := "<domain><name>web</name><uuid>" + uuid + "</uuid><devices>"
	for _, t := range targets {
		name, driver, _ := strings.Cut(t, ":")
		if driver == "" {
			driver = "qcow2"
		}
		b += fmt.Sprintf("<disk device='disk'><driver name='qemu' type='%s'/><target dev='%s'/></disk>", driver, name)
	}
	return &fstest.MapFile{Data: []byte(b + "</devices></domain>")}
}

// chain is a sound folder: a full and three increments of vda, which write a to
// d at places 0 to 3, and a difference after each of the last two, which write x
// and y at place 4.
func chain() fstest.MapFS {
	f := fstest.MapFS{
		"vda.full.data":                stream("vda", "virtnbdbackup.0", "", "10:00", 0, 'a'),
		"vda.inc.virtnbdbackup.1.data": stream("vda", "virtnbdbackup.1", "virtnbdbackup.0", "11:00", 1, 'b'),
		"vda.inc.virtnbdbackup.2.data": stream("vda", "virtnbdbackup.2", "virtnbdbackup.1", "12:00", 2, 'c'),
		"vda.diff.1000.data":           stream("vda", "virtnbdbackup.3", "virtnbdbackup.2", "12:30", 4, 'x'),
		"vda.inc.virtnbdbackup.3.data": stream("vda", "virtnbdbackup.3", "virtnbdbackup.2", "13:00", 3, 'd'),
		"vda.diff.2000.data":           stream("vda", "virtnbdbackup.4", "virtnbdbackup.3", "13:30", 4, 'y'),
		"vmconfig.1001.xml":            domain("u", "vda"),
	}
	for n := range 4 {
		f[fmt.Sprintf("vmconfig.virtnbdbackup.%d.xml", n)] = domain("u", "vda")
	}
	return f
}

// disks describes the points of a folder: name, kind, and per disk the first
// bytes, or "!" if there is a problem.
func disks(t *testing.T, f *Folder) []string {
	t.Helper()
	var lines []string
	for _, p := range f.Points {
		line := p.Name + " " + string(p.Kind)
		for _, d := range p.Disks {
			line += " " + d.Target + "=" + content(t, f, p, d)
		}
		lines = append(lines, strings.ReplaceAll(line, "virtnbdbackup", "v"))
	}
	return lines
}

func content(t *testing.T, f *Folder, p Point, d Disk) string {
	t.Helper()
	m, err := f.OpenDisk(p.Name, d.Target)
	var unsound *UnsoundError
	if errors.As(err, &unsound) != (d.Problem != nil) || err != nil && unsound == nil {
		t.Fatalf("%s of %s: %v, problem %v", d.Target, p.Name, err, d.Problem)
	}
	if err != nil {
		return "!"
	}
	defer m.Close()
	b := make([]byte, 5)
	if _, err := m.ReadAt(b, 0); err != nil || m.Size() != d.Size {
		t.Fatalf("%s of %s, %d bytes: %v", d.Target, p.Name, m.Size(), err)
	}
	return string(bytes.ReplaceAll(b, []byte{0}, []byte(".")))
}

func wantLines(t *testing.T, what string, found []string, expected ...string) {
	t.Helper()
	if !slices.Equal(found, expected) {
		t.Errorf("%s:\n  %s\nexpected\n  %s", what, strings.Join(found, "\n  "), strings.Join(expected, "\n  "))
	}
}

// the chain's points, for folders that differ in some
const (
	full  = "v.0 full vda=a...."
	inc1  = "v.1 inc vda=ab..."
	inc2  = "v.2 inc vda=abc.."
	diff1 = "diff.1000 diff vda=abc.x"
	inc3  = "v.3 inc vda=abcd."
	diff2 = "diff.2000 diff vda=abcdy"
)

func TestFolders(t *testing.T) {
	type files = map[string]*fstest.MapFile
	raw := &fstest.MapFile{Data: bytes.Repeat([]byte("raw! "), size/4)[:size]}
	record := &fstest.MapFile{Data: []byte(fmt.Sprintf(`{"virtual-size": %d}`, size))}
	inc := func(n, on int) *fstest.MapFile {
		return stream("vda", fmt.Sprintf("virtnbdbackup.%d", n), fmt.Sprintf("virtnbdbackup.%d", on), "15:00", 4, 'z')
	}
	for _, c := range []struct {
		name     string
		change   files // nil: removed
		points   []string
		problems []string // a problem and the points it costs
	}{
		{"a sound folder", nil, []string{full, inc1, inc2, diff1, inc3, diff2}, nil},
		{"a link is missing", files{"vda.inc.virtnbdbackup.1.data": nil},
			[]string{full, "v.2 inc vda=!", "diff.1000 diff vda=!", "v.3 inc vda=!", "diff.2000 diff vda=!"},
			[]string{"vda.inc.virtnbdbackup.1.data: is missing, and vda.inc.virtnbdbackup.2.data builds on it"}},
		{"the full is missing", files{"vda.full.data": nil},
			[]string{"v.1 inc vda=!", "v.2 inc vda=!", "diff.1000 diff vda=!", "v.3 inc vda=!", "diff.2000 diff vda=!"},
			[]string{"vda.full.data: is missing"}},
		{"the full is broken", files{"vda.full.data": {Data: []byte("meta 0000000000000000 0")}},
			[]string{"v.1 inc vda=!", "v.2 inc vda=!", "diff.1000 diff vda=!", "v.3 inc vda=!", "diff.2000 diff vda=!"},
			[]string{"vda.full.data: file of 23 bytes ends in its first frame"}},
		{"the full's first byte changed: it is no raw image", files{"vda.full.data": {Data: append([]byte("n"), chain()["vda.full.data"].Data[1:]...)}},
			[]string{"v.1 inc vda=!", "v.2 inc vda=!", "diff.1000 diff vda=!", "v.3 inc vda=!", "diff.2000 diff vda=!"},
			[]string{"vda.full.data: is neither a stream nor known to be a raw image of the disk"}},
		{"a broken increment", files{"vda.inc.virtnbdbackup.2.data": {}},
			[]string{"v.2 inc vda=!", full, inc1, "diff.1000 diff vda=!", "v.3 inc vda=!", "diff.2000 diff vda=!"},
			[]string{"vda.inc.virtnbdbackup.2.data: file does not start like a stream"}},
		{"a fork", files{"vda.inc.virtnbdbackup.7.data": inc(7, 1)},
			[]string{full, inc1, "v.2 inc vda=!", "diff.1000 diff vda=!", "v.3 inc vda=!", "diff.2000 diff vda=!", "v.7 inc vda=!"},
			[]string{"vda.inc.virtnbdbackup.2.data, vda.inc.virtnbdbackup.7.data: build on the same checkpoint virtnbdbackup.1"}},
		{"two fulls of one checkpoint", files{"vda.inc.virtnbdbackup.0.data": stream("vda", "virtnbdbackup.0", "", "09:00", 0, 'q')},
			[]string{"v.0 full vda=!", "v.1 inc vda=!", "v.2 inc vda=!", "diff.1000 diff vda=!", "v.3 inc vda=!", "diff.2000 diff vda=!"},
			[]string{"vda.full.data, vda.inc.virtnbdbackup.0.data: end with the same checkpoint virtnbdbackup.0"}},
		{"an overwritten predecessor", files{"vda.inc.virtnbdbackup.2.data": inc(2, 2)},
			[]string{full, inc1, "v.2 diff vda=!", "diff.1000 diff vda=!", "v.3 inc vda=!", "diff.2000 diff vda=!"},
			[]string{"vda.inc.virtnbdbackup.2.data: was made with the domain off, and has overwritten the file that led to virtnbdbackup.2"}},
		{"made with the domain off, after the full", files{"vda.inc.virtnbdbackup.0.data": stream("vda", "virtnbdbackup.0", "virtnbdbackup.0", "10:30", 4, 'o')},
			[]string{full, "offline.v.0 diff vda=a...o", inc1, inc2, diff1, inc3, diff2}, nil},
		{"on each other", files{"vda.full.data": nil, "vda.inc.virtnbdbackup.1.data": inc(1, 3)},
			[]string{"v.2 inc vda=!", "diff.1000 diff vda=!", "v.3 inc vda=!", "diff.2000 diff vda=!", "v.1 inc vda=!"},
			[]string{"build on each other"}},
		{"a full in the middle", files{"vda.inc.virtnbdbackup.2.data": stream("vda", "virtnbdbackup.2", "", "12:00", 2, 'c')},
			[]string{full, inc1, "v.2 full vda=..c..", "diff.1000 diff vda=..c.x", "v.3 inc vda=..cd.", "diff.2000 diff vda=..cdy"}, nil},
		{"a clock that was put back", files{"vda.inc.virtnbdbackup.1.data": stream("vda", "virtnbdbackup.1", "virtnbdbackup.0", "09:00", 1, 'b')},
			[]string{full, inc1, inc2, diff1, inc3, diff2}, nil},
		{"foreign files", files{"vdz.full.data": stream("vdz", "virtnbdbackup.0", "", "10:00", 0, 'q'), "vda.old.data": {}, "vda.inc.virtnbdbackup.9.data.partial": {}, "notes": {}, "vda\n.full.data": {}, "vmconfig.\x1b.xml": {}},
			[]string{full, inc1, inc2, diff1, inc3, diff2},
			[]string{"\"vda\\n.full.data\": is not named as", "vda.inc.virtnbdbackup.9.data.partial: is left by a run that failed", "vda.old.data: is not named as", "vdz.full.data: the domain has no disk vdz"}},
		{"a file of another disk", files{"vda.inc.virtnbdbackup.3.data": stream("vdb", "virtnbdbackup.3", "virtnbdbackup.2", "13:00", 3, 'd')},
			[]string{"v.3 inc vda=!", full, inc1, inc2, diff1, "diff.2000 diff vda=!"},
			[]string{`vda.inc.virtnbdbackup.3.data: is of disk "vdb"`}},
		{"a file of another checkpoint", files{"vda.inc.virtnbdbackup.3.data": inc(4, 2)},
			[]string{"v.3 inc vda=!", full, inc1, inc2, diff1, "diff.2000 diff vda=!"},
			[]string{`vda.inc.virtnbdbackup.3.data: is of checkpoint "virtnbdbackup.4"`}},
		{"another domain's", files{"vmconfig.virtnbdbackup.3.xml": domain("other", "vda"), "vmconfig.2001.xml": domain("other", "vda")},
			[]string{full, inc1, inc2, diff1, "v.3 inc vda=!", "diff.2000 diff vda=!"},
			[]string{"vda.inc.virtnbdbackup.3.data: is of domain other, but vda.inc.virtnbdbackup.2.data, on which it builds, of u"}},
		{"an increment as a full, a full as a difference", files{"vda.full.data": inc(0, 9), "vda.diff.1000.data": stream("vda", "virtnbdbackup.3", "", "12:30", 4, 'x')},
			[]string{"diff.1000 diff vda=!", "v.1 inc vda=!", "v.2 inc vda=!", "v.3 inc vda=!", "diff.2000 diff vda=!"},
			[]string{"vda.diff.1000.data: holds a full", "vda.full.data: holds an increment, by its header, on virtnbdbackup.9"}},
		{"a raw full", files{"vda.full.data": raw, "vda.virtnbdbackup.0.qcow.json": record},
			[]string{"v.0 full vda=raw! ", "v.1 inc vda=rbw! ", "v.2 inc vda=rbc! ", "diff.1000 diff vda=rbc!x", "v.3 inc vda=rbcd ", "diff.2000 diff vda=rbcdy"}, nil},
		{"a raw full of another size", files{"vda.full.data": {Data: raw.Data[1:]}, "vda.virtnbdbackup.0.qcow.json": record},
			[]string{"v.1 inc vda=!", "v.2 inc vda=!", "diff.1000 diff vda=!", "v.3 inc vda=!", "diff.2000 diff vda=!"},
			[]string{"vda.full.data: is neither a stream"}},
		{"a raw full, and a link is missing", files{"vda.full.data": raw, "vda.virtnbdbackup.0.qcow.json": record, "vda.inc.virtnbdbackup.1.data": nil},
			[]string{"v.0 full vda=raw! ", "v.2 inc vda=!", "diff.1000 diff vda=!", "v.3 inc vda=!", "diff.2000 diff vda=!"},
			[]string{"vda.inc.virtnbdbackup.1.data: is missing"}},
		{"a raw disk", files{"vdr.copy.data": raw, "vmconfig.virtnbdbackup.0.xml": domain("u", "vda", "vdr:raw"), "vmconfig.virtnbdbackup.1.xml": domain("u", "vda", "vdr:raw")},
			[]string{"v.0 full vda=a.... vdr=raw! ", inc1, inc2, diff1, inc3, diff2}, nil},
		{"a copy beside the chain", files{"vda.copy.data": stream("vda", "virtnbdbackup.0", "", "14:00", 0, 'k'), "vmconfig.copy.xml": domain("u", "vda")},
			[]string{full, inc1, inc2, diff1, inc3, diff2, "copy copy vda=k...."}, nil},
		{"a disk that joins, and one whose name begins like another's", files{
			"vda.diff.1000.data": nil, "vda.diff.2000.data": nil,
			"vdaa.full.data":                stream("vdaa", "virtnbdbackup.2", "", "12:00", 0, 'q'),
			"vdaa.inc.virtnbdbackup.3.data": stream("vdaa", "virtnbdbackup.3", "virtnbdbackup.2", "13:00", 1, 'r'),
			"vmconfig.virtnbdbackup.2.xml":  domain("u", "vda", "vdaa"), "vmconfig.virtnbdbackup.3.xml": domain("u", "vda", "vdaa")},
			[]string{full, inc1, "v.2 inc vda=abc.. vdaa=q....", "v.3 inc vda=abcd. vdaa=qr..."}, nil},
		{"a disk that left", files{"vda.diff.1000.data": nil, "vda.diff.2000.data": nil,
			"vdb.full.data": stream("vdb", "virtnbdbackup.0", "", "10:01", 0, 'q'), "vmconfig.virtnbdbackup.0.xml": domain("u", "vda", "vdb")},
			[]string{"v.0 full vda=a.... vdb=q....", inc1, inc2, inc3}, nil},
		{"a disk's file is gone", files{"vda.diff.1000.data": nil, "vda.diff.2000.data": nil,
			"vdb.full.data":                stream("vdb", "virtnbdbackup.0", "", "10:01", 0, 'q'),
			"vdb.inc.virtnbdbackup.1.data": stream("vdb", "virtnbdbackup.1", "virtnbdbackup.0", "11:01", 1, 'r'),
			"vmconfig.virtnbdbackup.0.xml": domain("u", "vda", "vdb"), "vmconfig.virtnbdbackup.1.xml": domain("u", "vda", "vdb"), "vmconfig.virtnbdbackup.2.xml": domain("u", "vda", "vdb")},
			[]string{"v.0 full vda=a.... vdb=q....", "v.1 inc vda=ab... vdb=qr...", "v.2 inc vda=abc.. vdb=!", inc3},
			[]string{"vdb.inc.virtnbdbackup.2.data: is missing"}},
		{"the same without configurations", files{"vda.diff.1000.data": nil, "vda.diff.2000.data": nil, "vmconfig.1001.xml": nil,
			"vdb.full.data":                stream("vdb", "virtnbdbackup.0", "", "10:01", 0, 'q'),
			"vmconfig.virtnbdbackup.0.xml": nil, "vmconfig.virtnbdbackup.1.xml": nil, "vmconfig.virtnbdbackup.2.xml": nil, "vmconfig.virtnbdbackup.3.xml": nil},
			[]string{"v.0 full vda=a.... vdb=q....", "v.1 inc vda=ab... vdb=!", "v.2 inc vda=abc.. vdb=!", "v.3 inc vda=abcd. vdb=!"},
			[]string{"vdb.inc.virtnbdbackup.1.data: is missing", "vdb.inc.virtnbdbackup.2.data: is missing", "vdb.inc.virtnbdbackup.3.data: is missing"}},
		{"differences of two disks", files{
			"vdb.full.data":                stream("vdb", "virtnbdbackup.0", "", "10:01", 0, 'q'),
			"vdb.inc.virtnbdbackup.1.data": stream("vdb", "virtnbdbackup.1", "virtnbdbackup.0", "11:01", 1, 'r'),
			"vdb.inc.virtnbdbackup.2.data": stream("vdb", "virtnbdbackup.2", "virtnbdbackup.1", "12:01", 2, 's'),
			"vdb.inc.virtnbdbackup.3.data": stream("vdb", "virtnbdbackup.3", "virtnbdbackup.2", "13:01", 3, 't'),
			"vdb.diff.1002.data":           stream("vdb", "virtnbdbackup.3", "virtnbdbackup.2", "12:31", 4, 'w'),
			"vmconfig.virtnbdbackup.0.xml": domain("u", "vda", "vdb"), "vmconfig.1001.xml": domain("u", "vda", "vdb"),
			"vmconfig.virtnbdbackup.1.xml": nil, "vmconfig.virtnbdbackup.2.xml": nil, "vmconfig.virtnbdbackup.3.xml": nil},
			[]string{"v.0 full vda=a.... vdb=q....", "v.1 inc vda=ab... vdb=qr...", "v.2 inc vda=abc.. vdb=qrs..", "diff.1000 diff vda=abc.x vdb=qrs.w",
				"v.3 inc vda=abcd. vdb=qrst.", "diff.2000 diff vda=abcdy vdb=!"},
			[]string{"vdb.diff.2000.data: is missing"}},
		{"a configuration that is none", files{"vmconfig.virtnbdbackup.3.xml": {Data: []byte("<html>")}},
			[]string{full, inc1, inc2, diff1, inc3, diff2}, []string{"vmconfig.virtnbdbackup.3.xml: is no domain's XML"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsys := chain()
			for name, file := range c.change {
				if file == nil {
					delete(fsys, name)
				} else {
					fsys[name] = file
				}
			}
			f, err := Open(fsys)
			if err != nil {
				t.Fatal(err)
			}
			wantLines(t, "points", disks(t, f), c.points...)
			if len(f.Problems) != len(c.problems) {
				t.Fatalf("problems %v, expected %v", f.Problems, c.problems)
			}
			var costs []string
			for i, p := range f.Problems {
				if !strings.Contains(p.String(), c.problems[i]) {
					t.Errorf("found problem %v, expected %q", p, c.problems[i])
				}
				costs = append(costs, p.Points...)
			}
			for _, p := range f.Points {
				if !p.Sound() != slices.Contains(costs, p.Name) {
					t.Errorf("%s is sound: %v, but problems cost %v", p.Name, p.Sound(), costs)
				}
			}
		})
	}
}

func TestUnsoundDiskNamesWhatRestores(t *testing.T) {
	fsys := chain()
	delete(fsys, "vda.inc.virtnbdbackup.2.data")
	f, err := Open(fsys)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.OpenDisk("virtnbdbackup.3", "vda")
	want := "vda at virtnbdbackup.3 does not restore: vda.inc.virtnbdbackup.2.data: is missing, and vda.inc.virtnbdbackup.3.data builds on it; " +
		"these points of it restore: virtnbdbackup.0, virtnbdbackup.1"
	if err == nil || err.Error() != want {
		t.Errorf("found %v\nexpected %s", err, want)
	}
	for _, c := range [][3]string{{"virtnbdbackup.9", "vda", "no point virtnbdbackup.9"}, {"virtnbdbackup.0", "vdb", "has no disk vdb"}} {
		if _, err := f.OpenDisk(c[0], c[1]); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("found %v, expected %q", err, c[2])
		}
	}
	// What shows only when the file is read has the same form.
	fsys["vda.inc.virtnbdbackup.1.data"].Data = fsys["vda.inc.virtnbdbackup.1.data"].Data[:340]
	_, err = f.OpenDisk("virtnbdbackup.1", "vda")
	var unsound *UnsoundError
	if !errors.As(err, &unsound) || !slices.Equal(unsound.Sound, []string{"virtnbdbackup.0"}) || unsound.Problem.Files[0] != "vda.inc.virtnbdbackup.1.data" {
		t.Errorf("found %v", err)
	}
	fsys["vda.full.data"] = stream("vda", "virtnbdbackup.0", "", "10:01", 0, 'n')
	if _, err = f.OpenDisk("virtnbdbackup.0", "vda"); err == nil || !strings.Contains(err.Error(), "has changed since") {
		t.Errorf("a full that was replaced: %v", err)
	}
}

func TestNoFolder(t *testing.T) {
	if _, err := Open(fstest.MapFS{"readme": {}}); !errors.Is(err, ErrNoFolder) {
		t.Errorf("found %v", err)
	}
	if _, err := Open(os.DirFS(t.TempDir() + "/absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("found %v", err)
	}
	dir := t.TempDir() // in which things have the names of files
	if err := errors.Join(os.Mkdir(dir+"/vda.full.data", 0o700), syscall.Mkfifo(dir+"/vdb.full.data", 0o600), os.Symlink("nowhere", dir+"/vdc.full.data")); err != nil {
		t.Fatal(err)
	}
	f, err := Open(os.DirFS(dir))
	if err != nil || len(f.Points) != 0 || len(f.Problems) != 3 {
		t.Errorf("found %+v, %v", f, err)
	}
}

func TestCheck(t *testing.T) {
	const file = "vda.inc.virtnbdbackup.2.data"
	add := func(fsys fstest.MapFS) {
		for name, f := range chain() {
			if strings.HasSuffix(name, ".data") {
				fsys[name+".chksum"] = &fstest.MapFile{Data: fmt.Appendf(nil, "%d", adler32.Checksum(f.Data))}
			}
		}
	}
	for _, c := range []struct {
		name     string
		change   func(fsys fstest.MapFS)
		want     []string
		needData bool
	}{
		{"sound", func(fstest.MapFS) {}, nil, true},
		{"a changed byte of data", func(fsys fstest.MapFS) {
			b := fsys[file].Data
			b[bytes.Index(b, []byte("c\r\n"))]++
		}, []string{"have the Adler-32"}, true},
		{"sum of another file", func(fsys fstest.MapFS) { fsys[file+".chksum"] = fsys["vda.full.data.chksum"] }, []string{"have the Adler-32"}, true},
		{"no sum", func(fsys fstest.MapFS) { delete(fsys, file+".chksum") }, nil, true},
		{"a line feed", func(fsys fstest.MapFS) {
			fsys[file+".chksum"] = &fstest.MapFile{Data: append(fsys[file+".chksum"].Data, '\n')}
		}, nil, true},
		{"None", func(fsys fstest.MapFS) { fsys[file+".chksum"] = &fstest.MapFile{Data: []byte("None")} }, []string{`holds "None"`}, true},
		{"cut", func(fsys fstest.MapFS) { fsys[file].Data = fsys[file].Data[:len(fsys[file].Data)-1] }, []string{"without a stop frame", "have the Adler-32"}, false},
	} {
		for _, readData := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, %v", c.name, readData), func(t *testing.T) {
				fsys := chain()
				add(fsys)
				c.change(fsys)
				f, err := Open(fsys)
				if err != nil {
					t.Fatal(err)
				}
				want := c.want
				if !readData {
					want = want[:0]
					if !c.needData {
						want = c.want[:1]
					}
				}
				var found []Problem
				if err := f.Check(context.Background(), readData, func(p Problem) { found = append(found, p) }); err != nil {
					t.Fatal(err)
				}
				if len(found) != len(want) {
					t.Fatalf("found %v, expected %v", found, want)
				}
				for i, p := range found {
					points := []string{"virtnbdbackup.2", "diff.1000", "virtnbdbackup.3", "diff.2000"}
					if !strings.Contains(p.String(), want[i]) || p.Files[0] != file || !slices.Equal(p.Points, points) {
						t.Errorf("found %v, which costs %v, expected %q", p, p.Points, want[i])
					}
				}
			})
		}
	}
}

func TestCheckOfCompressedData(t *testing.T) {
	fsys := fixtures(t)["2.47-copy-lz4-big-l9"]
	delete(fsys, "vda.copy.data.chksum") // LZ4 has sums of its own
	fsys["vda.copy.data"].Data[300_000] ^= 1
	f, err := Open(fsys)
	if err != nil {
		t.Fatal(err)
	}
	var found []Problem
	if err := f.Check(context.Background(), true, func(p Problem) { found = append(found, p) }); err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || !slices.Equal(found[0].Points, []string{"copy"}) || !strings.Contains(found[0].Detail, "bytes at 8388608 are lost") {
		t.Errorf("found %v", found)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f.Check(ctx, true, func(Problem) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
