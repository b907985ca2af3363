package format

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/pierrec/lz4/v4"
)

// exerciseStream does with a file all that can be done with it.
func exerciseStream(t *testing.T, b []byte) {
	s, err := OpenStream(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return
	}
	h := s.Header()
	data := int64(0)
	for _, e := range s.Entries() {
		if e.Offset < 0 || e.Length <= 0 || e.End() > h.Size || e.Length > maxPiece || e.FileOffset+int64(e.Stored) > int64(len(b)) {
			t.Fatalf("entry %+v of a disk of %d bytes in a file of %d", e, h.Size, len(b))
		}
		data += e.Length
	}
	if data != h.Data {
		t.Fatalf("entries have %d bytes, header says %d", data, h.Data)
	}
	sound := true
	if data < 64<<20 { // overlapping frames of a small file could keep it busy
		if err := s.Check(context.Background(), func(Damage) { sound = false }); err != nil {
			t.Fatal(err)
		}
	}
	h.Checkpoint = h.Parent
	zero := make([]byte, 100)
	below, err := NewRaw(bytes.NewReader(zero), 100, h)
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewImage[Layer](below, s)
	if err != nil {
		t.Fatal(err)
	}
	at, read := int64(0), 0
	for x := range m.Extents(0, m.Size()) {
		if x.Offset != at || x.Length <= 0 || x.Data() && x.Length > MaxChunk {
			t.Fatalf("extent %+v, expected one at %d", x, at)
		}
		at = x.End()
		if read++; read < 20 {
			if _, err := m.ReadAt(make([]byte, min(x.Length, MaxChunk)), x.Offset); err != nil && sound {
				t.Fatalf("sound, but: %v", err)
			}
		}
	}
	if at != m.Size() {
		t.Fatalf("extents end at %d of %d", at, m.Size())
	}
}

// streamSeeds are small files of virtnbdbackup, and others that have what these
// have not.
func streamSeeds(t testing.TB) [][]byte {
	names, err := filepath.Glob("testdata/streams/*.data")
	if err != nil || len(names) < 6 {
		t.Fatalf("%d files in testdata/streams, %v", len(names), err)
	}
	var seeds [][]byte
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, b)
	}
	p := text(300, "seed ")
	return append(seeds,
		stream(t, v2(2*Grain, nil), []block{{5, p, 0}, {Grain, p, 0}}),
		stream(t, v2(2*Grain, keys{"compressed": 2}), []block{{5, p, 100}, {Grain, p, 0}}),
		stream(t, increment(2*Grain, 3, keys{"compressed": 2}), []block{{5, p, 100}}, lz4.BlockSizeOption(lz4.Block64Kb)))
}

// FuzzStream takes a file as it is.
func FuzzStream(f *testing.F) {
	for _, b := range streamSeeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { exerciseStream(t, b) })
}

// FuzzStreamParts takes the parts of a compressed file, with right lengths where
// these are of the whole.
func FuzzStreamParts(f *testing.F) {
	for _, b := range streamSeeds(f) {
		s := openStream(f, b)
		end, list := int64(len(b)), ""
		if s.header.Compressed {
			tr, err := openTrailer(bytes.NewReader(b), end)
			if err != nil {
				f.Fatal(err)
			}
			end, list = tr.start, string(b[tr.start:len(b)-trailerEnd])
		}
		f.Add(s.header.Size, s.header.Data, s.header.Incremental, b[s.frames:end], list)
	}
	f.Fuzz(func(t *testing.T, size, data int64, incremental bool, frames []byte, list string) {
		k := v2(size, keys{"dataSize": data, "incremental": incremental, "parentCheckpoint": "p", "compressed": 1})
		head, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		b := append([]byte(frameText("meta", 0, int64(len(head)))+string(head)+"\r\n"), frames...)
		exerciseStream(t, append(b, list+"\r\n"+frameText("comp", 0, int64(len(list)))...))
		plain := bytes.Replace(b, []byte(`"compressed":1`), []byte(`"compressed":false`), 1)
		copy(plain, frameText("meta", 0, int64(len(head)+4)))
		exerciseStream(t, plain)
	})
}

// FuzzPiece takes an LZ4 frame.
func FuzzPiece(f *testing.F) {
	for _, b := range streamSeeds(f) {
		for _, e := range openStream(f, b).Entries() {
			if e.Codec == LZ4 {
				f.Add(b[e.FileOffset:][:e.Stored], uint32(e.Length))
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, length uint32) {
		dst := make([]byte, length%(1<<22))
		in, err := pieceReader(bytes.NewReader(b), 0, int64(len(b)))
		if err == nil {
			err = inflate(in, dst)
		}
		if err != nil || len(b) < 14 {
			return
		}
		n, err := pieceLength(bytes.NewReader(b), 0, int64(len(b)))
		if err != nil || n != int64(len(dst)) {
			t.Fatalf("frame of %d bytes has length %d, %v", len(dst), n, err)
		}
	})
}
