package format

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/zeebo/xxh3"
)

// Check looks for everything that can be wrong with a file and reports every
// violation, in no particular order, one call at a time. Without readData it
// looks at header, hashes, index and footer; with it also at every byte of the
// chunks and the gaps between them, and compares the decoded data with the
// hashes, on all cores. The error is the context's; what cannot be read is
// reported as such (Damage.Unread), and the rest is checked.
func (f *File) Check(ctx context.Context, readData bool, report func(Damage)) error {
	c := &checker{File: f, report: report}
	return c.run(ctx, readData)
}

// CheckRetired is Check for a file that lives only because others name chunks in
// it. Its index does not count any more, so a chunk may also be NUL throughout:
// then it was punched out. Those that others name, their own Check reads. The file
// is size bytes long.
func CheckRetired(ctx context.Context, r io.ReaderAt, size int64, readData bool, report func(Damage)) error {
	f, err := openFile(r, size, nil)
	if err != nil {
		report(DamageOf(err))
		return ctx.Err()
	}
	c := &checker{File: f, retired: true, report: report}
	return c.run(ctx, readData)
}

func (c *checker) run(ctx context.Context, readData bool) error {
	for _, d := range c.Damage() {
		c.report(d)
	}
	if err := c.hashes(ctx); err != nil {
		return err
	}
	c.order()
	if !readData {
		return ctx.Err()
	}
	sideBySide(ctx, runtime.GOMAXPROCS(0), c.chunks)
	return ctx.Err()
}

// sideBySide runs f n times at once. A panic in one ends the others and is
// raised again here, with its stack: left in its goroutine it would end the
// process, with an exit code that means something else.
func sideBySide(ctx context.Context, n int, f func(context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var workers sync.WaitGroup
	bugs := make([]string, n)
	for i := range bugs {
		workers.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					bugs[i] = fmt.Sprintf("%v\n%s", p, debug.Stack())
					cancel()
				}
			}()
			f(ctx)
		})
	}
	workers.Wait()
	if bug := cmp.Or(bugs...); bug != "" {
		panic(bug)
	}
}

type checker struct {
	*File
	retired   bool    // chunks may have been punched out
	places    []int32 // entries of data by slot, then in the order of the file
	own       int     // the first so many are chunks of this file
	next      atomic.Int64
	badHashes bool

	mu     sync.Mutex
	report func(Damage)
}

func (c *checker) damage(offset, length int64, message string, args ...any) {
	c.found(Damage{Offset: offset, Length: length, Detail: fmt.Sprintf(message, args...)})
}

func (c *checker) found(d Damage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report(d)
}

// hashes checks the sum of the hashes and the gap behind them.
func (c *checker) hashes(ctx context.Context) error {
	sum := xxh3.New128()
	buf := make([]byte, min(MaxChunk, 8*c.footer.hashCount))
	end := c.footer.hashes + 8*c.footer.hashCount
	for at := c.footer.hashes; at < end && ctx.Err() == nil; at += int64(len(buf)) {
		buf = buf[:min(int64(len(buf)), end-at)]
		if err := readFull(c.r, buf, at); err != nil {
			c.badHashes = !IsUnread(err)
			c.found(newDamage(0, 0, "hashes: ", err))
			return nil
		}
		_, _ = sum.Write(buf) // a hash takes everything
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if found := toSum(sum.Sum128()); found != c.footer.hashesSum {
		c.badHashes = true
		c.damage(0, 0, "hashes at %d hash to %x, expected %x", c.footer.hashes, found, c.footer.hashesSum)
	}
	c.gap(end, c.footer.index)
	return nil
}

// gap checks that a range of the file is NUL.
func (c *checker) gap(from, to int64) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for from < to {
		b := (*buf)[:min(MaxChunk, to-from)]
		if err := readFull(c.r, b, from); err != nil {
			c.found(newDamage(0, 0, "gap: ", err))
			return
		}
		if !IsZero(b) {
			c.damage(0, 0, "gap at %d of the file is not NUL", from+int64(firstByte(b)))
			return
		}
		from += int64(len(b))
	}
}

