package virtnbdbackup

import (
	"maps"
	"strings"
	"testing"
	"testing/fstest"
)

// TestImageOptions: a disk has the options that were noted when its point was made, or
// below it; a note that makes no sense is as none.
func TestImageOptions(t *testing.T) {
	plain := ImageOptions{ClusterSize: 65536, Compat: "1.1", RefcountBits: 16, CompressionType: "zlib"}
	for name, files := range fixtures(t) {
		f, err := Open(files)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range f.Points {
			for _, d := range p.Disks {
				if _, noted := files[d.Target+".virtnbdbackup.0.qcow.json"]; d.Image != plain && (noted || p.Name == "copy") {
					t.Errorf("%s, %s of %s: %+v", name, d.Target, p.Name, d.Image)
				}
			}
		}
	}

	files := maps.Clone(fixtures(t)["2.47-chain"])
	note := func(id, text string) { files["vda."+id+".qcow.json"] = &fstest.MapFile{Data: []byte(text)} }
	note("virtnbdbackup.1", `{"virtual-size": 1, "format": "qcow2", "cluster-size": 2097152,
		"format-specific": {"data": {"compat": "1.1", "compression-type": "zstd", "lazy-refcounts": true, "refcount-bits": 64, "extended-l2": true}}}`)
	delete(files, "vda.virtnbdbackup.2.qcow.json")
	note("virtnbdbackup.3", strings.Repeat("[", 100))
	large := ImageOptions{2 << 20, "1.1", 64, true, true, "zstd"}
	f, err := Open(files)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]ImageOptions{"virtnbdbackup.0": plain, "virtnbdbackup.1": large, "virtnbdbackup.2": large, "virtnbdbackup.3": large}
	for _, p := range f.Points {
		if p.Kind == Difference {
			want[p.Name] = plain
		}
		if got := p.Disks[0].Image; got != want[p.Name] {
			t.Errorf("%s: %+v", p.Name, got)
		}
	}
}
