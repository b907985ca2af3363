package format

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/zeebo/xxh3"
)

func TestHeaderWithAnEmptyPage(t *testing.T) {
	h := header(0, Grain, true)
	h.FormatVersion = Version
	head, err := h.encode()
	if err != nil {
		t.Fatal(err)
	}
	_, all, err := problems(assemble(append(head, make([]byte, Align)...), nil, nil, nil, 0))
	if err != nil || len(all) != 1 || !strings.Contains(all[0], "header has 4096 bytes, footer says 8192") {
		t.Errorf("found %v, %v", all, err)
	}
}

func TestFooterRules(t *testing.T) {
	valid := footer{fileSize: 4*Align + pageSize, headerEnd: Align, hashes: 2 * Align, hashCount: 1, index: 3 * Align, indexSize: pageSize, entries: 1}
	size := valid.fileSize
	if _, err := parseFooter(valid.encode(), size); err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{footVersion + 4, footReserved, footFooterHash - 1} {
		b := valid.encode()
		b[at] = 1
		binary.LittleEndian.PutUint64(b[footFooterHash:], xxh3.Hash(b[:footFooterHash]))
		if _, err := parseFooter(b, size); err == nil || !strings.Contains(err.Error(), "reserved") {
			t.Errorf("byte %d: found %v", at, err)
		}
	}
	for name, change := range map[string]func(*footer){
		"headerEnd before":    func(f *footer) { f.headerEnd = 0 },
		"headerEnd behind":    func(f *footer) { f.headerEnd = 3 * Align },
		"headerEnd unaligned": func(f *footer) { f.headerEnd++ },
		"hashes behind":       func(f *footer) { f.hashes, f.hashCount = 4*Align, 0 },
		"hashes before":       func(f *footer) { f.hashes = 0 },
		"hashes unaligned":    func(f *footer) { f.hashes++ },
		"index":               func(f *footer) { f.index += Align },
		"index size":          func(f *footer) { f.indexSize -= Align },
		"no index":            func(f *footer) { f.indexSize, f.entries = 0, 0 },
		"entries":             func(f *footer) { f.entries = pageEntries + 1 },
		"too many entries":    func(f *footer) { f.entries = 1 << 31 },
		"hash count":          func(f *footer) { f.hashCount = 513 },
		"file size":           func(f *footer) { f.fileSize += Align },
	} {
		f := valid
		change(&f)
		if _, err := parseFooter(f.encode(), size); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestRules breaks the rules behind the sums, one at a time.
func TestRules(t *testing.T) {
	const size = 4 * MaxChunk
	b := write(t, header(1, size, false), Options{Codec: Zstd}, func(w *Writer) error {
		return errors.Join(w.Data(0, text(2*Grain, "text")), w.Data(MaxChunk, noise(2*Grain, 1)), w.Zero(2*MaxChunk, Grain))
	})
	le := binary.LittleEndian
	entry := func(k int, change func(e []byte)) func(*Header, *footer, []byte) {
		return func(_ *Header, _ *footer, pages []byte) { change(pages[pageHead+k*entrySize:][:entrySize]) }
	}
	put64 := func(k, at int, v uint64) func(*Header, *footer, []byte) {
		return entry(k, func(e []byte) { le.PutUint64(e[at:], v) })
	}
	put8 := func(k, at int, v byte) func(*Header, *footer, []byte) {
		return entry(k, func(e []byte) { e[at] = v })
	}
	for _, c := range []struct {
		name, want string
		change     func(*Header, *footer, []byte)
	}{
		{"nothing", "", func(*Header, *footer, []byte) {}},
		{"unaligned", "no multiple of 65536", put64(1, 0, MaxChunk+1)},
		{"length zero", "impossible", put64(2, 8, 0)},
		{"overflow", "impossible", put64(2, 8, 1<<63)},
		{"huge offset", "impossible", put64(2, 0, 1<<62+Grain)},
		{"outside", "outside the disk", put64(2, 8, 3*MaxChunk)},
		{"ragged", "ends at", put64(2, 8, 100)},
		{"crossing", "crosses a multiple", put64(1, 0, 2*MaxChunk-Grain)},
		{"overlap", "not behind the one before", put64(1, 0, Grain)},
		{"unsorted", "not behind the one before", put64(2, 0, 0)},
		{"in the header", "is outside", put64(1, 16, 0)},
		{"in the index", "is outside", put64(1, 16, 40<<12)},
		{"unaligned in the file", "impossible", put64(1, 16, 8193)},
		{"stored in other bytes", "without a codec", put8(1, 24, 1)},
		{"stored in nothing", "is stored in 0", entry(0, func(e []byte) { le.PutUint32(e[24:], 0) })},
		{"stored in more", "is stored in 131072", entry(0, func(e []byte) { le.PutUint32(e[24:], 2*Grain) })},
		{"generation too new", "generation 2 is not in 1 to 1", put8(2, 28, 2)},
		{"generation too old", "generation 0 is not in 1 to 1", put8(0, 28, 0)},
		{"key slot", "key slot 1", put8(0, 32, 1)},
		{"file slot", "file slot 1 does not exist", put8(0, 34, 1)},
		{"file slot of zeroes", "fields of data", put8(2, 34, 1)},
		{"kind 0", "is of kind 0", put8(0, 36, 0)},
		{"kind 3", "is of kind 3", put8(0, 36, 3)},
		{"codec", "unknown codec 9", put8(0, 37, 9)},
		{"reserved", "reserved bytes", put8(0, 40, 1)},
		{"data in zero", "fields of data", put8(2, 50, 1)},
		{"codec in zero", "fields of data", put8(2, 37, 1)},
		{"first hash", "first hash is 1, expected 2", put64(1, 56, 1)},
		{"hashes beyond", "do not exist", put64(1, 56, 1000)},
		{"chunk sum", "hash to", put64(1, 48, 5)},
		{"shared bytes", "lies in the one before", put64(1, 16, 4096)},
		{"page number", "calls itself page 1", func(_ *Header, _ *footer, p []byte) { p[pageNumber] = 1 }},
		{"page magic", "starts with", func(_ *Header, _ *footer, p []byte) { p[0] = 'X' }},
		{"page count", "has 2 entries", func(_ *Header, _ *footer, p []byte) { p[pageCount] = 2 }},
		{"page first", "first offset is 65536", func(_ *Header, _ *footer, p []byte) { le.PutUint64(p[pageFirst:], Grain) }},
		{"page reserved", "reserved bytes", func(_ *Header, _ *footer, p []byte) { p[pageReserved] = 1 }},
		{"page tail", "reserved bytes", func(_ *Header, _ *footer, p []byte) { p[pageSize-1] = 1 }},
		{"footer entries", "has 3 entries, expected 2", func(_ *Header, f *footer, _ []byte) { f.entries = 2 }},
		{"footer data", "bytes of data", func(_ *Header, f *footer, _ []byte) { f.data++ }},
		{"footer stored", "bytes of data", func(_ *Header, f *footer, _ []byte) { f.stored-- }},
		{"footer hashes", "hashes, footer says", func(_ *Header, f *footer, _ []byte) { f.hashCount++ }},
		{"footer sum of hashes", "hashes at", func(_ *Header, f *footer, _ []byte) { f.hashesSum[3]++ }},
		{"footer size", "its footer says", func(_ *Header, f *footer, _ []byte) { f.fileSize++ }},
		{"footer pages", "number of index pages", func(_ *Header, f *footer, _ []byte) { f.entries = 2000 }},
		{"footer parts", "", func(_ *Header, f *footer, _ []byte) { f.headerEnd = Align }},
		{"footer order", "do not follow", func(_ *Header, f *footer, _ []byte) { f.hashes = f.index + Align }},
		{"footer huge", "is possible", func(_ *Header, f *footer, _ []byte) { f.hashCount = 1<<63 - 1 }},
		{"footer hash count", "do not end at the index", func(_ *Header, f *footer, _ []byte) { f.hashCount = 600 }},
		{"footer many hashes", "do not end at the index", func(_ *Header, f *footer, _ []byte) { f.hashCount = maxSize }},
		{"another key", "grain hashes to", func(h *Header, _ *footer, _ []byte) { h.HashKey = strings.Repeat("00", 32) }},
		{"smaller disk", "outside the disk", func(h *Header, _ *footer, _ []byte) { h.Size = MaxChunk }},
		{"version", "format version is 4", func(h *Header, _ *footer, _ []byte) { h.FormatVersion = 4 }},
		{"encrypted", "encrypted", func(h *Header, _ *footer, _ []byte) { h.WrappedKeys = []string{"x"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, all, err := problems(reseal(b, c.change))
			found := fmt.Sprint(err, all)
			if c.want == "" && (err != nil || len(all) > 0) || !strings.Contains(found, c.want) {
				t.Errorf("found %s, expected %q", found, c.want)
			}
		})
	}
}

func TestHeaderLines(t *testing.T) {
	valid, err := func() ([]byte, error) { h := header(0, Grain, true); h.FormatVersion = Version; return h.encode() }()
	if err != nil {
		t.Fatal(err)
	}
	line := string(valid[:bytes.IndexByte(valid, 0)])
	for _, c := range []struct{ header, want string }{
		{line, ""},
		{"", "unexpected EOF"},
		{"VBK2 10\n", "starts with"},
		{"VBK3 ", "no length"},
		{"VBK3 12345678\n{}\n", "no length"},
		{"VBK3 9999999\n{}\n", "does not fit"},
		{"VBK3 100000\n{}\n", "does not fit"},
		{"VBK3 -2\n{}\n", "is no number"},
		{"VBK3 02\n{}\n", "is no number"},
		{"VBK3 +2\n{}\n", "is no number"},
		{"VBK3 2\n{}x\n", "expected a line feed"},
		{"VBK3 2\n{}\n", "format version is 0"},
		{"VBK3 0\n\n", "EOF"},
		{"VBK3 5\n{} {}\n", "bytes after the JSON value"},
		{strings.Replace(line, `"format_version"`, `"fxrmat_version"`, 1), "unknown field"},
	} {
		b := make([]byte, Align)
		copy(b, c.header)
		if c.header == "" {
			b = b[:100]
		}
		_, _, err := readHeader(bytes.NewReader(b), Align)
		found := fmt.Sprint(err)
		if c.want == "" && err != nil || !strings.Contains(found, c.want) {
			t.Errorf("%.20q: found %v, expected %q", c.header, err, c.want)
		}
	}
}

// TestChunkThatDecodesToSomethingElse covers frames whose own sum is right.
func TestChunkThatDecodesToSomethingElse(t *testing.T) {
	b := write(t, header(0, 2*Grain, true), Options{Codec: Zstd}, data(0, text(2*Grain, "text")))
	enc, err := newEncoder(1)
	if err != nil {
		t.Fatal(err)
	}
	longer := enc.encode(nil, text(3*Grain, "text"))
	bomb := enc.encode(nil, make([]byte, 64<<20))
	for name, frame := range map[string][]byte{
		"shorter": enc.encode(nil, text(Grain, "text")), "longer": longer, "bomb": bomb, "garbage": noise(50, 1),
		"two frames": append(enc.encode(nil, text(2*Grain, "text")), longer...), "cut": longer[:len(longer)-3],
	} {
		if len(frame) > Align {
			frame = frame[:Align]
		}
		changed := bytes.Clone(b)
		place := changed[Align:][:Align]
		clear(place)
		copy(place, frame)
		changed = reseal(changed, func(_ *Header, f *footer, pages []byte) {
			e := pages[pageHead:]
			binary.LittleEndian.PutUint32(e[24:], uint32(len(frame)))
			binary.LittleEndian.PutUint64(e[48:], xxh3.Hash(frame))
			f.stored = int64(len(frame))
		})
		_, all, err := problems(changed)
		if err != nil || len(all) != 1 || !strings.Contains(all[0], "decompress") {
			t.Errorf("%s: found %v, %v", name, all, err)
		}
	}
}