// firstByte is the position of the first byte that is not NUL.
func firstByte(b []byte) int { return bytes.IndexFunc(b, func(r rune) bool { return r != 0 }) }

// order sorts the chunks by their place and finds those that share bytes. What
// lies in files that are not there is left out: that they are not is reported, and
// what a retired file had in others is of no concern.
func (c *checker) order() {
	entries := c.index.entries
	for i, e := range entries {
		if !e.Zero && (e.Slot == 0 || c.slots[e.Slot-1].err == nil) {
			c.places = append(c.places, int32(i))
		}
	}
	slices.SortFunc(c.places, func(a, b int32) int {
		return cmp.Or(cmp.Compare(entries[a].Slot, entries[b].Slot), cmp.Compare(entries[a].FileOffset, entries[b].FileOffset))
	})
	slot, end := uint16(0), c.footer.headerEnd
	for k, i := range c.places {
		e := entries[i]
		if e.Slot == 0 {
			c.own = k + 1
		}
		if e.Slot != slot {
			slot, end = e.Slot, 0
		}
		if e.FileOffset < end {
			c.damage(e.Offset, e.Length, "chunk at %d of the file lies in the one before, which ends at %d", e.FileOffset, end)
		}
		end = max(end, padded(e.FileOffset+int64(e.Stored)))
	}
}

// chunks checks chunks, and the gap behind each in this file, until none is left.
func (c *checker) chunks(ctx context.Context) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for ctx.Err() == nil {
		k := c.next.Add(1) - 1
		if k > int64(len(c.places)) {
			return
		}
		from, to := c.footer.headerEnd, c.footer.hashes
		if k > 0 {
			e := c.index.entries[c.places[k-1]]
			from = e.FileOffset + int64(e.Stored)
			c.chunk(e, (*buf)[:e.Length])
		}
		if k > int64(c.own) {
			continue
		}
		if k < int64(c.own) {
			to = c.index.entries[c.places[k]].FileOffset
		}
		if len(c.index.lost) > 0 { // chunks that no page names lie between
			to = min(to, padded(from))
		}
		c.gap(from, to)
	}
}

// isPunched says whether the place of a chunk is NUL.
func (c *checker) isPunched(e Entry) (bool, error) {
	stored := make([]byte, e.Stored)
	err := readFull(c.r, stored, e.FileOffset)
	return err == nil && IsZero(stored), err
}

// chunk checks the sum of a chunk and the hashes of its grains.
func (c *checker) chunk(e Entry, data []byte) {
	if err := c.ReadChunk(e, data); err != nil {
		if c.retired && !IsUnread(err) {
			punched, failed := c.isPunched(e)
			if punched {
				return
			}
			err = cmp.Or(failed, err)
		}
		if cause := errors.Unwrap(err); cause != nil && !IsUnread(err) {
			err = cause // around it is what Damage says itself
		}
		c.found(newDamage(e.Offset, e.Length, "", err))
		return
	}
	var room [8 * MaxChunk / Grain]byte
	hashes := room[:8*e.Grains()]
	if err := readFull(c.r, hashes, c.footer.hashes+8*e.firstHash); err != nil {
		c.found(newDamage(0, 0, fmt.Sprintf("hashes of the chunk at %d: ", e.Offset), err))
		return
	}
	for i := range e.Grains() {
		grain := data[i*Grain : min((i+1)*Grain, len(data))]
		expected := binary.LittleEndian.Uint64(hashes[8*i:])
		found, at := GrainHash(c.key, grain), e.Offset+int64(i)*Grain
		switch {
		case found == expected:
		case c.badHashes: // the chunk's own sum is right, so the hash is what is wrong
			c.damage(0, 0, "grain at %d hashes to %016x, found the hash %016x", at, found, expected)
		default:
			c.damage(at, int64(len(grain)), "grain hashes to %016x, expected %016x", found, expected)
		}
	}
}
