package format

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestBoundaries(t *testing.T) {
	const size = 5*Grain + 100
	for _, c := range []struct {
		name           string
		offset, length int64
		refused        string
	}{
		{"a grain", Grain, Grain, ""},
		{"the ragged end", 5 * Grain, 100, ""},
		{"everything", 0, size, ""},
		{"nothing", Grain, 0, ""},
		{"nothing at the end", 5 * Grain, 0, ""},
		{"ragged start", 1, Grain - 1, "starts at no multiple of 65536"},
		{"ragged end inside", 0, 100, "ends neither at a multiple of 65536 nor at the disk's end 327780"},
		{"beyond the end", 5 * Grain, Grain, "outside the disk of 327780 bytes"},
		{"behind the end", 6 * Grain, Grain, "outside the disk"},
		{"negative", -Grain, Grain, "outside the disk"},
		{"negative length", Grain, -Grain, "outside the disk"},
		{"overflow", Grain, 1<<63 - 1, "outside the disk"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, err := NewWriter(io.Discard, header(1, size, false), Options{})
			if err != nil {
				t.Fatal(err)
			}
			verdict := func(what string, err error) {
				if (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
					t.Errorf("%s: found %v, expected %q", what, err, c.refused)
				}
			}
			verdict("zero", w.Zero(c.offset, c.length))
			if c.length >= 0 && c.length <= size {
				verdict("data", w.Data(c.offset, make([]byte, c.length)))
			}
		})
	}
}

func TestZeroesAreFoundInData(t *testing.T) {
	const size = 4*MaxChunk + 3*Grain + 1
	disk := make([]byte, size)
	disk[2*Grain] = 1                           // one grain, in the first chunk
	disk[MaxChunk-1] = 1                        // the last of it
	copy(disk[3*MaxChunk:], noise(MaxChunk, 1)) // a whole chunk
	disk[size-1] = 1                            // the ragged end
	want := []Entry{
		{Offset: 0, Length: 2 * Grain, Zero: true},
		{Offset: 2 * Grain, Length: Grain},
		{Offset: 3 * Grain, Length: 12 * Grain, Zero: true},
		{Offset: 15 * Grain, Length: Grain},
		{Offset: MaxChunk, Length: 2 * MaxChunk, Zero: true},
		{Offset: 3 * MaxChunk, Length: MaxChunk},
		{Offset: 4 * MaxChunk, Length: 3 * Grain, Zero: true},
		{Offset: 4*MaxChunk + 3*Grain, Length: 1},
	}
	for _, base := range []bool{false, true} {
		b := write(t, header(0, size, base), Options{}, func(w *Writer) error { return w.Data(0, disk) })
		f := open(t, b)
		wantSound(t, f)
		var found []Entry
		for _, e := range f.Entries() {
			found = append(found, Entry{Offset: e.Offset, Length: e.Length, Zero: e.Zero})
		}
		expected := slices.Clone(want)
		if base {
			expected = slices.DeleteFunc(expected, func(e Entry) bool { return e.Zero })
		}
		if !slices.Equal(found, expected) {
			t.Errorf("base %v: found %v, expected %v", base, found, expected)
		}
		if s := f.Summary(); s.Data+s.Zero != size || s.Data != 2*Grain+MaxChunk+1 || s.Stored != s.Data {
			t.Errorf("base %v: summary %+v", base, s)
		}
	}
}

func TestSummaryIsTheSameWhenRead(t *testing.T) {
	for _, base := range []bool{false, true} {
		var b bytes.Buffer
		w, err := NewWriter(&b, header(2, 10*MaxChunk, base), Options{Codec: Zstd, Level: 3})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Data(MaxChunk, text(2*MaxChunk, "words")), w.Zero(4*MaxChunk, MaxChunk), w.Zero(5*MaxChunk, MaxChunk)); err != nil {
			t.Fatal(err)
		}
		s, err := w.Close()
		if err != nil {
			t.Fatal(err)
		}
		f := open(t, b.Bytes())
		if f.Summary() != s {
			t.Errorf("read %+v, written %+v", f.Summary(), s)
		}
		if s.Data != 2*MaxChunk || s.Stored >= s.Data || s.FooterHash == 0 {
			t.Errorf("summary %+v", s)
		}
	}
}

