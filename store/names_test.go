package store_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"vbk/store"

	"pgregory.net/rapid"
)

const uuid = "4c1f9d2a-0000-4000-8000-000000000001"

func TestFolderName(t *testing.T) {
	for domain, want := range map[string]string{
		"web01":                  "web01-4c1f9d2a",
		"a b/ü":                  "a_b__-4c1f9d2a",
		"..":                     "_.-4c1f9d2a",
		"":                       "_-4c1f9d2a",
		"-rf":                    "-rf-4c1f9d2a",
		"$(id)":                  "__id_-4c1f9d2a",
		strings.Repeat("x", 400): strings.Repeat("x", 180) + "-4c1f9d2a",
	} {
		got := store.FolderName(domain, strings.ToUpper(uuid))
		if got != want || !store.IsFolderName(got) {
			t.Errorf("FolderName(%q) = %q, want %q", domain, got, want)
		}
	}
	for _, name := range []string{"", "web01", ".x-4c1f9d2a", "web01-4C1F9D2A", "a/b-4c1f9d2a", "lost+found"} {
		if store.IsFolderName(name) {
			t.Errorf("IsFolderName(%q)", name)
		}
	}
}

func TestChainName(t *testing.T) {
	berlin := time.FixedZone("CET", 3600)
	got, err := store.ChainName(time.Date(2026, 11, 22, 2, 30, 0, 0, berlin), bytes.NewReader([]byte{0x9f, 0x3c}))
	if err != nil || got != "20261122T013000Z-9f3c" || !store.IsChainName(got) {
		t.Errorf("ChainName = %q, %v", got, err)
	}
	if _, err := store.ChainName(time.Now(), bytes.NewReader([]byte{1})); err == nil {
		t.Error("a random source that has run dry is no error")
	}
}

func TestCheckpointName(t *testing.T) {
	const name = "vbk-0a1b2c3d-20261122T013000Z-9f3c-77e0c2f4.12"
	if got := store.CheckpointName("0a1b2c3d", "20261122T013000Z-9f3c", "77e0c2f4", 12); got != name {
		t.Errorf("CheckpointName = %q", got)
	}
	id, chain, attempt, sequence, ok := store.ParseCheckpoint(name)
	if !ok || id != "0a1b2c3d" || chain != "20261122T013000Z-9f3c" || attempt != "77e0c2f4" || sequence != 12 {
		t.Errorf("ParseCheckpoint = %q %q %q %d %t", id, chain, attempt, sequence, ok)
	}
	for _, foreign := range []string{
		"", "virtnbdbackup.1", name + "0000000000", name + " ", "x" + name, strings.Replace(name, ".12", ".012", 1),
		strings.Replace(name, "77e0c2f4", "77E0C2F4", 1), strings.Replace(name, "vbk-0", "vbk-", 1), name + "\n",
	} {
		if _, _, _, _, ok := store.ParseCheckpoint(foreign); ok {
			t.Errorf("ParseCheckpoint(%q) is ours", foreign)
		}
	}
}

// TestFileNames: whatever a disk is called, its files are recognised as ours
// and may be listed in a manifest.
func TestFileNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		target := rapid.String().Draw(t, "target")
		sequence := rapid.IntRange(0, 999_999_999).Draw(t, "sequence")
		base := rapid.Bool().Draw(t, "base")
		checkpoint := store.CheckpointName("0a1b2c3d", "20261122T013000Z-9f3c", "77e0c2f4", sequence)
		for _, name := range []string{
			store.DataFileName(target, base, sequence, "77e0c2f4"),
			store.ExtraFileName(sequence, "77e0c2f4", "x"+target),
			store.StreamFileName(target, "full", checkpoint),
			store.ChecksumFileName(store.StreamFileName(target, "inc", checkpoint)),
			store.ConfigFileName(checkpoint),
		} {
			got, attempt, ok := store.ParseFileName(name)
			if !ok || got != sequence || attempt != "77e0c2f4" || !store.IsPlainFileName(name) {
				t.Errorf("ParseFileName(%q) = %d, %q, %t", name, got, attempt, ok)
			}
		}
	})
	if got := store.DataFileName("vda", true, 0, "5d21ab90"); got != "vda.base.0.5d21ab90.v3" {
		t.Error(got)
	}
	if got := store.DataFileName("vda", false, 1, "77e0c2f4"); got != "vda.inc.1.77e0c2f4.v3" {
		t.Error(got)
	}
	if got := store.ExtraFileName(1, "77e0c2f4", "domain.xml"); got != "1.77e0c2f4.domain.xml" {
		t.Error(got)
	}
	for _, foreign := range []string{"", "notes.txt", "vda.full.data", "chain.000001.json", "lock", "vda.inc.01.77e0c2f4.v3",
		"vda.inc.virtnbdbackup.1.data", "vda.inc.virtnbdbackup.1.data.chksum", "vmconfig.virtnbdbackup.1.xml", "vda.full.vbk-0a1b2c3d-x.data",
		"vda.diff.vbk-0a1b2c3d-20261122T013000Z-9f3c-77e0c2f4.1.data", "vda.inc.vbk-0a1b2c3d-20261122T013000Z-9f3c-77e0c2f4.1.data.partial",
		"vda.inc.1.77e0c2f4.v3~", "vda.base.0.5d21ab90.v3\n", "../vda.inc.1.77e0c2f4.v3", "1.77e0c2f4./etc"} {
		if _, _, ok := store.ParseFileName(foreign); ok {
			t.Errorf("ParseFileName(%q) is ours", foreign)
		}
	}
}

func TestManifestName(t *testing.T) {
	for _, n := range []int{1, 17, 999_999, 1_000_000} {
		if got, ok := store.ParseManifestName(store.ManifestName(n)); !ok || got != n {
			t.Errorf("ParseManifestName(%q) = %d, %t", store.ManifestName(n), got, ok)
		}
	}
	for _, foreign := range []string{"chain.1.json", "chain.000000.json", "chain.0000001.json", "chain.000001.json.tmp"} {
		if _, ok := store.ParseManifestName(foreign); ok {
			t.Errorf("ParseManifestName(%q) is ours", foreign)
		}
	}
}

func TestIsPlainFileName(t *testing.T) {
	for _, name := range []string{"", ".", "..", ".hidden", "a/b", "/etc/passwd", `a\b`, "a\x00b", "a\nb", "\xff",
		"lock", "chain.000001.json", strings.Repeat("x", 256)} {
		if store.IsPlainFileName(name) {
			t.Errorf("IsPlainFileName(%q)", name)
		}
	}
	for _, name := range []string{"vda.full.data", "sda.inc.virtnbdbackup.1.data", "vmconfig.x.xml", "a b"} {
		if !store.IsPlainFileName(name) {
			t.Errorf("not IsPlainFileName(%q)", name)
		}
	}
}
