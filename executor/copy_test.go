package executor

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"vbk/format"
	"vbk/nbd"
)

// memory is a source and a sink of bytes.
type memory struct {
	content []byte
	extents []Extent
	mu      sync.Mutex
	seen    []byte // how often a byte was delivered
	read    func(ctx context.Context) error
	data    func() error
	list    func(extents []Extent) []Extent
}

func (m *memory) Size() int64 { return int64(len(m.content)) }

func (m *memory) Extents(_ context.Context, offset, length int64) ([]Extent, error) {
	var all []Extent
	for _, e := range m.extents {
		from, to := max(e.Offset, offset), min(e.Offset+e.Length, offset+length)
		if from < to {
			all = append(all, Extent{from, to - from, e.Zero})
		}
	}
	if m.list != nil {
		all = m.list(all)
	}
	return all, nil
}

func (m *memory) Read(ctx context.Context, pieces []Piece) error {
	if m.read != nil {
		if err := m.read(ctx); err != nil {
			return err
		}
	}
	for _, p := range pieces {
		copy(p.Data, m.content[p.Offset:])
	}
	return nil
}

func (m *memory) Data(offset int64, data []byte) error {
	if m.data != nil {
		if err := m.data(); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	copy(m.content[offset:], data)
	for i := range data {
		m.seen[int(offset)+i]++
	}
	return nil
}

func (m *memory) Zero(offset, length int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.content[offset : offset+length])
	for i := range length {
		m.seen[offset+i]++
	}
	return nil
}

func newMemory(size int) *memory {
	return &memory{content: make([]byte, size), seen: make([]byte, size)}
}

// someSource has a disk of many small and some large extents.
func someSource(size int, seed uint64) *memory {
	r := rand.New(rand.NewPCG(seed, 0))
	src := newMemory(size)
	for i := range src.content {
		src.content[i] = byte(1 + i%251)
	}
	for at := int64(0); at < int64(size); {
		n := min(int64(size)-at, 1+r.Int64N(3*chunkSize)>>r.IntN(14))
		if r.IntN(3) > 0 {
			src.extents = append(src.extents, Extent{at, n, r.IntN(4) == 0})
		}
		at += n
	}
	return src
}

// TestCopy: every byte that is listed arrives, once, and no other.
func TestCopy(t *testing.T) {
	for _, size := range []int{0, 1, format.Grain, chunkSize - 1, chunkSize + 1, 70*chunkSize + 12345} {
		src, dst := someSource(size, uint64(size)), newMemory(size)
		var done counter
		if err := Copy(t.Context(), dst, src, func(n int64) { done.add(n) }); err != nil {
			t.Fatal(err)
		}
		want, times, total := make([]byte, size), make([]byte, size), int64(0)
		for _, e := range src.extents {
			total += e.Length
			for i := e.Offset; i < e.Offset+e.Length; i++ {
				times[i] = 1
				if !e.Zero {
					want[i] = src.content[i]
				}
			}
		}
		if !bytes.Equal(dst.content, want) || !bytes.Equal(dst.seen, times) || done.add(0) != total {
			t.Errorf("a copy of %d bytes differs, or told of %d bytes instead of %d", size, done.add(0), total)
		}
	}
}

