package store_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"vbk/store"

	"github.com/google/go-cmp/cmp"
)

// manifest is a chain of a full and an increment, at which a disk joins.
func manifest() store.Manifest {
	when := time.Date(2026, 11, 22, 1, 30, 0, 0, time.UTC)
	hash := strings.Repeat("ab", 16)
	return store.Manifest{
		FormatVersion: 1, Number: 2, StoreID: "0a1b2c3d", Chain: "20261122T013000Z-9f3c", ChainNumber: 1,
		Owner: store.Owner{Address: `domain.web["h/web01"]`}, Domain: "web01", UUID: uuid, HashKey: strings.Repeat("01", 32),
		Retention: json.RawMessage(`{}`), Written: when, Version: "test",
		Points: []store.Point{{
			Attempt: "5d21ab90", Kind: store.Full, Parent: -1, Start: when, End: when,
			Disks: []store.PointDisk{{Target: "vda", File: "vda.base.0.5d21ab90.v3", Base: true, Size: 1 << 30, FileSize: 4096,
				FooterHash: "0123456789abcdef"}},
			Files: []store.File{{Name: "0.5d21ab90.domain.xml", Size: 7, Hash: hash}},
		}, {
			Sequence: 1, Attempt: "77e0c2f4", Kind: store.Increment, Parent: 0, Start: when, End: when,
			Disks: []store.PointDisk{
				{Target: "vda", File: "vda.inc.1.77e0c2f4.v3", Size: 1 << 30},
				{Target: "vdb", File: "vdb.base.1.77e0c2f4.v3", Base: true, Size: 1 << 30},
			},
		}},
	}
}

// merged is a chain of which the first three points have become one that shares
// chunks with their files, one of which another point still has for its own.
func merged() store.Manifest {
	m := manifest()
	m.Points[1].Kind = store.Resync
	m.Points = append(m.Points, store.Point{
		Sequence: 4, Attempt: "0badcafe", Kind: store.Full, Parent: -1, Merged: 3, Start: m.Written, End: m.Written,
		Protected: &store.Protection{Until: m.Written, By: "root@backup1", Why: "before the upgrade"},
		Disks: []store.PointDisk{
			{Target: "vda", File: "vda.base.4.0badcafe.v3", Base: true, Size: 1 << 30, Shares: []string{"vda.base.0.5d21ab90.v3", "vda.inc.3.00000003.v3"}},
			{Target: "vdb", File: "vdb.base.4.0badcafe.v3", Base: true, Size: 1 << 30, Shares: []string{"vda.inc.3.00000003.v3"}},
		},
	})
	return m
}

// imported is a chain of virtnbdbackup: a full with a raw image, a difference, and
// an increment beside it.
func imported() store.Manifest {
	m := manifest()
	m.Stream, m.HashKey = store.VirtNBDBackup, ""
	made := m.Written
	m.Points = []store.Point{{
		Attempt: "00000001", Kind: store.Full, Parent: -1, Start: made, End: made, Checkpoint: "virtnbdbackup.0", Created: made,
		Disks: []store.PointDisk{
			{Target: "vda", File: "vda.full.data", Base: true, Size: 1 << 30, FileSize: 512},
			{Target: "vdb", File: "vdb.copy.data", Base: true, Size: 4096, FileSize: 4096, RawImage: true},
		},
		Files: []store.File{{Name: "vda.full.data.chksum", Size: 9, Hash: strings.Repeat("ab", 16)}},
	}, {
		Sequence: 1, Attempt: "00000002", Kind: store.Increment, Parent: 0, Start: made, End: made, Leaf: true,
		Disks: []store.PointDisk{{Target: "vda", File: "vda.diff.1795383743.data", Size: 1 << 30}},
	}, {
		Sequence: 2, Attempt: "00000003", Kind: store.Increment, Parent: 0, Start: made, End: made,
		Checkpoint: "virtnbdbackup.1", Created: made, Distrusted: "it may lack zeroes",
		Disks: []store.PointDisk{{Target: "vda", File: "vda.inc.virtnbdbackup.1.data", Size: 1 << 30}},
	}}
	return m
}

func raw() store.Manifest {
	m := manifest()
	m.Stream, m.HashKey, m.Points = store.Raw, "", m.Points[:1]
	m.Points[0].Disks = []store.PointDisk{{Target: "vda", File: "vda.raw", Base: true, Size: 4096, FileSize: 4096, RawImage: true}}
	return m
}

