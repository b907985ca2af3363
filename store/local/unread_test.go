package local_test

import (
	"bytes"
	"fmt"
	"hash/adler32"
	"os"
	"path"
	"strings"
	"syscall"
	"testing"

	"vbk/format"
	"vbk/store"
	"vbk/store/local"
	"vbk/store/storetest"
)

// unreadables are what a system says that cannot read.
var unreadables = []error{syscall.EIO, syscall.EMFILE, syscall.ESTALE, syscall.EACCES, syscall.ENOMEM}

// eachUnreadable runs test with a store each of whose reads fails in turn, alone or
// with all that follow, until none does.
func eachUnreadable(t *testing.T, disk local.FS, test func(t *testing.T, s *local.Store, fired func() bool)) {
	for n := range 2 * len(unreadables) {
		fsys := &storetest.Unreadable{FS: disk, Err: unreadables[n/2], Last: n%2 > 0}
		for at := 1; ; at++ {
			fsys = &storetest.Unreadable{FS: disk, Err: fsys.Err, Last: fsys.Last, At: at}
			s, err := local.OpenOn(fsys, "test")
			if err != nil {
				if !format.IsUnread(err) {
					t.Fatalf("open: %v", err)
				}
				continue
			}
			test(t, s, fsys.Fired)
			if t.Failed() {
				t.Fatalf("read %d, %v, with all that follow: %v", at, fsys.Err, fsys.Last)
			}
			if !fsys.Fired() {
				break
			}
		}
	}
}

// TestUnreadIsNoDamage: whichever read of a store fails, a survey, a check and a
// verification say so, and none finds damage in a chain that has none.
func TestUnreadIsNoDamage(t *testing.T) {
	merged, w := withHistory(t, false)
	if err := w.run(merged); err != nil {
		t.Fatal(err)
	}
	for name, disk := range map[string]*storetest.Disk{"merged": merged, "stream": streamDisk(t)} {
		chain, sequence := "", 0
		t.Run(name+", survey", func(t *testing.T) {
			eachUnreadable(t, disk, func(t *testing.T, s *local.Store, fired func() bool) {
				d, err := s.Domain(ctx, folder)
				wantUnread(t, err, fired())
				for _, c := range d.Chains {
					chain, sequence = c.Name, c.Manifest.Points[len(c.Manifest.Points)-1].Sequence
					if len(c.Problems) > 0 || c.Manifest.Closed != "" {
						t.Errorf("found %+v, closed %q", c.Problems, c.Manifest.Closed)
					}
				}
			})
		})
		t.Run(name+", check", func(t *testing.T) {
			eachUnreadable(t, disk, func(t *testing.T, s *local.Store, fired func() bool) {
				findings, err := s.Check(ctx, folder, true)
				for _, f := range findings {
					if !f.Unread || f.From != store.NoPoint {
						t.Errorf("found %+v", f)
					}
				}
				if len(findings) == 0 || err != nil {
					wantUnread(t, err, fired())
				}
			})
		})
		t.Run(name+", verify", func(t *testing.T) {
			eachUnreadable(t, disk, func(t *testing.T, s *local.Store, fired func() bool) {
				found, err := s.VerifyPoint(ctx, folder, chain, sequence, nil)
				wantUnread(t, err, fired())
				if len(found.Problems) > 0 {
					t.Errorf("found %+v", found.Problems)
				}
			})
		})
	}
}

// wantUnread wants an error exactly if a read failed.
func wantUnread(t *testing.T, err error, fired bool) {
	t.Helper()
	if fired != (err != nil) || fired && !format.IsUnread(err) {
		t.Errorf("fired %v: %v", fired, err)
	}
}

