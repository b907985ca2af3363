package format

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pierrec/lz4/v4"
	"pgregory.net/rapid"
)

// TestStreamsAsTheyCome reads what virtnbdbackup and others like it write.
func TestStreamsAsTheyCome(t *testing.T) {
	const size = 3*MaxChunk + 700
	disk := make([]byte, size)
	copy(disk[512:], noise(1000, 1))
	copy(disk[MaxChunk-10:], text(2*MaxChunk, "some words "))
	tail := disk[size-300:]
	copy(tail, noise(300, 2))
	all := []block{{512, disk[512:1512], 0}, {MaxChunk - 10, disk[MaxChunk-10 : 3*MaxChunk-10], 0}, {size - 300, tail, 0}}
	pieces := slices.Clone(all)
	pieces[1].piece = MaxChunk/2 + 77
	backwards := slices.Clone(all)
	slices.Reverse(backwards)
	twice := append([]block{{600, noise(MaxChunk, 9), 0}, {700, noise(99, 9), 0}, {1512, make([]byte, MaxChunk), 0}}, all...)
	lz := func(changes keys) keys {
		k := v2(size, keys{"compressed": 2})
		maps.Copy(k, changes)
		return k
	}
	blanks := func(b []byte) []byte { // in the trailer
		at := bytes.LastIndex(b, []byte("\r\ncomp "))
		list := bytes.LastIndexByte(b, '[')
		text := "[ " + strings.ReplaceAll(string(b[list+1:at]), ",", ",\n ") + " "
		return []byte(string(b[:list]) + text + "\r\n" + frameText("comp", 0, int64(len(text))))
	}
	zero := func(b []byte) []byte { // in front of stop
		at := bytes.LastIndex(b, []byte("stop "))
		return slices.Insert(b, at, []byte(frameText("zero", 0, 512)+frameText("zero", 3*MaxChunk-10, 100))...)
	}
	after := func(b []byte) []byte {
		at := bytes.LastIndex(b, []byte("stop ")) + frameSize
		return slices.Insert(b, at, []byte("whatever")...)
	}
	for name, b := range map[string][]byte{
		"plain":                      stream(t, v2(size, nil), all),
		"v1 of 2020":                 stream(t, v2(size, keys{"stream-version": 1, "streamVersion": "absent", "compressed": "absent", "compressionMethod": "absent", "diskFormat": "absent", "parentCheckpoint": false}), all),
		"v1":                         stream(t, v2(size, keys{"streamVersion": 1, "compressed": "absent"}), all),
		"extra keys":                 stream(t, v2(size, keys{"zzz": []int{1, 2}}), all),
		"padded header":              bytes.Replace(stream(t, v2(size, keys{"zzz": "12345"}), all), []byte("\"zzz\": \"12345\"\n}"), []byte("\"zzz\": 1\n}      "), 1),
		"upper case":                 bytes.ReplaceAll(stream(t, v2(size, nil), all), []byte("00000000000ffff6"), []byte("00000000000FFFF6")),
		"no date":                    stream(t, v2(size, keys{"date": "absent"}), all),
		"out of order":               stream(t, v2(size, nil), backwards),
		"the last wins":              stream(t, v2(size, nil), twice),
		"lz4, the last wins":         stream(t, lz(nil), twice),
		"zero frames":                zero(stream(t, v2(size, nil), all)),
		"behind stop":                after(stream(t, v2(size, nil), all)),
		"lz4":                        stream(t, lz(nil), all),
		"lz4, behind stop":           after(stream(t, lz(nil), all)),
		"lz4, level 0":               stream(t, lz(keys{"compressed": 0}), all),
		"lz4, level null":            stream(t, lz(keys{"compressed": nil}), all),
		"lz4, level 9":               stream(t, lz(nil), all, lz4.CompressionLevelOption(lz4.Level9), lz4.SizeOption(0)),
		"lz4, no sums, no size":      stream(t, lz(nil), all, lz4.ChecksumOption(false)),
		"lz4, blocks of 4 MiB":       stream(t, lz(nil), all, lz4.BlockSizeOption(lz4.Block4Mb)),
		"lz4, blanks":                blanks(stream(t, lz(nil), all)),
		"lz4, pieces":                stream(t, lz(nil), pieces),
		"lz4, pieces without a size": stream(t, lz(nil), pieces, lz4.BlockSizeOption(lz4.Block64Kb)),
	} {
		t.Run(name, func(t *testing.T) {
			m := streams(t, b)
			wantDisk(t, m, disk)
			if found, err := streamProblems(b); len(found) > 0 || err != nil {
				t.Errorf("sound, but: %v, %v", found, err)
			}
			if same, err := m.Same(0, disk[:Grain]); same || err != nil {
				t.Errorf("a stream has no hashes, but Same said %v, %v", same, err)
			}
		})
	}
}

