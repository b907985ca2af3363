package virtnbdbackup

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestChains parts what virtnbdbackup really wrote. Zeroless says what 2.47 may
// have left out; 1.9.15 wrote no sums.
func TestChains(t *testing.T) {
	want := map[string]string{
		"1.9.15-chain":         "0 1:0 2:1 3:2 4:3leaf",
		"1.9.15-chain-lz4":     "0 1:0 2:1 3:2 4:3leaf",
		"2.47-chain":           "0 1:0! 2:1! 3:2! 4:3!leaf",
		"2.47-copy-lz4-big":    "0",
		"2.47-chain-lz4":       "0 1:0! 2:1! 3:2! 4:3!leaf",
		"2.47-copy-lz4":        "0",
		"2.47-copy-lz4-big-l9": "0",
		"2.47-copy-plain":      "0",
		"2.47-copy-raw":        "copy does not say when it was made",
		"v1-2020":              "0 1:0 2:1",
		"v2-lz4-1.9.15":        "0 1:0 2:1",
		"v2-lz4-2.47":          "0 1:0! 2:1!",
		"v2-plain-1.9.15":      "0 1:0 2:1",
		"v2-plain-2.47":        "0 1:0! 2:1!",
	}
	for set, fsys := range fixtures(t) {
		f, err := Open(fsys)
		if err != nil {
			t.Fatal(err)
		}
		chains, left, err := f.Chains(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if got := describeChains(chains, left); got != want[set] {
			t.Errorf("%s: %s, expected %s", set, got, want[set])
		}
	}
}

func describeChains(chains []Chain, left []Problem) string {
	var all []string
	for _, c := range chains {
		for _, p := range c.Points {
			text := fmt.Sprint(p.Sequence)
			if p.On >= 0 {
				text += fmt.Sprintf(":%d", p.On)
			}
			if p.Zeroless {
				text += "!"
			}
			if p.Leaf {
				text += "leaf"
			}
			all = append(all, text)
		}
	}
	for _, p := range left {
		all = append(all, strings.Join(p.Points, ",")+" "+p.Detail)
	}
	return strings.Join(all, " ")
}

// TestChainsOfDisks: a point whose disks do not build on the same one is of no
// chain; what was written with a point goes with it, once.
func TestChainsOfDisks(t *testing.T) {
	fsys := chain()
	for _, n := range []int{0, 1, 3} {
		fsys[fmt.Sprintf("vmconfig.virtnbdbackup.%d.xml", n)] = domain("u", "vda", "vdb")
	}
	fsys["vdb.full.data"] = stream("vdb", "virtnbdbackup.0", "", "10:00", 0, 'a')
	fsys["vdb.inc.virtnbdbackup.1.data"] = stream("vdb", "virtnbdbackup.1", "virtnbdbackup.0", "11:00", 1, 'b')
	fsys["vdb.inc.virtnbdbackup.3.data"] = stream("vdb", "virtnbdbackup.3", "virtnbdbackup.1", "13:00", 1, 'b')
	for _, name := range []string{"vda.virtnbdbackup.1.qcow.json", "VARS.fd.virtnbdbackup.1", "VARS.fd.virtnbdbackup.11", "web.cpt", "vda.full.data.chksum"} {
		fsys[name] = fsys["vmconfig.1001.xml"]
	}
	f, err := Open(fsys)
	if err != nil {
		t.Fatal(err)
	}
	chains, left, err := f.Chains(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := describeChains(chains, left), "0 1:0 2:1 3:2leaf "+
		"virtnbdbackup.3 its disks build on different points, virtnbdbackup.2 and virtnbdbackup.1 "+
		"diff.2000 vdb.diff.2000.data: is missing"; got != want {
		t.Errorf("%s, expected %s", got, want)
	}
	if got, want := chains[0].Points[1].Others, []string{"VARS.fd.virtnbdbackup.1", "vda.virtnbdbackup.1.qcow.json", "vmconfig.virtnbdbackup.1.xml"}; !slices.Equal(got, want) {
		t.Errorf("with virtnbdbackup.1 go %v, expected %v", got, want)
	}
}
