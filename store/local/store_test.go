package local_test

import (
	"errors"
	"path"
	"strings"
	"testing"
	"time"

	"vbk/store"
	"vbk/store/local"
	"vbk/store/storetest"
)

func TestInit(t *testing.T) {
	dir := path.Join(t.TempDir(), "store")
	if _, err := local.Open(dir); err == nil {
		t.Error("opened nothing")
	}
	first, err := local.Init(dir, start, newWorld(1).random)
	if err != nil {
		t.Fatal(err)
	}
	again, err := local.Init(dir, start.Add(time.Hour), newWorld(2).random)
	if err != nil || again.Mark() != first.Mark() {
		t.Errorf("init again: %+v, %v", again, err)
	}
	opened, err := local.Open(dir)
	if err != nil || opened.ID() != first.ID() || opened.Path() != dir || !store.IsID(opened.ID()) {
		t.Errorf("open: %+v, %v", opened, err)
	}
	if err := opened.Writable(); err != nil {
		t.Error(err)
	}
	if d, err := opened.Domains(ctx); err != nil || len(d) > 0 {
		t.Errorf("domains: %v, %v", d, err)
	}
	if _, err := local.Init(path.Join(dir, "a", "b"), start, newWorld(1).random); err == nil {
		t.Error("made more than one folder")
	}
	if _, err := local.Init("", start, newWorld(1).random); err == nil {
		t.Error("an empty name is the current folder")
	}
	durable := storetest.NewDisk()
	marked := newWorld(1).init(t, durable)
	if s, err := local.OpenOn(durable.Crash(storetest.Lose), "x"); err != nil || s.Mark() != marked.Mark() {
		t.Errorf("after a power failure: %v", err)
	}
	disk := storetest.NewDisk()
	if _, err := local.OpenOn(disk, "x"); !errors.Is(err, store.ErrNotMarked) {
		t.Error(err)
	}
	put(t, disk, "somebody's file", "")
	if _, err := local.InitOn(disk, "x", start, newWorld(1).random); err == nil {
		t.Error("marked a folder that holds something")
	}
	put(t, disk, "vbk.json", `{"format_version": 9}`)
	for _, open := range []func() (*local.Store, error){
		func() (*local.Store, error) { return local.OpenOn(disk, "x") },
		func() (*local.Store, error) { return local.InitOn(disk, "x", start, newWorld(1).random) },
	} {
		if _, err := open(); err == nil || !strings.Contains(err.Error(), "format version 9") {
			t.Error(err)
		}
	}
}