func TestRawImage(t *testing.T) {
	for _, size := range []int{0, 1, 513, MaxChunk, 2*MaxChunk + 5} {
		disk := noise(size, 3)
		s, err := NewRaw(bytes.NewReader(disk), int64(size), StreamHeader{Disk: "vda", Checkpoint: "virtnbdbackup.0"})
		if err != nil {
			t.Fatal(err)
		}
		over := noise(1, 4)
		if size == 0 {
			over = nil
		}
		m, err := NewImage[Layer](s, openStream(t, stream(t, increment(int64(size), 1, nil), []block{{0, over, 0}}[:len(over)])))
		if err != nil {
			t.Fatal(err)
		}
		copy(disk, over)
		wantDisk(t, m, disk)
	}
}

func TestStreamRules(t *testing.T) {
	const size = 4 * Grain
	plain := func(changes keys) []byte { return stream(t, v2(size, changes), []block{{0, noise(512, 1), 0}}) }
	packed := func(list string) []byte { // two data frames, the second of three pieces
		p := noise(1000, 1)
		b := stream(t, v2(size, keys{"compressed": 2}), []block{{0, p, 0}, {1000, p, 400}})
		at := bytes.LastIndex(b, []byte("\r\nstop")) + 2 + frameSize
		if list == "" {
			return b
		}
		return []byte(string(b[:at]) + list + "\r\n" + frameText("comp", 0, int64(len(list))))
	}
	edit := func(b []byte, old, new string) []byte {
		if !bytes.Contains(b, []byte(old)) {
			t.Fatalf("nothing to replace: %q", old)
		}
		return bytes.Replace(b, []byte(old), []byte(new), 1)
	}
	one, three := len(compress(t, noise(1000, 1))), []int{}
	for p := range slices.Chunk(noise(1000, 1), 400) {
		three = append(three, len(compress(t, p)))
	}
	sum := three[0] + three[1] + three[2]
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"nothing", nil, "does not start like a stream"},
		{"v3", smallFile(t), "does not start like a stream"},
		{"a few bytes", []byte("meta 0000"), "ends in its first frame"},
		{"header length", edit(plain(nil), "meta 0000000000000000 0000000000000", "meta 0000000000000000 0000000f00000"), "does not fit"},
		{"header number", edit(plain(nil), "meta 0000000000000000", "meta 000000000000000g"), "hex digits"},
		{"header end", edit(plain(nil), "}\r\n", "}\r\r"), "expected CR LF"},
		{"header text", edit(plain(nil), "{", "["), "header"},
		{"version", plain(keys{"streamVersion": 3}), "stream version is 3"},
		{"no version", plain(keys{"streamVersion": "absent"}), "is missing"},
		{"no size", plain(keys{"virtualSize": "absent"}), "is missing"},
		{"negative size", plain(keys{"virtualSize": -1}), "is not in 0 to"},
		{"no compressed", edit(plain(nil), `"compressed"`, `"kompressed"`), "compressed is missing"},
		{"method", edit(packed(""), `"lz4"`, `"xz4"`), "expected lz4"},
		{"increment on nothing", plain(keys{"incremental": true}), "parentCheckpoint names none"},
		{"parent is no name", plain(keys{"parentCheckpoint": 7}), "cannot unmarshal"},
		{"dataSize", plain(keys{"dataSize": 513}), "after 512 bytes of data, its header says 513"},
		{"outside", stream(t, v2(511, nil), []block{{0, noise(512, 1), 0}}), "not within the disk of 511 bytes"},
		{"empty data", stream(t, v2(511, nil), []block{{0, nil, 0}}), "data of 0 bytes"},
		{"far outside", edit(plain(nil), "data 0000000000000000", "data 4000000000000000"), "not within the disk"},
		{"too far", edit(plain(nil), "data 0000000000000000", "data ffffffffffffffff"), "hex digits"},
		{"longer than the file", edit(plain(nil), "data 0000000000000000 0000000000000200", "data 0000000000000000 0000000000002000"), "does not fit"},
		{"end of data", edit(plain(nil), "\r\nstop", "\r\rstop"), "expected CR LF"},
		{"unknown kind", edit(plain(nil), "stop 0", "stap 0"), `unknown kind "stap"`},
		{"no stop", plain(nil)[:len(plain(nil))-frameSize], "without a stop frame"},
		{"numbers of stop", edit(plain(nil), "stop 0", "stop 1"), "expected 0"},
		{"end of a frame", edit(plain(nil), "0200\r\n", "0200\n\r"), "expected a kind and two numbers"},
		{"zero in an increment", edit(stream(t, increment(size, 1, nil), nil), "stop", frameText("zero", 0, 512)+"stop"), "writes none"},
		{"no trailer", edit(packed(""), "comp 0", "pmoc 0"), "was not completed"},
		{"trailer larger than the file", edit(packed(""), "comp 0000000000000000 0", "comp 0000000000000000 1"), "does not fit"},
		{"trailer reaches into the frames", edit(packed(""), "\r\nstop", "\r\nstap"), "unknown kind"},
		{"no list", packed("7"), "expected '['"},
		{"empty list", packed("[]"), "expected a number"},
		{"short list", packed(fmt.Sprintf("[%d]", one)), "expected ','"},
		{"long list", packed(fmt.Sprintf(`[%d,{"%d":[%d,%d,%d]},9]`, one, sum, three[0], three[1], three[2])), "expected ']'"},
		{"behind the list", packed(fmt.Sprintf(`[%d,{"%d":[%d,%d,%d]}]]`, one, sum, three[0], three[1], three[2])), "behind the list"},
		{"list does not end", packed(fmt.Sprintf("[%d,", one)), "unexpected EOF"},
		{"sum of pieces", packed(fmt.Sprintf(`[%d,{"%d":[%d,%d,%d]}]`, one, sum+1, three[0], three[1], three[2])), "add up to"},
		{"two members", packed(fmt.Sprintf(`[%d,{"%d":[%d,%d,%d],"1":[1]}]`, one, sum, three[0], three[1], three[2])), "expected '}'"},
		{"pieces too short", packed(fmt.Sprintf(`[%d,{"%d":[%d,%d]}]`, one, three[0]+three[1], three[0], three[1])), "expected CR LF"},
		{"tiny piece", packed(fmt.Sprintf(`[%d,{"%d":[%d,%d,1]}]`, one, sum, three[0], three[1])), "frame of 1 bytes"},
		{"large piece", packed(`[99999999999]`), "frame of 99999999999 bytes"},
		{"number of many digits", packed(`[99999999999999999999999]`), "expected a number"},
		{"other length", packed(fmt.Sprintf("[%d,{\"1\":[1]}]", one+1)), "expected CR LF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := OpenStream(bytes.NewReader(c.b), int64(len(c.b)))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("found %v, expected %q", err, c.want)
			}
		})
	}
	if _, err := OpenStream(bytes.NewReader(packed("")), int64(len(packed("")))); err != nil {
		t.Fatalf("unchanged: %v", err)
	}
}

