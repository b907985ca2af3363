package format

import (
	"bytes"
	"context"
	"errors"
	"testing"
)

// exercise does with a file all that can be done with it. Whatever the bytes
// are, it must end; and what Check finds sound must read. Chunks in other files are
// all in the same one.
func exercise(t *testing.T, b []byte, lender Opener) {
	f, err := OpenWith(bytes.NewReader(b), int64(len(b)), lender)
	if err != nil {
		return
	}
	sound := true
	if err := f.Check(context.Background(), true, func(Damage) { sound = false }); err != nil {
		t.Fatal(err)
	}
	for _, e := range f.Entries() {
		for i := range e.Grains() {
			if _, err := f.Hash(e, i); err != nil {
				t.Fatalf("hash %d of %+v: %v", i, e, err)
			}
		}
	}
	_, err = NewImage(f)
	if (err != nil) != (len(f.Damage()) > 0 || !f.Header().Base) {
		t.Fatalf("image: %v, damage %v", err, f.Damage())
	}
	m, err := Salvage(f)
	if err != nil {
		return
	}
	at := int64(0)
	for x := range m.Extents(0, m.Size()) {
		if x.Offset != at || x.Length <= 0 {
			t.Fatalf("extent %+v, expected one at %d", x, at)
		}
		at = x.End()
		if _, err := m.ReadAt(make([]byte, min(x.Length, 2*MaxChunk)), x.Offset); err != nil && sound {
			t.Fatalf("sound, but: %v", err)
		}
	}
	if at != m.Size() {
		t.Fatalf("extents end at %d of %d", at, m.Size())
	}
}

// seeds are small sound files of every kind.
func seeds(t testing.TB) [][]byte {
	borrower, _ := slotted(t)
	return [][]byte{
		smallFile(t), borrower,
		merged(t, true),
		write(t, header(0, 0, true), Options{}, none),
		write(t, header(3, Grain+1, false), Options{}, func(w *Writer) error { return w.Zero(0, Grain+1) }),
		write(t, header(0, 2*Grain+1, true), Options{Codec: Zstd}, data(0, text(2*Grain+1, "seed "))),
	}
}

// FuzzFile takes a file as it is.
func FuzzFile(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	_, lender := slotted(f)
	f.Fuzz(func(t *testing.T, b []byte) { exercise(t, b, opener(lender)) })
}

// FuzzLender takes a file in which another has chunks.
func FuzzLender(f *testing.F) {
	borrower, lender := slotted(f)
	f.Add(lender)
	for _, b := range seeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		exercise(t, borrower, opener(b))
		if err := CheckRetired(context.Background(), bytes.NewReader(b), int64(len(b)), true, func(Damage) {}); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzParts builds a file with right sums around parts of any content, to get
// behind the sums.
func FuzzParts(f *testing.F) {
	for _, b := range seeds(f) {
		file := open(f, b)
		foot := file.footer
		h, err := file.header.encode()
		if err != nil {
			f.Fatal(err)
		}
		var entries []byte
		if foot.indexSize > 0 {
			entries = b[foot.index+pageHead:][:foot.entries*entrySize]
		}
		f.Add(bytes.TrimRight(h, "\x00"), b[foot.headerEnd:foot.hashes], b[foot.hashes:foot.hashes+8*foot.hashCount], entries, int64(0))
	}
	_, lender := slotted(f)
	f.Fuzz(func(t *testing.T, head, chunks, hashes, entries []byte, skew int64) {
		if len(head)+len(chunks)+len(hashes)+len(entries) > 1<<20 {
			t.Skip("large")
		}
		exercise(t, assemble(head, chunks, hashes, entries, skew), opener(lender))
	})
}

// assemble makes a file of parts. The sums of data and stored bytes are those of
// the entries, plus skew.
func assemble(head, chunks, hashes, entries []byte, skew int64) []byte {
	foot := footer{hashCount: int64(len(hashes) / 8), entries: int64(len(entries) / entrySize)}
	pad := func(b []byte) []byte { return append(b, make([]byte, padded(int64(len(b)))-int64(len(b)))...) }
	b := pad(bytes.Clone(head))
	foot.headerEnd, foot.headerSum = int64(len(b)), hash128(b)
	b = pad(append(b, chunks...))
	foot.hashes, foot.hashesSum = int64(len(b)), hash128(hashes[:8*foot.hashCount])
	b = pad(append(b, hashes[:8*foot.hashCount]...))
	foot.index = int64(len(b))
	for number := int64(0); number*pageEntries < foot.entries; number++ {
		page := make([]byte, pageSize)
		part := entries[number*pageEntries*entrySize : min((number+1)*pageEntries, foot.entries)*entrySize]
		encodePage(page, number, make([]Entry, len(part)/entrySize))
		copy(page[pageHead:], part)
		copy(page[pageFirst:], part[:8])
		b = append(b, page...)
		for ; len(part) > 0; part = part[entrySize:] {
			if e, err := parseEntry(part); err == nil && !e.Zero {
				foot.data, foot.stored = foot.data+e.Length, foot.stored+int64(e.Stored)
			}
		}
	}
	foot.indexSize = int64(len(b)) - foot.index
	foot.indexSum = resum(b[foot.index:])
	foot.data, foot.fileSize = foot.data+skew, int64(len(b))+footerSize
	return append(b, foot.encode()...)
}

// FuzzEntries takes the entries of an index, and the generations and the size of
// the disk that they must fit; all else is sound.
func FuzzEntries(f *testing.F) {
	const grains = 40
	chunks := append(noise(2*Grain, 1), make([]byte, Align)...)
	hashes := make([]byte, 8*grains)
	for _, b := range seeds(f) {
		file := open(f, b)
		if at := file.footer.index + pageHead; file.footer.entries > 0 {
			f.Add(b[at:][:file.footer.entries*entrySize], uint8(2), int64(file.header.Size), true)
		}
	}
	for k := range int64(3) { // one file, rising generations that overlap
		var all []byte
		for i := range k + 1 {
			e := Entry{Offset: i * Grain, Length: 2 * Grain, FileOffset: Align, Stored: 2 * Grain, Generation: uint32(i), firstHash: 2 * i}
			all = append(all, make([]byte, entrySize)...)
			e.put(all[len(all)-entrySize:])
		}
		f.Add(all, uint8(k), int64(grains*Grain), k%2 == 0)
	}
	borrower, lender := slotted(f)
	f.Fuzz(func(t *testing.T, entries []byte, newest uint8, size int64, base bool) {
		h := header(int(newest), size, base)
		h.FormatVersion, h.Covers, h.Files = Version, [2]int{0, int(newest)}, open(t, borrower).header.Files
		head, err := h.encode()
		if err != nil {
			t.Fatal(err)
		}
		entries = entries[:min(len(entries), 100*entrySize)]
		used := 0
		for e := entries; len(e) >= entrySize; e = e[entrySize:] {
			if parsed, err := parseEntry(e); err == nil {
				used += parsed.Grains()
			}
		}
		exercise(t, assemble(head, chunks, hashes[:8*min(used, grains)], entries, 0), opener(lender))
	})
}

// FuzzHeader takes a header as it is.
func FuzzHeader(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b[:Align])
	}
	f.Add([]byte("VBK3 2\n{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, head, err := readHeader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		if len(head)%Align != 0 || len(head) > maxHeader {
			t.Fatalf("header of %d bytes", len(head))
		}
		again, err := h.encode()
		if err != nil {
			t.Fatalf("header does not encode: %v", err)
		}
		if _, _, err := readHeader(bytes.NewReader(again), int64(len(again))); err != nil {
			t.Fatalf("header does not read again: %v", err)
		}
	})
}

