package format

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

// slotted is a merged file, and the one in which most of its chunks are: a third of
// that is dead and punched out.
func slotted(t testing.TB) (borrower, lender []byte) {
	const size = 5*Grain + 77
	c := newChain(t)
	disk := append(text(2*Grain, "what was there first "), text(size-2*Grain, "and what else ")...)
	c.add(write(t, header(0, size, true), Options{Codec: Zstd}, func(w *Writer) error {
		return errors.Join(w.Data(0, disk[:Grain]), w.Data(Grain, disk[Grain:2*Grain]), w.Data(3*Grain, disk[3*Grain:]))
	}), nil)
	c.add(write(t, header(1, size, false), Options{Codec: Zstd}, func(w *Writer) error {
		return errors.Join(w.Data(0, text(Grain, "newer ")), w.Zero(3*Grain, Grain))
	}), nil)
	c.merge(0, 1, false)
	borrower = c.folder[c.layers[0]]
	for name, b := range c.folder {
		if name != c.layers[0] && len(b) > len(lender) {
			lender = b
		}
	}
	files := open(t, borrower).Header().Files
	if len(files) != 2 || len(c.folder) != 3 {
		t.Fatalf("%d files hold chunks", len(files))
	}
	return withSlots(t, c, borrower), lender
}

// withSlots merges the smaller lender into the borrower, so that there is one.
func withSlots(t testing.TB, c *chain, borrower []byte) []byte {
	small := c.file("vda.1.v3")
	m := &merge{ctx: context.Background()}
	if err := m.take([]Named{{c.layers[0], c.file(c.layers[0])}}); err != nil {
		t.Fatal(err)
	}
	for _, s := range m.sources {
		if s.Size == small.footer.fileSize {
			s.to = s.from + MaxChunk // as if more than half were dead
		}
	}
	m.layout()
	var out bytes.Buffer
	if _, err := m.write(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// opener finds the same file under every name.
func opener(b []byte) Opener {
	return func(string) (io.ReaderAt, int64, error) { return bytes.NewReader(b), int64(len(b)), nil }
}

func openSlotted(t testing.TB, borrower []byte, lender Opener) *File {
	t.Helper()
	f, err := OpenWith(bytes.NewReader(borrower), int64(len(borrower)), lender)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestLenders(t *testing.T) {
	borrower, lender := slotted(t)
	resealed := func(change func(h *Header)) []byte {
		return reseal(lender, func(h *Header, _ *footer, _ []byte) { change(h) })
	}
	named := func(b []byte) []byte { // the borrower, as if it had been made with this lender
		hash, err := FooterHash(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		return reseal(borrower, func(h *Header, _ *footer, _ []byte) { h.Files[0].FooterHash = fmt.Sprintf("%016x", hash) })
	}
	other := resealed(func(h *Header) { h.Chain = "20261122T013000Z-0000" })
	for _, c := range []struct {
		name, want string
		borrower   []byte
		open       Opener
	}{
		{"sound", "", borrower, opener(lender)},
		{"not opened", "was not opened", borrower, nil},
		{"missing", "not exist", borrower, func(string) (io.ReaderAt, int64, error) { return nil, 0, os.ErrNotExist }},
		{"shorter", "bytes, expected", borrower, opener(lender[Align:])},
		{"cut", "EOF", borrower, func(string) (io.ReaderAt, int64, error) {
			return bytes.NewReader(lender[Align:]), int64(len(lender)), nil
		}},
		{"another", "footer hash is", borrower, opener(resealed(func(h *Header) { h.Time = h.Time.AddDate(1, 0, 0) }))},
		{"of another chain", "expected vda of", named(other), opener(other)},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := openSlotted(t, c.borrower, c.open)
			found := fmt.Sprint(f.Damage())
			if c.want == "" {
				if wantSound(t, f); len(f.Damage()) > 0 {
					t.Error(found)
				}
				return
			}
			if !strings.Contains(found, c.want) {
				t.Errorf("found %s, expected %q", found, c.want)
			}
			if _, err := NewImage(f); err == nil {
				t.Error("an image without its chunks")
			}
			m, err := Salvage(f)
			if err != nil {
				t.Fatal(err)
			}
			p := make([]byte, Grain)
			if _, err := m.ReadAt(p, 0); err != nil || !bytes.Equal(p, text(Grain, "newer ")) {
				t.Errorf("its own chunk: %v", err)
			}
			if _, err := m.ReadAt(p, Grain); err == nil {
				t.Error("a chunk that is not there was read")
			}
			if all := damages(t, f); len(all) != 1 {
				t.Errorf("found %q", all)
			}
		})
	}
}

// TestSlotRules breaks what the sums cannot see.
func TestSlotRules(t *testing.T) {
	borrower, lender := slotted(t)
	f := openSlotted(t, borrower, opener(lender))
	k := -1
	for i, e := range f.Entries() {
		if e.Slot == 1 {
			k = i
		}
	}
	for name, c := range map[string]struct {
		change func(h *Header, e []byte)
		want   string
	}{
		"in the other's header": {func(_ *Header, e []byte) { e[17] = 0; e[18] = 0 }, "is outside"},
		"in the other's hashes": {func(_ *Header, e []byte) { e[18] = 0x30 }, "is outside"},
		"another chunk":         {func(_ *Header, e []byte) { e[17] -= 0x10 }, "hash to"},
		"no such slot":          {func(_ *Header, e []byte) { e[34] = 2 }, "slot 2 does not exist"},
		"path":                  {func(h *Header, _ []byte) { h.Files[0].Name = "../x" }, "is not the name"},
		"twice":                 {func(h *Header, _ []byte) { h.Files = append(h.Files, h.Files[0]) }, "named twice"},
		"size":                  {func(h *Header, _ []byte) { h.Files[0].Size = -1 }, "impossible"},
		"hash":                  {func(h *Header, _ []byte) { h.Files[0].FooterHash = "x" }, "16 hex digits"},
	} {
		t.Run(name, func(t *testing.T) {
			b := reseal(borrower, func(h *Header, _ *footer, pages []byte) { c.change(h, pages[pageHead+k*entrySize:][:entrySize]) })
			bad, err := OpenWith(bytes.NewReader(b), int64(len(b)), opener(lender))
			found := fmt.Sprint(err)
			if err == nil {
				found = fmt.Sprint(damages(t, bad))
			}
			if !strings.Contains(found, c.want) {
				t.Errorf("found %s, expected %q", found, c.want)
			}
		})
	}
}

// TestSameMapping: a merge that names a chunk wrong is found before its inputs go.
func TestSameMapping(t *testing.T) {
	borrower, lender := slotted(t)
	before, err := NewImage(openSlotted(t, borrower, opener(lender)))
	if err != nil {
		t.Fatal(err)
	}
	k, hashed := 0, false
	for i, e := range before.Layers()[0].Entries() {
		if e.Slot == 1 {
			k = i
		}
	}
	for name, c := range map[string]struct {
		change func(h *Header, e []byte)
		want   string
	}{
		"the same":      {func(*Header, []byte) {}, ""},
		"another place": {func(_ *Header, e []byte) { e[17] -= 0x10 }, "is looked for at"},
		"another sum":   {func(_ *Header, e []byte) { e[48] ^= 1 }, "found chunk"},
		"another hash":  {func(*Header, []byte) { hashed = true }, "has other hashes"},
		"another size":  {func(h *Header, _ []byte) { h.Size -= 7 }, "disk has"},
	} {
		b := reseal(borrower, func(h *Header, _ *footer, pages []byte) { c.change(h, pages[pageHead+k*entrySize:][:entrySize]) })
		f := openSlotted(t, b, opener(lender))
		if hashed {
			b[f.footer.hashes] ^= 1
			hashed = false
		}
		after, err := Salvage(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := SameMapping(before, after); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: found %v, expected %q", name, err, c.want)
		}
	}
}

// TestEveryByteOfALenderIsCovered: holes are accepted where nobody names a chunk,
// and only whole ones.
func TestEveryByteOfALenderIsCovered(t *testing.T) {
	borrower, lender := slotted(t)
	bad := func() bool {
		n := 0
		count := func(Damage) { n++ }
		if err := CheckRetired(context.Background(), bytes.NewReader(lender), int64(len(lender)), true, count); err != nil {
			t.Fatal(err)
		}
		if err := openSlotted(t, borrower, opener(lender)).Check(context.Background(), true, count); err != nil {
			t.Fatal(err)
		}
		return n > 0
	}
	if bad() {
		t.Fatal("damage in sound files")
	}
	for i := 0; i < len(lender); i += 17 {
		lender[i] ^= 1 << (i % 8)
		if !bad() {
			t.Fatalf("byte %d of %d changed and nobody noticed", i, len(lender))
		}
		lender[i] ^= 1 << (i % 8)
	}
	for _, e := range openSlotted(t, borrower, opener(lender)).Entries() {
		if e.Slot == 1 {
			clear(lender[e.FileOffset : e.FileOffset+int64(e.Stored)])
			break
		}
	}
	if !bad() {
		t.Fatal("a chunk that is needed was punched out and nobody noticed")
	}
}

func TestUnusedRefusesDamage(t *testing.T) {
	borrower, lender := slotted(t)
	name := open(t, borrower).Header().Files[0].Name
	if _, err := Unused(name, openSlotted(t, borrower, nil)); err == nil {
		t.Error("what a file without its chunks does not name was told")
	}
	if _, err := Unused("other", openSlotted(t, borrower, opener(lender))); err == nil {
		t.Error("all of a file that nobody names was told")
	}
	free, err := Unused(name, openSlotted(t, borrower, opener(lender)))
	if err != nil || len(free) == 0 {
		t.Fatal(free, err)
	}
	for _, r := range free {
		if !IsZero(lender[r.Offset : r.Offset+r.Length]) {
			t.Errorf("range %v was not punched", r)
		}
	}
}

func TestRefusedMerges(t *testing.T) {
	const size = 2 * Grain
	plain := func(sequence int, change func(*Header)) Named {
		h := header(sequence, size, sequence == 0)
		change(&h)
		return Named{fmt.Sprint(sequence), open(t, write(t, h, Options{}, data(0, noise(size, uint64(sequence)))))}
	}
	same := func(*Header) {}
	first, second := plain(0, same), plain(1, same)
	rotten := write(t, header(1, size, false), Options{}, data(0, noise(size, 1)))
	rotten[Align] ^= 1
	broken := bytes.Clone(rotten)
	broken[len(broken)-footerSize-pageSize] ^= 1
	fails := errors.New("no reflink")
	done, cancel := context.WithCancel(context.Background())
	cancel()
	for name, c := range map[string]struct {
		ctx   context.Context
		files []Named
		o     MergeOptions
		want  string
	}{
		"nothing":     {context.Background(), nil, MergeOptions{}, "of nothing"},
		"a gap":       {context.Background(), []Named{first, plain(2, same)}, MergeOptions{}, "one is missing"},
		"another key": {context.Background(), []Named{first, plain(1, func(h *Header) { h.HashKey = strings.Repeat("1", 64) })}, MergeOptions{}, "hash key"},
		"damaged":     {context.Background(), []Named{first, {"b", open(t, broken)}}, MergeOptions{}, "is damaged"},
		"failing":     {context.Background(), []Named{first, second}, MergeOptions{Share: func(string, int64, int64) error { return fails }}, "no reflink"},
		"cancelled":   {done, []Named{first, second}, MergeOptions{Share: func(string, int64, int64) error { return nil }}, "canceled"},
	} {
		if _, err := Merge(c.ctx, io.Discard, c.files, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: found %v, expected %q", name, err, c.want)
		}
	}
	m := &merge{ctx: context.Background()}
	if err := m.take([]Named{first, {"r", open(t, rotten)}}); err != nil {
		t.Fatal(err)
	}
	for _, s := range m.sources {
		s.to = maxSize // more than half is dead: all is copied
	}
	m.layout()
	if _, err := m.write(io.Discard); err == nil || !strings.Contains(err.Error(), "hash to") {
		t.Errorf("a rotten chunk was copied: %v", err)
	}
}

// TestManyLenders: a file names so many others and no more; the smallest are
// copied.
func TestManyLenders(t *testing.T) {
	const size = (mostSlots + 3) * Grain
	c := newChain(t)
	disk := make([]byte, size)
	for k := range mostSlots + 3 {
		at := k * Grain
		copy(disk[at:], noise(Grain, uint64(k)))
		c.add(write(t, header(k, size, k == 0), Options{}, data(int64(at), disk[at:at+Grain])), nil)
	}
	c.merge(0, len(c.layers)-1, false)
	if n := len(c.file(c.layers[0]).Header().Files); n != mostSlots {
		t.Errorf("%d files are named", n)
	}
	c.disks[0] = disk
	c.sound()
}