// TestCopyFails: the first failure ends a copy, whoever has it, and no goroutine
// stays: synctest waits for all of them.
func TestCopyFails(t *testing.T) {
	injected := errors.New("injected")
	fail := func() error { return injected }
	for name, c := range map[string]struct {
		spoil func(cancel func(), src, dst *memory)
		want  error
	}{
		"read":        {func(_ func(), src, _ *memory) { src.read = func(context.Context) error { return injected } }, injected},
		"data":        {func(_ func(), _, dst *memory) { dst.data = fail }, injected},
		"read panics": {func(_ func(), src, _ *memory) { src.read = func(context.Context) error { panic(injected) } }, nil},
		"data panics": {func(_ func(), _, dst *memory) { dst.data = func() error { panic(injected) } }, nil},
		"cancelled":   {func(cancel func(), _, dst *memory) { dst.data = func() error { cancel(); return nil } }, context.Canceled},
		"stalled":     {func(cancel func(), src, _ *memory) { src.read = stall(cancel) }, context.Canceled},
		"outside": {func(_ func(), src, _ *memory) {
			src.list = func(e []Extent) []Extent { return append(e, Extent{src.Size(), 1, false}) }
		}, nil},
		"overlap": {func(_ func(), src, _ *memory) { src.list = func(e []Extent) []Extent { return append(e, e[0]) } }, nil},
		"overflow": {func(_ func(), src, _ *memory) {
			src.list = func(e []Extent) []Extent { return []Extent{{1, 1<<63 - 1, false}} }
		}, nil},
		"empty": {func(_ func(), src, _ *memory) {
			src.list = func(e []Extent) []Extent { return []Extent{{0, 0, false}} }
		}, nil},
		"negative zero": {func(_ func(), src, _ *memory) {
			src.list = func(e []Extent) []Extent { return []Extent{{-1, 5, true}} }
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				src, dst := someSource(70*chunkSize, 9), newMemory(70*chunkSize)
				c.spoil(cancel, src, dst)
				err := Copy(ctx, dst, src, func(int64) {})
				if err == nil || c.want != nil && !errors.Is(err, c.want) {
					t.Errorf("copy ended with %v, want %v", err, c.want)
				}
			})
		})
	}
}

// stall is a server that stops to answer while somebody cancels.
func stall(cancel func()) func(context.Context) error {
	return func(ctx context.Context) error {
		go cancel()
		<-ctx.Done()
		return ctx.Err()
	}
}

// TestGrains compares rounding with what it means, grain by grain.
func TestGrains(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 20000 {
		offset := r.Int64N(3) * window
		var found []nbd.Extent
		var length int64
		for range 1 + r.IntN(12) {
			n := []int64{1 + r.Int64N(300), 128}[r.IntN(2)] * 512
			found = append(found, nbd.Extent{Offset: offset + length, Length: n, Zero: r.IntN(2) == 0, Dirty: r.IntN(2) == 0})
			length += n
		}
		takes := []part{holdsData, isDirty, everything}[r.IntN(3)]
		got, err := grains(found, offset, length, takes)
		if want := slowGrains(found, offset, length, takes); err != nil || !slices.Equal(got, want) {
			t.Fatalf("grains of %v\nare %v, %v\nwant %v", found, got, err, want)
		}
	}
}

func slowGrains(found []nbd.Extent, offset, length int64, takes part) []Extent {
	var all []Extent
	for at := offset; at < offset+length; at += format.Grain {
		end := min(at+format.Grain, offset+length)
		zero, taken := true, false
		for _, e := range found {
			if e.Offset < end && e.Offset+e.Length > at {
				zero, taken = zero && e.Zero, taken || takes(e)
			}
		}
		if !taken {
			continue
		}
		if n := len(all) - 1; n >= 0 && all[n].Zero == zero && all[n].Offset+all[n].Length == at {
			all[n].Length += end - at
		} else {
			all = append(all, Extent{at, end - at, zero})
		}
	}
	return all
}

// FuzzGrains: block status from outside is rounded to what a copy takes, or
// refused.
func FuzzGrains(f *testing.F) {
	f.Add(int64(0), int64(65536), int64(65536), int64(4096), uint8(3))
	f.Add(int64(0), int64(1<<62), int64(1<<62), int64(1<<62), uint8(1))
	f.Add(int64(65536), int64(-1), int64(0), int64(512), uint8(2))
	f.Fuzz(func(t *testing.T, offset, a, second, b int64, flags uint8) {
		found := []nbd.Extent{
			{Offset: 0, Length: a, Zero: flags&1 > 0, Dirty: flags&2 > 0},
			{Offset: second, Length: b, Zero: flags&4 > 0, Dirty: flags&8 > 0},
		}
		const length = 10*format.Grain + 512
		got, err := grains(found, 0, length, []part{holdsData, isDirty, everything}[flags>>4%3])
		if err != nil {
			return
		}
		if a+b != length || second != a {
			t.Fatalf("extents of %d+%d bytes were taken for %d", a, b, length)
		}
		if err := checkExtents(got, 0, length); err != nil {
			t.Fatal(err)
		}
	})
}
