package virtnbdbackup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/zstd"
)

// fixtures unpacks the folders that virtnbdbackup wrote: 2020's, Debian's 1.9.15
// and 2.47. Modification times are not kept: the files must not need them.
func fixtures(t *testing.T) map[string]fstest.MapFS {
	t.Helper()
	archives, err := filepath.Glob("testdata/*.tar.zst")
	if err != nil || len(archives) != 12 {
		t.Fatalf("%d archives in testdata, %v", len(archives), err)
	}
	folders := map[string]fstest.MapFS{}
	for _, archive := range archives {
		packed, err := os.ReadFile(archive)
		if err != nil {
			t.Fatal(err)
		}
		in, err := zstd.NewReader(bytes.NewReader(packed))
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		for r := tar.NewReader(in); ; {
			h, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			set, name, _ := strings.Cut(h.Name, "/")
			if h.Typeflag != tar.TypeReg {
				continue
			}
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			if folders[set] == nil {
				folders[set] = fstest.MapFS{}
			}
			folders[set][name] = &fstest.MapFile{Data: b}
		}
	}
	return folders
}

func sum(t *testing.T, f *Folder, point, disk string) string {
	t.Helper()
	m, err := f.OpenDisk(point, disk)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer m.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, io.NewSectionReader(m, 0, m.Size())); err != nil {
		t.Error(err)
	}
	return fmt.Sprintf("%x", hash.Sum(nil))
}

// TestEveryFolderRestores compares each disk at each point with what
// virtnbdrestore made of it.
func TestEveryFolderRestores(t *testing.T) {
	text, err := os.ReadFile("testdata/expected.txt")
	if err != nil {
		t.Fatal(err)
	}
	expected := map[string][][]string{}
	for line := range strings.Lines(string(text)) {
		if w := strings.Fields(line); w[0] != "#" {
			expected[w[0]] = append(expected[w[0]], w[1:])
		}
	}
	folders := fixtures(t)
	if len(expected) != len(folders) || len(folders) != 14 {
		t.Fatalf("%d folders, expected hashes of %d", len(folders), len(expected))
	}
	for set, fsys := range folders {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			f, err := Open(fsys)
			if err != nil {
				t.Fatal(err)
			}
			domain := map[bool]string{true: "tv 11111111-2222-3333-4444-555555555555", false: "cbt 905ee460-1d01-4356-928a-dc70d228eee6"}[strings.HasPrefix(set, "2.47") || strings.HasPrefix(set, "1.9.15")]
			if found := f.Domain + " " + f.UUID; found != domain {
				t.Errorf("domain %s, expected %s", found, domain)
			}
			var order []string
			for _, w := range expected[set] {
				if !slices.Contains(order, w[0]) {
					order = append(order, w[0])
				}
				if found := sum(t, f, w[0], w[1]); found != w[2] {
					t.Errorf("%s of %s hashes to %s, expected %s", w[1], w[0], found, w[2])
				}
			}
			disks := 0
			for i, p := range f.Points {
				if p.Name != order[i] || !p.Sound() || p.Config == "" {
					t.Errorf("point %d is %+v, expected %s", i, p, order[i])
				}
				disks += len(p.Disks)
			}
			if disks != len(expected[set]) || len(f.Points) != len(order) {
				t.Errorf("%d disks at %d points, expected %d at %d", disks, len(f.Points), len(expected[set]), len(order))
			}
			if err := f.Check(context.Background(), true, func(p Problem) { t.Error(p) }); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDates(t *testing.T) {
	all := fixtures(t)
	for set, want := range map[string]string{
		"v2-plain-2.47":  "2026-11-22T21:48:41Z 2026-11-22T21:48:42Z",
		"2.47-chain-lz4": "0001-01-01T00:00:00Z 2026-11-22T21:42:12Z", // its checkpoints do not say
	} {
		f, err := Open(all[set])
		if err != nil {
			t.Fatal(err)
		}
		p := f.Points[0]
		if found := p.Created.Format("2006-01-02T15:04:05Z07:00 ") + p.Date.Format("2006-01-02T15:04:05Z07:00"); found != want {
			t.Errorf("%s: found %s, expected %s", set, found, want)
		}
	}
}
