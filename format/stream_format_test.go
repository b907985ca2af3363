package format

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/pierrec/lz4/v4"
)

// block is a data frame to write: its bytes, and where they are cut into pieces.
type block struct {
	offset int64
	data   []byte
	piece  int // length of the pieces; 0: one piece, an integer in the trailer
}

// keys are those of a stream's header.
type keys map[string]any

// v2 is the header of a full, changed by what is given; nil removes a key.
func v2(size int64, changes keys) keys {
	k := keys{"virtualSize": size, "dataSize": 0, "date": "2026-11-22T21:42:12.797730", "diskName": "vda", "diskFormat": "qcow2",
		"checkpointName": "virtnbdbackup.0", "compressed": false, "compressionMethod": "lz4", "parentCheckpoint": "",
		"incremental": false, "streamVersion": 2}
	maps.Copy(k, changes)
	return k
}

func increment(size int64, n int, changes keys) keys {
	k := v2(size, keys{"incremental": true, "checkpointName": fmt.Sprintf("virtnbdbackup.%d", n), "parentCheckpoint": fmt.Sprintf("virtnbdbackup.%d", n-1)})
	maps.Copy(k, changes)
	return k
}

func frameText(kind string, a, b int64) string { return fmt.Sprintf("%s %016x %016x\r\n", kind, a, b) }

// compress makes an LZ4 frame as virtnbdbackup does, or as options say.
func compress(t testing.TB, p []byte, options ...lz4.Option) []byte {
	t.Helper()
	var b bytes.Buffer
	w := lz4.NewWriter(&b)
	if options == nil {
		options = []lz4.Option{lz4.BlockSizeOption(lz4.Block64Kb), lz4.SizeOption(uint64(len(p))), lz4.BlockChecksumOption(true)}
	}
	if err := errors.Join(w.Apply(options...), second(w.Write(p)), w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func second(_ int, err error) error { return err }

// stream writes a stream. dataSize becomes what it should be, unless it is given.
func stream(t testing.TB, k keys, blocks []block, options ...lz4.Option) []byte {
	t.Helper()
	compressed := k["compressed"] != false && k["compressed"] != "absent"
	var body bytes.Buffer
	var list []any
	var sum int64
	for _, x := range blocks {
		sum += int64(len(x.data))
		body.WriteString(frameText("data", x.offset, int64(len(x.data))))
		if !compressed {
			body.Write(x.data)
		} else if x.piece == 0 {
			piece := compress(t, x.data, options...)
			list = append(list, len(piece))
			body.Write(piece)
		} else {
			var sizes []int
			total := 0
			for p := range slices.Chunk(x.data, x.piece) {
				piece := compress(t, p, options...)
				body.Write(piece)
				sizes, total = append(sizes, len(piece)), total+len(piece)
			}
			list = append(list, map[string][]int{fmt.Sprint(total): sizes})
		}
		body.WriteString("\r\n")
	}
	if k["dataSize"] == 0 {
		k["dataSize"] = sum
	}
	maps.DeleteFunc(k, func(_ string, v any) bool { return v == "absent" })
	head, err := json.MarshalIndent(k, "", "    ")
	if err != nil {
		t.Fatal(err)
	}
	b := []byte(frameText("meta", 0, int64(len(head))) + string(head) + "\r\n" + body.String() + frameText("stop", 0, 0))
	if compressed {
		b = append(b, trailerText(t, list)...)
	}
	return b
}

func trailerText(t testing.TB, list []any) string {
	if list == nil {
		list = []any{}
	}
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\r\n" + frameText("comp", 0, int64(len(text)))
}

func openStream(t testing.TB, b []byte) *Stream {
	t.Helper()
	s, err := OpenStream(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func streams(t testing.TB, files ...[]byte) *Image {
	t.Helper()
	var layers []Layer
	for _, b := range files {
		layers = append(layers, openStream(t, b))
	}
	m, err := NewImage(layers...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func streamProblems(b []byte) (found []Damage, err error) {
	s, err := OpenStream(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	return found, s.Check(context.Background(), func(d Damage) { found = append(found, d) })
}
