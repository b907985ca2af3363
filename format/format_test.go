package format

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// testKey is any key: nothing in the tests depends on which.
const testKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

func header(sequence int, size int64, base bool) Header {
	return Header{
		StoreID: "5d21ab90", Chain: "20261122T013000Z-9f3c", Sequence: sequence, Attempt: "77e0c2f4",
		Domain: "web01", UUID: "4c1f9d2a-0000-4000-8000-000000000001", Disk: "vda", Disks: []string{"vda"},
		Size: size, Source: "/images/web01.qcow2", Base: base, HashKey: testKey,
		Time: time.Date(2026, 11, 22, 1, 30, 0, 0, time.UTC), Version: "test",
	}
}

// write makes a file of what fill records.
func write(t rapid.TB, h Header, o Options, fill func(*Writer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, h, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := fill(w); err != nil {
		t.Fatal(err)
	}
	s, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if s.FileSize != int64(b.Len()) {
		t.Fatalf("summary says %d bytes, file has %d", s.FileSize, b.Len())
	}
	return b.Bytes()
}

func open(t testing.TB, b []byte) *File {
	t.Helper()
	f, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// damages checks a file and returns what is reported, one line each.
func damages(t testing.TB, f *File) []string {
	t.Helper()
	var all []string
	if err := f.Check(context.Background(), true, func(d Damage) { all = append(all, d.String()) }); err != nil {
		t.Fatal(err)
	}
	return all
}

func wantSound(t testing.TB, f *File) {
	t.Helper()
	if all := damages(t, f); len(all) > 0 {
		t.Fatalf("damage in a sound file:\n%s", strings.Join(all, "\n"))
	}
}

func image(t testing.TB, files ...[]byte) *Image {
	t.Helper()
	var layers []*File
	for _, b := range files {
		f := open(t, b)
		wantSound(t, f)
		layers = append(layers, f)
	}
	m, err := NewImage(layers...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// noise does not compress; text does.
func noise(n int, seed uint64) []byte {
	b := make([]byte, n)
	c := rand.NewChaCha8([32]byte(binary.LittleEndian.AppendUint64(make([]byte, 24), seed)))
	_, _ = c.Read(b)
	return b
}

func text(n int, word string) []byte {
	return []byte(strings.Repeat(word, n/len(word)+1))[:n]
}

// reseal gives a file whose bytes were changed the sums that it would have if
// it had been written like that: what reaches the rules behind the sums.
func reseal(b []byte, change func(h *Header, f *footer, pages []byte)) []byte {
	size := int64(len(b))
	f, err := parseFooter(b[size-footerSize:], size)
	if err != nil {
		panic(err)
	}
	h, _, err := readHeader(bytes.NewReader(b), size)
	if err != nil {
		panic(err)
	}
	b = bytes.Clone(b)
	pages := b[f.index : f.index+f.indexSize]
	change(&h, &f, pages)
	line, err := json.Marshal(h)
	if err != nil {
		panic(err)
	}
	head := append(append([]byte(headerMagic), itoa(len(line))...), append(line, '\n')...)
	clear(b[:f.headerEnd])
	copy(b[:f.headerEnd], head)
	f.headerSum = hash128(b[:f.headerEnd])
	f.indexSum = resum(pages)
	copy(b[size-footerSize:], f.encode())
	return b
}

func itoa(n int) []byte {
	b, _ := json.Marshal(n)
	return append(b, '\n')
}

// resum writes the right sum into each page and returns the sum of their list.
func resum(pages []byte) sum128 {
	var list []byte
	for p := pages; len(p) >= pageSize; p = p[pageSize:] {
		clear(p[pageSum:pageHead])
		sum := hash128(p[:pageSize])
		copy(p[pageSum:], sum[:])
		list = append(list, sum[:]...)
	}
	return hash128(list)
}