// TestPiecesThatLie has LZ4 frames that are none, or hold something else than
// the frame around them says.
func TestPiecesThatLie(t *testing.T) {
	p := text(2*Grain, "true ")
	good := compress(t, p)
	file := func(payload []byte) []byte {
		b := stream(t, v2(4*Grain, keys{"compressed": 2, "dataSize": 2 * Grain}), nil)
		b = b[:bytes.LastIndex(b, []byte("stop "))]
		b = append(b, frameText("data", 0, 2*Grain)...)
		b = append(b, payload...)
		return append(b, "\r\n"+frameText("stop", 0, 0)+trailerText(t, []any{len(payload)})...)
	}
	if found, err := streamProblems(file(good)); len(found) > 0 || err != nil {
		t.Fatalf("good: %v, %v", found, err)
	}
	flipped := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 1
		return b
	}
	for name, payload := range map[string][]byte{
		"shorter":          compress(t, p[:2*Grain-1]),
		"longer":           compress(t, append(bytes.Clone(p), 1)),
		"empty":            append(compress(t, nil), make([]byte, 1000)...),
		"a second frame":   append(bytes.Clone(good), compress(t, p)...),
		"something behind": append(bytes.Clone(good), "something"...),
		"cut":              good[:len(good)-5],
		"no magic":         flipped(0),
		"size":             flipped(7),
		"data":             flipped(40),
		"sum":              flipped(len(good) - 1),
		"legacy":           append([]byte{0x02, 0x21, 0x4c, 0x18}, good[4:]...),
		"skippable":        append([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}, good...),
	} {
		t.Run(name, func(t *testing.T) {
			found, err := streamProblems(file(payload))
			if err != nil || len(found) != 1 || found[0].Length != 2*Grain || !strings.Contains(found[0].Detail, "of the file") {
				t.Errorf("found %v, %v, expected one chunk that is lost", found, err)
			}
		})
	}
	bomb := file(compress(t, p)[:20])
	if _, err := streamProblems(bomb); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("128 KiB in 20 bytes: %v", err)
	}
}

