package virtnbdbackup

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"testing/fstest"
)

// TestCheckSums: what virtnbdbackup wrote agrees with its sums; a flipped bit in
// data without compression, which nothing else shows, does not.
func TestCheckSums(t *testing.T) {
	all := fixtures(t)
	for set, fsys := range all {
		f, err := Open(fsys)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range f.Points {
			for _, d := range p.Disks {
				if err := f.CheckSums(t.Context(), p.Name, d.Target); err != nil {
					t.Errorf("%s: %v", set, err)
				}
			}
		}
	}
	const name = "sda.inc.virtnbdbackup.1.data"
	spoilt := fstest.MapFS(maps.Clone(all["v2-plain-2.47"]))
	data := slices.Clone(spoilt[name].Data)
	data[len(data)/2] ^= 1
	spoilt[name] = &fstest.MapFile{Data: data}
	f, err := Open(spoilt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.OpenDisk("virtnbdbackup.2", "sda"); err != nil {
		t.Fatalf("the flipped bit shows without the sum: %v", err)
	}
	for point, sound := range map[string]bool{"virtnbdbackup.0": true, "virtnbdbackup.1": false, "virtnbdbackup.2": false} {
		err := f.CheckSums(t.Context(), point, "sda")
		var unsound *UnsoundError
		if sound && err != nil || !sound && (!errors.As(err, &unsound) || !slices.Equal(unsound.Sound, []string{"virtnbdbackup.0"})) {
			t.Errorf("%s: %v", point, err)
		}
		if err := f.CheckSums(t.Context(), point, "sdb"); err != nil {
			t.Errorf("%s, the other disk: %v", point, err)
		}
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.CheckSums(stopped, "virtnbdbackup.0", "sda"); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}