func encode(t testing.TB, m store.Manifest) []byte {
	t.Helper()
	data, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// seal puts the sum under a text, as somebody would who edits a manifest.
func seal(body string) []byte { return []byte(body + "xxh3:" + store.Hash([]byte(body)) + "\n") }

func body(t testing.TB, m store.Manifest) string {
	data := string(encode(t, m))
	return data[:strings.LastIndex(data, "xxh3:")]
}

func TestManifestRoundTrip(t *testing.T) {
	for _, want := range []store.Manifest{manifest(), merged(), imported(), raw()} {
		got, err := store.DecodeManifest(encode(t, want))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	data := encode(t, manifest())
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if last := lines[len(lines)-1]; len(last) != 37 || !strings.HasPrefix(last, "xxh3:") {
		t.Errorf("last line is %q", last)
	}
}

// TestManifestDamage: no byte can change and no end be missing unnoticed.
func TestManifestDamage(t *testing.T) {
	data := encode(t, manifest())
	for i := range data {
		if _, err := store.DecodeManifest(data[:i]); err == nil {
			t.Errorf("cut to %d of %d bytes is accepted", i, len(data))
		}
		flipped := bytes.Clone(data)
		flipped[i] ^= 1
		if _, err := store.DecodeManifest(flipped); err == nil {
			t.Errorf("byte %d flipped is accepted", i)
		}
	}
	if _, err := store.DecodeManifest(append(bytes.Clone(data), '\n')); err == nil {
		t.Error("trailing newline is accepted")
	}
}

func TestManifestIgnoresUnknownFields(t *testing.T) {
	text := strings.Replace(body(t, manifest()), "{", `{"colour": "blue",`, 1)
	if _, err := store.DecodeManifest(seal(text)); err != nil {
		t.Error(err)
	}
}

func TestManifestRefusesUnknownVersion(t *testing.T) {
	// Of another version nothing can be expected, not even the types.
	text := strings.NewReplacer(`"format_version": 1`, `"format_version": 2`, `"number": 2`, `"number": "two"`).Replace(body(t, manifest()))
	_, err := store.DecodeManifest(seal(text))
	if err == nil || !strings.Contains(err.Error(), "format version 2") {
		t.Error(err)
	}
}

// TestManifestRefuses: what contradicts itself is neither written nor read.
func TestManifestRefuses(t *testing.T) {
	first := func(m *store.Manifest) *store.Point { return &m.Points[0] }
	second := func(m *store.Manifest) *store.Point { return &m.Points[1] }
	for name, spoil := range map[string]func(*store.Manifest){
		"no number":           func(m *store.Manifest) { m.Number = 0 },
		"no chain number":     func(m *store.Manifest) { m.ChainNumber = 0 },
		"store id":            func(m *store.Manifest) { m.StoreID = "../" },
		"chain":               func(m *store.Manifest) { m.Chain = "../x" },
		"uuid":                func(m *store.Manifest) { m.UUID = strings.ToUpper(uuid) },
		"hash key":            func(m *store.Manifest) { m.HashKey = "01" },
		"deleted with points": func(m *store.Manifest) { m.Deleted = true },
		"path":                func(m *store.Manifest) { first(m).Disks[0].File = "../vda" },
		"absolute path":       func(m *store.Manifest) { first(m).Files[0].Name = "/etc/passwd" },
		"hidden file":         func(m *store.Manifest) { first(m).Files[0].Name = ".ssh" },
		"names a manifest":    func(m *store.Manifest) { first(m).Files[0].Name = "chain.000001.json" },
		"file twice":          func(m *store.Manifest) { second(m).Disks[0].File = first(m).Disks[0].File },
		"file and disk":       func(m *store.Manifest) { first(m).Files[0].Name = first(m).Disks[0].File },
		"sequence again":      func(m *store.Manifest) { second(m).Sequence = 0 },
		"sequence falls":      func(m *store.Manifest) { first(m).Sequence = 5 },
		"negative sequence":   func(m *store.Manifest) { first(m).Sequence = -1 },
		"parent missing":      func(m *store.Manifest) { second(m).Parent = 7 },
		"parent itself":       func(m *store.Manifest) { second(m).Parent = 1 },
		"increment alone":     func(m *store.Manifest) { second(m).Parent = -1 },
		"full with parent":    func(m *store.Manifest) { second(m).Kind = store.Full },
		"kind":                func(m *store.Manifest) { second(m).Kind = "diff" },
		"attempt":             func(m *store.Manifest) { second(m).Attempt = "" },
		"attempt again":       func(m *store.Manifest) { second(m).Attempt = first(m).Attempt },
		"full needs parent":   func(m *store.Manifest) { first(m).Disks[0].Base = false },
		"no older disk":       func(m *store.Manifest) { second(m).Disks[1].Base = false },
		"disk twice":          func(m *store.Manifest) { second(m).Disks[1].Target = "vda" },
		"no target":           func(m *store.Manifest) { second(m).Disks[1].Target = "" },
		"footer hash":         func(m *store.Manifest) { first(m).Disks[0].FooterHash = "x" },
		"file hash":           func(m *store.Manifest) { first(m).Files[0].Hash = "" },
		"negative size":       func(m *store.Manifest) { first(m).Disks[0].Size = -1 },
		"negative file":       func(m *store.Manifest) { first(m).Disks[0].FileSize = -1 },
		"stream":              func(m *store.Manifest) { m.Stream = "v4" },
		"resync alone":        func(m *store.Manifest) { second(m).Kind, second(m).Parent = store.Resync, -1 },
		"on a leaf":           func(m *store.Manifest) { first(m).Leaf = true },
		"takes in too many":   func(m *store.Manifest) { second(m).Merged = 2 },
		"takes in few":        func(m *store.Manifest) { second(m).Merged = -1 },
		"shares itself":       func(m *store.Manifest) { first(m).Disks[0].Shares = []string{first(m).Disks[0].File} },
		"shares twice":        func(m *store.Manifest) { first(m).Disks[0].Shares = []string{"a.v3", "a.v3"} },
		"shares a path":       func(m *store.Manifest) { first(m).Disks[0].Shares = []string{"../a.v3"} },
		"shares the XML":      func(m *store.Manifest) { second(m).Disks[0].Shares = []string{first(m).Files[0].Name} },
		"shares, then XML":    func(m *store.Manifest) { first(m).Disks[0].Shares = []string{first(m).Files[0].Name} },
		"shares too many":     func(m *store.Manifest) { first(m).Disks[0].Shares = make([]string, 1<<16) },
		"shares in a stream":  func(m *store.Manifest) { m.Stream, first(m).Disks[0].Shares = store.VirtNBDBackup, []string{"a.v3"} },
		"raw image in v3":     func(m *store.Manifest) { d := &first(m).Disks[0]; d.RawImage, d.FileSize = true, d.Size },
		"raw image short":     func(m *store.Manifest) { m.Stream, first(m).Disks[0].RawImage = store.VirtNBDBackup, true },
		"raw chain, none raw": func(m *store.Manifest) { m.Stream = store.Raw },
		"raw image on another": func(m *store.Manifest) {
			m.Stream = store.VirtNBDBackup
			d := &second(m).Disks[0]
			d.RawImage, d.FileSize = true, d.Size
		},
		"sizes overflow": func(m *store.Manifest) {
			first(m).Disks[0].FileSize = math.MaxInt64
			second(m).Disks[0].FileSize = 1
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := manifest()
			spoil(&m)
			if _, err := m.Encode(); err == nil {
				t.Error("it is written")
			}
			text, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := store.DecodeManifest(seal(string(text) + "\n")); err == nil {
				t.Error("it is read")
			}
		})
	}
}

// TestUnknownStream: what a later version wrote is refused, with its name.
func TestUnknownStream(t *testing.T) {
	text := strings.Replace(body(t, imported()), `"stream": "virtnbdbackup"`, `"stream": "v4"`, 1)
	_, err := store.DecodeManifest(seal(strings.Replace(text, `"vbk_version": "test"
}`, `"vbk_version": "9.1"
}`, 1)))
	if err == nil || !strings.Contains(err.Error(), `stream "v4", which vbk 9.1 wrote and this version does not know`) {
		t.Error(err)
	}
}

// TestHead: nothing is built on a difference, also where it is the newest point.
func TestHead(t *testing.T) {
	c := store.Chain{Manifest: imported()}
	for points, want := range map[int]string{3: "virtnbdbackup.1", 2: "virtnbdbackup.0", 1: "virtnbdbackup.0"} {
		c.Manifest.Points = c.Manifest.Points[:points]
		if head, ok := c.Head(); !ok || head.Checkpoint != want || c.Manifest.Next() != points {
			t.Errorf("of %d points the head is %s, %t, the next %d", points, head.Checkpoint, ok, c.Manifest.Next())
		}
	}
	if _, ok := (store.Chain{}).Head(); ok || (store.Manifest{}).Next() != 0 {
		t.Error("an empty chain has a head")
	}
}

func FuzzDecodeManifest(f *testing.F) {
	for _, m := range []store.Manifest{manifest(), merged(), imported(), raw()} {
		f.Add([]byte(body(f, m)))
	}
	f.Add([]byte("{}\n"))
	f.Add([]byte("{\"points\": [{}]}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, _ = store.DecodeManifest(text)
		m, err := store.DecodeManifest(seal(string(text)))
		if err != nil {
			return
		}
		again, err := store.DecodeManifest(encode(t, m))
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range again.Points {
			if p.Stored() < 0 || i > 0 && p.Sequence <= again.Points[i-1].Sequence {
				t.Errorf("point %+v", p)
			}
			for _, d := range p.Disks {
				for _, name := range append(d.Shares, d.File) {
					if strings.ContainsAny(name, "/\x00") || strings.HasPrefix(name, ".") {
						t.Errorf("file name %q", name)
					}
				}
			}
			if head, ok := (store.Chain{Manifest: again}).Head(); ok && head.Leaf {
				t.Errorf("the head is the leaf %d", head.Sequence)
			}
		}
	})
}

func TestMark(t *testing.T) {
	want := store.Mark{FormatVersion: 1, ID: "0a1b2c3d", Created: time.Date(2026, 11, 22, 1, 30, 0, 0, time.UTC)}
	data, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := store.DecodeMark(data); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	for _, text := range []string{"", "{}", `{"format_version":2,"id":"0a1b2c3d"}`, `{"format_version":1,"id":"x"}`, "null"} {
		if _, err := store.DecodeMark([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestSound(t *testing.T) {
	c := store.Chain{Problems: []store.Problem{{From: 2, Until: 4}, {From: 6}, {From: store.NoPoint}}}
	for sequence, want := range []bool{true, true, false, false, true, true, false, false} {
		if got := c.Sound(sequence); got != want {
			t.Errorf("Sound(%d) = %t", sequence, got)
		}
	}
}