func TestTruncatedStreams(t *testing.T) {
	blocks := []block{{0, text(600, "abc "), 0}, {1000, text(900, "xyz "), 300}}
	for _, k := range []keys{v2(8192, nil), v2(8192, keys{"compressed": 2})} {
		b := stream(t, k, blocks)
		for n := range b {
			if s, err := OpenStream(bytes.NewReader(b[:n]), int64(n)); err == nil {
				t.Fatalf("cut to %d of %d bytes, but opened: %v", n, len(b), s)
			}
		}
	}
}

// TestEveryByteOfAPieceIsCovered holds for compressed data only: nothing covers
// the rest.
func TestEveryByteOfAPieceIsCovered(t *testing.T) {
	b, err := os.ReadFile("testdata/streams/v2-lz4-diff.data")
	if err != nil {
		t.Fatal(err)
	}
	entries := openStream(t, b).Entries()
	for _, e := range entries {
		for at := e.FileOffset; at < e.FileOffset+int64(e.Stored); at++ {
			b[at] ^= 0x10
			if found, err := streamProblems(b); err == nil && len(found) != 1 {
				t.Fatalf("byte %d changed, found %v", at, found)
			}
			b[at] ^= 0x10
		}
	}
	if len(entries) != 2 {
		t.Fatalf("%d entries", len(entries))
	}
}

func TestStreamChains(t *testing.T) {
	const size = 2 * Grain
	old, new := noise(size, 1), noise(size, 2)
	full := stream(t, v2(size, nil), []block{{0, old, 0}})
	inc1 := stream(t, increment(size, 1, keys{"compressed": 1}), []block{{100, new[100:200], 0}})
	empty := stream(t, increment(size, 2, nil), nil)
	inc3 := stream(t, increment(size, 3, nil), []block{{150, make([]byte, 10), 0}})
	lost := stream(t, v2(size, keys{"checkpointName": "virtnbdbackup.4"}), []block{{7, new[7:8], 0}})
	grown := stream(t, increment(3*size, 5, nil), nil)
	want := bytes.Clone(old)
	wantDisk(t, streams(t, full), want)
	copy(want[100:], new[100:200])
	wantDisk(t, streams(t, full, inc1), want)
	wantDisk(t, streams(t, full, inc1, empty), want)
	clear(want[150:160])
	wantDisk(t, streams(t, full, inc1, empty, inc3), want)
	want = make([]byte, size) // nothing older shows through a full
	want[7] = new[7]
	wantDisk(t, streams(t, full, inc1, empty, inc3, lost), want)
	wantDisk(t, streams(t, lost, grown), append(want, make([]byte, 2*size)...))

	v3 := open(t, layer(t, 0, size, true, none))
	v3inc := open(t, layer(t, 1, size, false, none))
	other := stream(t, increment(size, 1, keys{"diskName": "vdb"}), nil)
	for _, c := range []struct {
		name   string
		layers []Layer
		want   string
	}{
		{"no base", []Layer{openStream(t, inc1)}, "is no base"},
		{"one is missing", []Layer{openStream(t, full), openStream(t, empty)}, "builds on virtnbdbackup.1, found virtnbdbackup.0 below it"},
		{"another disk", []Layer{openStream(t, full), openStream(t, other)}, "does not belong to"},
		{"a stream on v3", []Layer{v3, openStream(t, inc1)}, "a v3 file, below it"},
		{"v3 on a stream", []Layer{openStream(t, full), v3inc}, "a stream, below it"},
	} {
		if _, err := NewImage(c.layers...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: found %v, expected %q", c.name, err, c.want)
		}
	}
}