// streamDisk holds a chain with a file of virtnbdbackup, compressed, and its sum.
func streamDisk(t *testing.T) *storetest.Disk {
	t.Helper()
	text, err := os.ReadFile("../../format/testdata/streams/v2-lz4-full.data")
	if err != nil {
		t.Fatal(err)
	}
	stream, err := format.OpenStream(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	tail, err := format.TailHash(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	disk, w := storetest.NewDisk(), newWorld(1)
	s := w.init(t, disk)
	m := adopted(w, s, int64(len(text)))
	h, p := stream.Header(), &m.Points[0]
	p.Disks[0] = store.PointDisk{Target: h.Disk, File: h.Disk + ".full.data", Base: true, Size: h.Size, FileSize: int64(len(text)), Data: h.Data, FooterHash: fmt.Sprintf("%016x", tail)}
	for _, e := range stream.Entries() {
		p.Disks[0].Stored += int64(e.Stored)
	}
	sum := fmt.Append(nil, adler32.Checksum(text))
	p.Files = []store.File{{Name: p.Disks[0].File + ".chksum", Size: int64(len(sum)), Hash: store.Hash(sum)}}
	f := lock(t, s)
	defer unlock(t, f)
	for name, text := range map[string][]byte{p.Disks[0].File: text, p.Files[0].Name: sum} {
		from := storetest.NewDisk()
		put(t, from, name, string(text))
		if _, err := f.Adopt(m.Chain, from, name, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Commit(ctx, m); err != nil {
		t.Fatal(err)
	}
	clean(t, s)
	return disk
}

// TestUnreadKeepsKnownDamage: what a verification has found is not forgotten because
// its record cannot be read.
func TestUnreadKeepsKnownDamage(t *testing.T) {
	_, disk, s, m := damaged(t)
	found := store.Verified{Sequence: 1, Attempt: m.Points[1].Attempt, Read: start,
		Problems: []store.Problem{{File: m.Points[1].Disks[0].File, Detail: "a grain", From: 1}}}
	if err := s.RecordVerified(ctx, folder, m.Chain, "test", []store.Verified{found}); err != nil {
		t.Fatal(err)
	}
	eachUnreadable(t, disk, func(t *testing.T, s *local.Store, fired func() bool) {
		d, err := s.Domain(ctx, folder)
		wantUnread(t, err, fired())
		if err == nil && (len(d.Chains) != 1 || len(d.Chains[0].Problems) != 1) {
			t.Errorf("found %+v", d.Chains)
		}
	})
}

// TestUnreadRebuildsNothing: a manifest is not made anew without the points whose
// files cannot be read just now, and none of these is set aside.
func TestUnreadRebuildsNothing(t *testing.T) {
	for at, fired := 1, true; fired; at++ {
		_, disk, _, m := damaged(t)
		lose(t, disk, m, 2, 3, 4)
		fsys := &storetest.Unreadable{FS: disk, Err: syscall.EMFILE, At: at}
		s, err := local.OpenOn(fsys, "test")
		var f *local.Folder
		if err == nil {
			f, err = s.Lock(ctx, folder, rec(1))
		}
		if err == nil {
			var left []local.LeftOut
			m, left, err = f.Rebuild(ctx, m.Chain, start, "test")
			if err == nil && (len(left) > 0 || len(m.Points) != 4) {
				t.Errorf("read %d: rebuilt %v, left out %+v", at, sequences(m), left)
			}
		}
		if fired = fsys.Fired(); !fired && err != nil {
			t.Fatal(err)
		}
		for _, name := range names(t, disk, path.Join(folder, m.Chain)) {
			if strings.HasPrefix(name, "left-out") {
				t.Errorf("read %d: %v, and %s", at, err, name)
			}
		}
	}
}

// TestRottenSector: a disk that gives no data for one file, for real. The file that
// has it is named, the rest is found sound, and the chain is not closed.
func TestRottenSector(t *testing.T) {
	loop := storetest.NewLoop(t, "btrfs", 128<<20)
	fsys, err := local.OpenFS(loop.Dir)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(1)
	s := w.init(t, fsys)
	m := w.chainOf(t, s, 2)
	file := path.Join(folder, m.Chain, m.Points[1].Disks[0].File)
	text := read(t, fsys, file)
	rotten, err := local.OpenFS(loop.Rot(t, text[len(text)/3:][:64]).Dir)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = local.OpenOn(rotten, "test"); err != nil {
		t.Fatal(err)
	}
	findings, err := s.Check(ctx, folder, true)
	if err != nil || len(findings) != 1 || !findings[0].Unread || findings[0].File != path.Base(file) ||
		!strings.Contains(findings[0].Detail, "input/output error; the file could be opened, so that this is its disk") {
		t.Errorf("found %+v, %v", findings, err)
	}
	if found, err := s.VerifyPoint(ctx, folder, m.Chain, 1, nil); !format.IsUnread(err) || len(found.Problems) > 0 {
		t.Errorf("found %+v, %v", found, err)
	}
	if found, err := s.VerifyPoint(ctx, folder, m.Chain, 0, nil); err != nil || len(found.Problems) > 0 {
		t.Errorf("found %+v, %v", found, err)
	}
	if c := domain(t, s).Chains[0]; len(c.Problems) > 0 || c.Manifest.Closed != "" {
		t.Errorf("the chain has %+v, closed %q", c.Problems, c.Manifest.Closed)
	}
}

// TestUnreadHidesNoDamage: damage in one file of a point is found and recorded where
// another cannot be read, and what was known of that one is not forgotten.
func TestUnreadHidesNoDamage(t *testing.T) {
	_, disk, _, m := damaged(t)
	vda, _ := m.Points[2].Disk("vda")
	vdb, _ := m.Points[2].Disk("vdb")
	known := store.Verified{Sequence: 2, Attempt: m.Points[2].Attempt, Read: start, Problems: []store.Problem{{File: vdb.File, Detail: "a grain", From: 2}}}
	if err := disk.Flip(path.Join(folder, m.Chain, vda.File), 4096+5); err != nil {
		t.Fatal(err)
	}
	both := 0
	for at, fired := 1, true; fired; at++ {
		crashed := disk.Crash(storetest.Keep)
		sound, err := local.OpenOn(crashed, "test")
		if err == nil {
			err = sound.RecordVerified(ctx, folder, m.Chain, "test", []store.Verified{known})
		}
		if err != nil {
			t.Fatal(err)
		}
		fsys := &storetest.Unreadable{FS: crashed, Err: syscall.EIO, At: at}
		s, err := local.OpenOn(fsys, "test")
		if err != nil {
			continue
		}
		found, err := s.VerifyPoint(ctx, folder, m.Chain, 2, nil)
		fired = fsys.Fired()
		wantUnread(t, err, fired)
		if !fired || len(found.Problems) == 0 {
			continue
		}
		if both++; !found.Unread {
			t.Errorf("read %d: all was read", at)
		}
		if err := sound.RecordVerified(ctx, folder, m.Chain, "test", []store.Verified{found}); err != nil {
			t.Fatal(err)
		}
		files := map[string]bool{}
		for _, p := range domain(t, sound).Chains[0].Problems {
			files[p.File] = true
		}
		if !files[vda.File] || !files[vdb.File] {
			t.Errorf("read %d: known to be damaged are %v", at, files)
		}
	}
	if both == 0 {
		t.Error("no read has failed beside the damage")
	}
}