func TestOverlapIsRefused(t *testing.T) {
	for name, fill := range map[string]func(*Writer) error{
		"data twice": func(w *Writer) error {
			return errors.Join(w.Data(0, noise(2*Grain, 1)), w.Data(Grain, noise(Grain, 2)))
		},
		"zero over data": func(w *Writer) error { return errors.Join(w.Data(Grain, noise(Grain, 1)), w.Zero(0, 4*Grain)) },
		"zero twice":     func(w *Writer) error { return errors.Join(w.Zero(0, 4*Grain), w.Zero(3*Grain, Grain)) },
	} {
		for _, base := range []bool{false, true} {
			var b bytes.Buffer
			w, err := NewWriter(&b, header(0, MaxChunk, base), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := fill(w); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Close(); err == nil || !strings.Contains(err.Error(), "twice") {
				t.Errorf("%s, base %v: close returned %v", name, base, err)
			}
			if _, err := Open(bytes.NewReader(b.Bytes()), int64(b.Len())); err == nil {
				t.Errorf("%s, base %v: the file opens", name, base)
			}
		}
	}
}

// failing accepts a number of bytes and then fails, or claims less than it was given.
type failing struct {
	left  int
	err   error
	bytes bytes.Buffer
}

var errFull = errors.New("no space left")

func (f *failing) Write(p []byte) (int, error) {
	n := min(len(p), f.left)
	f.left -= n
	f.bytes.Write(p[:n])
	if n < len(p) {
		return n, f.err
	}
	return n, nil
}

func TestFailedWriteCondemnsTheFile(t *testing.T) {
	run := func(f *failing) error {
		w, err := NewWriter(f, header(0, MaxChunk, true), Options{})
		if err != nil {
			return err
		}
		first := w.Data(0, noise(Grain, 1))
		second := w.Data(2*Grain, noise(Grain, 2))
		if first != nil && second == nil {
			t.Error("data was accepted after a failure")
		}
		_, err = w.Close()
		if (first != nil || second != nil) && err == nil {
			t.Error("close succeeded after a failure")
		}
		return err
	}
	whole := &failing{left: 1 << 30}
	if err := run(whole); err != nil {
		t.Fatal(err)
	}
	size := whole.bytes.Len()
	for left := 0; left < size; left += 1021 {
		for _, cause := range []error{errFull, nil} {
			f := &failing{left: left, err: cause}
			expected := cause
			if cause == nil {
				expected = io.ErrShortWrite
			}
			if err := run(f); !errors.Is(err, expected) {
				t.Errorf("%d bytes: found %v, expected %v", left, err, expected)
			}
		}
	}
}

func TestClosedWriter(t *testing.T) {
	w, err := NewWriter(io.Discard, header(0, MaxChunk, true), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_, again := w.Close()
	for what, err := range map[string]error{"data": w.Data(0, noise(Grain, 1)), "zero": w.Zero(0, Grain), "close": again} {
		if !errors.Is(err, errClosed) {
			t.Errorf("%s after close: %v", what, err)
		}
	}
}

func TestRefusedHeaders(t *testing.T) {
	for name, change := range map[string]func(*Header, *Options){
		"not in 0 to":                func(h *Header, o *Options) { h.Size = -1 },
		"virtual size":               func(h *Header, o *Options) { h.Size = maxSize + 1 },
		"covers":                     func(h *Header, o *Options) { h.Covers = [2]int{2, 1} },
		"expected up to":             func(h *Header, o *Options) { h.Covers = [2]int{0, 7} },
		"hash key has":               func(h *Header, o *Options) { h.HashKey = "00" },
		"invalid byte":               func(h *Header, o *Options) { h.HashKey = strings.Repeat("x", 64) },
		"encrypted":                  func(h *Header, o *Options) { h.WrappedKeys = []string{"k"} },
		"which is impossible":        func(h *Header, o *Options) { h.Files = []Slot{{Name: "f"}} },
		"a v3 file has no codec lz4": func(h *Header, o *Options) { o.Codec = 2 },
		"zstd level 20":              func(h *Header, o *Options) { o.Level = 20 },
		"header has":                 func(h *Header, o *Options) { h.Source = strings.Repeat("x", maxHeader) },
		"covers sequences -1":        func(h *Header, o *Options) { h.Sequence = -1 },
	} {
		h, o := header(1, MaxChunk, true), Options{}
		change(&h, &o)
		if _, err := NewWriter(io.Discard, h, o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("expected an error with %q, found %v", name, err)
		}
	}
}

func TestLongHeader(t *testing.T) {
	h := header(0, Grain, true)
	h.Source = strings.Repeat("é", 300_000)
	f := open(t, write(t, h, Options{}, func(w *Writer) error { return w.Data(0, noise(Grain, 1)) }))
	wantSound(t, f)
	if f.Header().Source != h.Source || !f.Header().Time.Equal(h.Time) || f.Header().Covers != [2]int{0, 0} {
		t.Error("header differs after reading")
	}
}

func TestWriterIsDeterministic(t *testing.T) {
	make := func() []byte {
		return write(t, header(0, 4*MaxChunk, false), Options{Codec: Zstd}, func(w *Writer) error {
			return errors.Join(w.Data(0, text(MaxChunk, "abc")), w.Zero(MaxChunk, MaxChunk), w.Data(2*MaxChunk, noise(2*MaxChunk, 3)))
		})
	}
	if !bytes.Equal(make(), make()) {
		t.Error("the same input gave different files")
	}
}

func TestConcurrentWriters(t *testing.T) {
	const chunks = 40
	const size = chunks*MaxChunk + 777
	disk := make([]byte, size)
	for i := 0; i < chunks; i += 3 {
		copy(disk[i*MaxChunk:], noise(MaxChunk/2, uint64(i)))
		copy(disk[i*MaxChunk+MaxChunk:], text(5*Grain, "some text "))
	}
	disk[size-1] = 9
	for _, codec := range []Codec{None, Zstd} {
		b := write(t, header(0, size, true), Options{Codec: codec}, func(w *Writer) error {
			var group sync.WaitGroup
			errs := make([]error, 8)
			for g := range errs {
				group.Go(func() {
					for i := g; i <= chunks; i += len(errs) {
						from := (chunks - i) * MaxChunk
						errs[g] = errors.Join(errs[g], w.Data(int64(from), disk[from:min(from+MaxChunk, size)]))
					}
				})
			}
			group.Wait()
			return errors.Join(errs...)
		})
		wantDisk(t, image(t, b), disk)
	}
}

func TestCallersBufferIsLeftAlone(t *testing.T) {
	for _, codec := range []Codec{None, Zstd} {
		const size = Grain + 5
		buf := noise(2*Grain, 1)
		before := bytes.Clone(buf)
		write(t, header(0, size, true), Options{Codec: codec}, func(w *Writer) error { return w.Data(0, buf[:size]) })
		if !bytes.Equal(buf, before) {
			t.Errorf("%v: the buffer was changed", codec)
		}
	}
}

func TestCompressionHasToPay(t *testing.T) {
	for _, c := range []struct {
		stored, length int
		pays           bool
	}{
		{60 << 10, Grain, true},        // 15 pages instead of 16
		{60<<10 + 1, Grain, false},     // as many pages
		{972 << 10, MaxChunk, true},    // 243 of 256
		{972<<10 + 1, MaxChunk, false}, // 244 of 256 is 4.7%
		{100, 4000, false},             // a page is a page
		{5000, 5000, false},
	} {
		if pays(c.stored, c.length) != c.pays {
			t.Errorf("%d in %d: expected %v", c.length, c.stored, c.pays)
		}
	}
	f := open(t, write(t, header(0, 2*MaxChunk, true), Options{Codec: Zstd}, func(w *Writer) error {
		return errors.Join(w.Data(0, noise(MaxChunk, 1)), w.Data(MaxChunk, text(MaxChunk, "text")))
	}))
	if e := f.Entries(); len(e) != 2 || e[0].Codec != None || e[1].Codec != Zstd {
		t.Errorf("found %+v", e)
	}
}

func TestNames(t *testing.T) {
	for _, c := range []Codec{None, Zstd, LZ4} {
		if found, err := ParseCodec(c.String()); found != c || err != nil {
			t.Errorf("%v: found %v, %v", c, found, err)
		}
	}
	if _, err := ParseCodec("gzip"); err == nil {
		t.Error("gzip is no codec")
	}
	k, err := ParseKey(testKey)
	if err != nil || k.String() != testKey || k != open(t, smallFile(t)).Key() {
		t.Errorf("key %v, %v", k, err)
	}
}