// FuzzFooter takes the fields of a footer and seals them.
func FuzzFooter(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b[len(b)-footerSize:][:footReserved], int64(len(b)))
	}
	f.Fuzz(func(t *testing.T, fields []byte, size int64) {
		b := make([]byte, footerSize)
		copy(b[:footFooterHash], fields)
		var sealed footer
		if foot, err := parseFooter(b, size); err == nil {
			t.Fatalf("a footer without a hash was accepted: %+v", foot)
		}
		for i, n := range sealed.numbers() {
			if len(fields) >= footNumbers+8*i+8 {
				*n = int64(le64(fields[footNumbers+8*i:]))
			}
		}
		foot, err := parseFooter(sealed.encode(), size)
		if err != nil {
			return
		}
		if !bytes.Equal(foot.encode(), sealed.encode()) {
			t.Fatal("footer does not survive")
		}
		parts := []int64{Align, foot.headerEnd, foot.hashes, foot.hashes + 8*foot.hashCount, foot.index, foot.index + foot.indexSize, size - footerSize}
		for i := range parts[1:] {
			if parts[i] > parts[i+1] {
				t.Fatalf("parts %v do not follow one another", parts)
			}
		}
	})
}

func le64(b []byte) (n uint64) {
	for i := range 8 {
		n |= uint64(b[i]) << (8 * i)
	}
	return n
}

// FuzzImage lays random layers over one another and compares with bytes.
func FuzzImage(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
	f.Add([]byte{40, 255, 0, 128, 3, 3, 3, 200, 0, 0, 1, 0, 90, 33, 7})
	f.Fuzz(func(t *testing.T, script []byte) {
		var disk []byte
		var layers [][]byte
		next := func() int {
			if len(script) == 0 {
				return 0
			}
			n := int(script[0])
			script = script[1:]
			return n
		}
		for k := 0; k < 5 && len(script) > 0; k++ {
			size := next()%24*Grain + next()%3*511
			base := k == 0 || next()%8 == 0
			if base {
				disk = nil
			}
			disk = append(disk, make([]byte, max(size-len(disk), 0))...)[:size]
			layers = append(layers, write(t, header(k, int64(size), base), Options{}, func(w *Writer) error {
				var err error
				for at := 0; at < size; {
					n := min((next()%5+1)*Grain, size-at)
					switch next() % 3 {
					case 0:
						clear(disk[at : at+n])
						err = errors.Join(err, w.Zero(int64(at), int64(n)))
					case 1:
						copy(disk[at:at+n], noise(n, uint64(k*1000+at)))
						err = errors.Join(err, w.Data(int64(at), disk[at:at+n]))
					}
					at += n
				}
				return err
			}))
		}
		if len(layers) > 0 {
			wantDisk(t, image(t, layers...), disk)
		}
	})
}
