package virtnbdbackup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"vbk/format"
)

// FuzzFolder makes a folder of a script: files of three disks whose names and
// headers say this or that, some cut short. Whatever it is, points of one disk
// come after those they build on, and a disk opens exactly as its files, laid
// over one another, allow.
func FuzzFolder(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 2, 2, 2, 1, 0, 0})
	f.Add([]byte{0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 2, 2, 2, 2, 0, 0, 3, 1, 2, 1, 0, 3, 1, 2, 1, 2, 0, 0})
	f.Add([]byte{0, 0, 0, 1, 0, 0, 4, 1, 1, 2, 0, 9, 8, 2, 2, 1, 0, 0, 12, 0, 0, 0, 1, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		fsys := fstest.MapFS{}
		for ; len(script) >= 6 && len(fsys) < 60; script = script[6:] {
			disk := "vda" + strings.Repeat("a", int(script[0]>>2)%3)
			id := fmt.Sprintf("virtnbdbackup.%d", script[1]%8)
			name := map[byte]string{0: disk + ".full.data", 1: disk + ".inc." + id + ".data", 2: fmt.Sprintf("%s.diff.%d.data", disk, int(script[1])*20), 3: disk + ".copy.data"}[script[0]&3]
			parent := ""
			if script[3] > 0 {
				parent = fmt.Sprintf("virtnbdbackup.%d", script[3]%9-1)
			}
			file := stream(disk, fmt.Sprintf("virtnbdbackup.%d", script[2]%8), parent, fmt.Sprintf("%02d:00", script[4]%24), int64(script[5]%5), 'a')
			if script[4] > 200 {
				file.Data = file.Data[:len(file.Data)*int(script[5])/256]
			}
			fsys[name] = file
			if script[4] > 100 && script[4] < 150 {
				fsys["vmconfig."+id+".xml"] = domain(fmt.Sprint(script[5]%2), "vda", "vdaaa")
			}
		}
		folder, err := Open(fsys)
		if err != nil {
			if !errors.Is(err, ErrNoFolder) {
				t.Fatal(err)
			}
			return
		}
		seen := map[string]bool{}
		single := !slices.ContainsFunc(folder.Points, func(p Point) bool { return len(p.Disks) > 1 }) // two disks may contradict each other
		for _, p := range folder.Points {
			if seen[p.Name] {
				t.Fatalf("two points %s", p.Name)
			}
			for _, d := range p.Disks {
				if d.Problem != nil {
					continue
				}
				if single && len(d.Files()) > 1 && !seen[p.Parent] {
					t.Fatalf("%s comes before %s, on which it builds", p.Name, p.Parent)
				}
				opens(t, folder, fsys, p, d)
			}
			seen[p.Name] = true
		}
		if err := folder.Check(context.Background(), true, func(Problem) {}); err != nil {
			t.Fatal(err)
		}
	})
}

// opens compares OpenDisk with format alone.
func opens(t *testing.T, f *Folder, fsys fstest.MapFS, p Point, d Disk) {
	var layers []format.Layer
	for _, name := range d.Files() {
		b := fsys[name].Data
		s, err := format.OpenStream(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			var unsound *UnsoundError
			if _, err := f.OpenDisk(p.Name, d.Target); !errors.As(err, &unsound) {
				t.Fatalf("%s is broken, but %v", name, err)
			}
			return
		}
		layers = append(layers, s)
	}
	want, err := format.NewImage(layers...)
	if err != nil {
		t.Fatalf("%s of %s is listed as sound: %v", d.Target, p.Name, err)
	}
	m, err := f.OpenDisk(p.Name, d.Target)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	a, _ := io.ReadAll(io.NewSectionReader(want, 0, want.Size()))
	b, _ := io.ReadAll(io.NewSectionReader(m, 0, m.Size()))
	if !bytes.Equal(a, b) {
		t.Fatalf("%s of %s differs", d.Target, p.Name)
	}
}
