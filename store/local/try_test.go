package local_test

import (
	"bytes"
	"crypto/rand"
	"os"
	"sync"
	"testing"
	"time"

	"vbk/store/local"
)

// TestInitTogether: of any number of inits one marks, and all open its store.
func TestInitTogether(t *testing.T) {
	dir := t.TempDir()
	const many = 20
	var all [many]*local.Store
	var errs [many]error
	var group sync.WaitGroup
	for i := range many {
		group.Go(func() { all[i], errs[i] = local.Init(dir, time.Now(), rand.Reader) })
	}
	group.Wait()
	for i, s := range all {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		if s.ID() != all[0].ID() {
			t.Errorf("two ids: %s and %s", s.ID(), all[0].ID())
		}
	}
	before, err := os.ReadFile(dir + "/vbk.json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := local.Init(dir, time.Now(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(dir + "/vbk.json")
	left, err2 := os.ReadDir(dir)
	if err != nil || err2 != nil || !bytes.Equal(before, after) || len(left) != 1 {
		t.Errorf("another init changes the mark or leaves %v (%v, %v)", left, err, err2)
	}
}
