package executor_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"vbk/plan"
	"vbk/store/local"
)

// TestStoreIsCopied copies a store again and again, in the way of docs/offsite.md, while
// points are made, merged and deleted in it: every point of every copy is exact.
func TestStoreIsCopied(t *testing.T) {
	if _, err := exec.LookPath("rsync"); err != nil {
		if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	for _, prune := range []string{"chain", "merge"} {
		t.Run(prune, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			original := filepath.Join(dir, "store")
			if err := os.Mkdir(original, 0o700); err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, t.TempDir(), 3)
			var err error
			if w.fs, err = local.OpenFS(original); err != nil {
				t.Fatal(err)
			}
			if _, err := local.InitOn(w.fs, "store", w.now, w.random()); err != nil {
				t.Fatal(err)
			}
			w.policy().Compression.Codec = "none"
			w.policy().Retention.Prune, w.policy().Chain.MaxIncrements = prune, 4
			w.define(map[string]int64{"vda": 3<<20 + 512, "vdb": 70 << 10})

			for n := range 5 {
				done := make(chan struct{})
				go func() {
					defer close(done)
					copied := filepath.Join(dir, fmt.Sprint("copy", n))
					args := []string{original, "rsync", "-a", "--link-dest", filepath.Join(dir, fmt.Sprint("copy", n-1)), "./", copied + "/"}
					if out, err := exec.Command("../examples/offsite/still", args...).CombinedOutput(); err != nil {
						t.Errorf("%v: %v\n%s", args, err, out)
					} else {
						w.exactIn(t, copied)
					}
				}()
				for range 6 {
					if r := w.apply(plan.Options{}); r.Failed > 0 {
						t.Errorf("%v", w.failure())
					}
					w.nextDay()
				}
				<-done
			}
			if left, err := filepath.Glob(original + ".still*"); err != nil || len(left) != 1 {
				t.Errorf("left: %v %v", left, err) // the lock
			}
		})
	}
}

// exactIn wants a copy of the store to be without fault, and its points to hold what
// their checkpoints saw.
func (w *world) exactIn(t *testing.T, dir string) {
	s, err := local.OpenPath(dir)
	if err != nil {
		t.Error(err)
		return
	}
	domains, err := s.Domains(w.ctx())
	if err != nil {
		t.Error(err)
	}
	for _, d := range domains {
		findings, err := s.Check(w.ctx(), d.Folder, true)
		if err != nil || len(findings) > 0 {
			t.Errorf("check of the copy found %+v: %v", findings, err)
		}
		for _, c := range d.Chains {
			for _, p := range c.Manifest.Points {
				w.mu.Lock()
				saw := w.taken[p.Attempt]
				w.mu.Unlock()
				for target, want := range saw {
					got, err := readIn(s, located{d.Folder, c.Name, p}, target)
					if err != nil || !bytes.Equal(got, want) {
						t.Errorf("point %s.%d of the copy: disk %s differs: %v", c.Name, p.Sequence, target, err)
					}
				}
			}
		}
	}
}
