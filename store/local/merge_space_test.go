package local_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"vbk/format"
	"vbk/store/local"
	"vbk/store/storetest"
)

// TestMergeMovesNoData merges a full of 2 GiB (in a quick run 256 MiB) with an
// increment where files can share ranges, and one of 64 MiB where holes can be punched: neither needs more
// space than before, nor writes more than an index.
func TestMergeMovesNoData(t *testing.T) {
	full := int64(256 << 20)
	if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
		full = 2 << 30
	}
	t.Run("reflink", func(t *testing.T) { movesNoData(t, storetest.NewLoop(t, "xfs", 3<<30).Dir, full, true) })
	t.Run("holes", func(t *testing.T) { movesNoData(t, t.TempDir(), 64<<20, false) })
}

func movesNoData(t *testing.T, dir string, size int64, reflink bool) {
	w := newWorld(1)
	s, err := local.Init(filepath.Join(dir, "store"), start, w.random)
	if err != nil {
		t.Fatal(err)
	}
	f := lock(t, s)
	m := w.newChain(s.ID(), 1)
	chunk := make([]byte, format.MaxChunk)
	if _, err := io.ReadFull(w.random, chunk); err != nil {
		t.Fatal(err)
	}
	for _, step := range []int64{1, 16} { // all of it, then every 16th MiB
		m, err = w.write(f, m, func(out *format.Writer) error {
			for at := int64(0); at < size; at += step * format.MaxChunk {
				chunk[0], chunk[1], chunk[2] = byte(at>>20), byte(at>>28), byte(step)
				if err := out.Data(at, chunk); err != nil {
					return err
				}
			}
			return nil
		}, size)
		if err == nil {
			err = f.Commit(ctx, m)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	before := used(t, dir, s)
	if merged, err := w.mergeFirst(s, f, m); err != nil {
		t.Fatal(err)
	} else {
		m = merged
	}
	if err := f.Commit(ctx, m); err != nil {
		t.Fatal(err)
	}
	if grown := used(t, dir, s) - before; grown > size/256 {
		t.Errorf("the merge took %d bytes more", grown)
	}
	if shares := m.Points[0].Disks[0].Shares; reflink != (len(shares) == 0) {
		t.Errorf("chunks lie in %v", shares)
	}
	if err := f.Trim(ctx, m.Chain); err != nil {
		t.Fatal(err)
	}
	freed := int64(0)
	for try := 0; try < 1000 && freed < size/16*9/10; try++ { // XFS frees in the background
		syscall.Sync()
		freed = before - used(t, dir, s)
	}
	if freed < size/16*9/10 {
		t.Errorf("trimming freed %d bytes, expected %d", freed, size/16)
	}
	unlock(t, f)
	if findings, err := s.Check(ctx, folder, false); err != nil || len(findings) > 0 {
		t.Errorf("found %+v, %v", findings, err)
	}
}

// used is the space that the store takes: of its file system if that is its own.
func used(t *testing.T, dir string, s *local.Store) int64 {
	t.Helper()
	var total int64
	err := filepath.Walk(filepath.Join(s.Path(), folder), func(_ string, info os.FileInfo, err error) error {
		if err == nil {
			total += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return err
	})
	var st, parent syscall.Statfs_t
	if err == nil {
		err = errors.Join(syscall.Statfs(dir, &st), syscall.Statfs(filepath.Dir(dir), &parent))
	}
	if err != nil {
		t.Fatal(err)
	}
	if st.Fsid != parent.Fsid {
		total = int64(st.Blocks-st.Bfree) * st.Bsize
	}
	return total
}