// TestLargePiecesAreDecodedOnce restores pieces of 32 MiB, MiB by MiB, on
// several cores.
func TestLargePiecesAreDecodedOnce(t *testing.T) {
	disk := text(2*maxPiece+3*MaxChunk+17, "many words ")
	b := stream(t, v2(int64(len(disk))+100, keys{"compressed": 2}), []block{{100, disk, maxPiece}})
	c := &counting{Reader: bytes.NewReader(b), reads: map[int64]int{}}
	s, err := OpenStream(c, int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewImage(s)
	if err != nil {
		t.Fatal(err)
	}
	if entries := s.Entries(); len(entries) != 3 || entries[0].Length != maxPiece {
		t.Fatalf("entries %+v", entries)
	}
	if n := int64(len(m.cache.slots)); n < 2 || n*maxPiece > cacheSize {
		t.Fatalf("%d slots of 32 MiB", n)
	}
	clear(c.reads)
	found := make([]byte, m.Size())
	var group sync.WaitGroup
	work := make(chan Extent)
	for range 4 {
		group.Go(func() {
			for x := range work {
				if _, err := m.ReadAt(found[x.Offset:x.End()], x.Offset); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, x := range pieces(m) {
		work <- x
	}
	close(work)
	group.Wait()
	if !bytes.Equal(found[100:], disk) || !IsZero(found[:100]) {
		t.Error("restored something else")
	}
	for _, e := range s.Entries() {
		if n := c.reads[e.FileOffset]; n != 1 {
			t.Errorf("piece at %d was decoded %d times", e.Offset, n)
		}
	}
}

// TestStreamHistories lays random streams over one another, like
// virtnbdrestore: frame by frame, in the order of the files.
func TestStreamHistories(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var disk []byte
		var layers []Layer
		for n := range rapid.IntRange(1, 5).Draw(r, "layers") {
			size := rapid.IntRange(0, 3*MaxChunk).Draw(r, "size")
			base := n == 0 || rapid.IntRange(0, 5).Draw(r, "base") == 0
			if base {
				disk = nil
			}
			disk = append(disk, make([]byte, max(size-len(disk), 0))...)[:size:size]
			changes := keys{"incremental": !base, "compressed": rapid.SampledFrom([]any{false, 1}).Draw(r, "compressed")}
			var blocks []block
			for k := range rapid.IntRange(0, 6).Draw(r, "frames") {
				if size == 0 {
					break
				}
				offset := rapid.IntRange(0, size-1).Draw(r, "offset")
				length := rapid.IntRange(1, size-offset).Draw(r, "length")
				x := block{offset: int64(offset), data: text(length, fmt.Sprintf("%d %d ", n, k))}
				if rapid.Bool().Draw(r, "pieces") {
					x.piece = rapid.IntRange(length/5+1, length).Draw(r, "piece")
				}
				blocks = append(blocks, x)
				copy(disk[offset:], x.data)
			}
			layers = append(layers, openStream(t, stream(t, increment(int64(size), n, changes), blocks)))
		}
		m, err := NewImage(layers...)
		if err != nil {
			r.Fatal(err)
		}
		wantDisk(r, m, disk)
	})
}
