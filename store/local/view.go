package local

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"vbk/format"
	"vbk/store"
)

// kept is how many manifests of a chain stay.
const kept = 3

// view is what one listing of a chain's folder says.
type view struct {
	fsys     FS
	dir      string
	entries  map[string]Entry
	numbers  []int          // of the manifests, rising
	manifest store.Manifest // the newest that is valid; zero if none is
	problems []store.Problem
	stuck    bool // the truth is missing: nothing is added, nothing deleted
	named    map[string]bool
	outdated []int           // manifests of points whose files the newest does not have
	former   map[string]bool // what they name and the newest does not; not all of that was named by vbk
	beside   []string        // what vbk did not make in the folder of verifications, of a chain that is not listed
}

// view looks at a chain's folder until no run has changed it meanwhile. The
// error is fs.ErrNotExist if there is no such folder.
func (s *Store) view(folder, chain string) (*view, error) {
	var before []int
	for try := 0; ; try++ {
		v, err := s.look(folder, chain)
		switch {
		case errors.Is(err, errChanged) && try < 100:
			continue
		case err != nil:
			return nil, err
		case len(v.problems) == 0, try > 0 && slices.Equal(v.numbers, before):
			return v, nil
		}
		before = v.numbers
	}
}

// errChanged: a manifest of the listing is gone.
var errChanged = errors.New("chain is changing")

func (s *Store) look(folder, chain string) (*view, error) {
	v := &view{fsys: s.fsys, dir: path.Join(folder, chain), entries: map[string]Entry{}, named: map[string]bool{}, former: map[string]bool{}}
	list, err := s.fsys.List(v.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		v.entries[e.Name] = e
		if n, ok := store.ParseManifestName(e.Name); ok {
			v.numbers = append(v.numbers, n)
		}
	}
	slices.Sort(v.numbers)
	if err := v.readManifests(s.ID(), chain, list); err != nil {
		return nil, err
	}
	if v.stuck {
		from := 0
		if n := len(v.manifest.Points); n > 0 {
			from = v.manifest.Points[n-1].Sequence + 1
		}
		for i := range v.problems {
			v.problems[i].From = from
		}
		v.manifest.Closed = v.problems[0].Detail
	}
	if err := v.lookBeside(); err != nil {
		return nil, err
	}
	return v, v.compare()
}

// lookBeside looks for what keeps a folder of verifications from going.
func (v *view) lookBeside() error {
	if e, there := v.entries[store.VerifiedFolder]; v.listed() || !there || !e.Mode.IsDir() {
		return nil
	}
	entries, err := v.fsys.List(path.Join(v.dir, store.VerifiedFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return errChanged
	}
	ours := 0
	for _, e := range entries {
		if isRecord(e.Name) {
			ours++
		} else {
			v.beside = append(v.beside, path.Join(store.VerifiedFolder, e.Name))
		}
	}
	if ours == 0 && len(v.beside) > 0 { // it is nobody's of ours any more
		delete(v.entries, store.VerifiedFolder)
	}
	return err
}

// readManifests takes the newest valid manifest; that the newest of all is not
// valid, or is older than the files, is a problem and makes the chain stuck.
func (v *view) readManifests(storeID, chain string, list []Entry) error {
	for i := len(v.numbers) - 1; i >= max(0, len(v.numbers)-kept); i-- {
		name := store.ManifestName(v.numbers[i])
		m, damage := readManifest(v.fsys, v.dir, v.numbers[i])
		switch {
		case errors.Is(damage, fs.ErrNotExist):
			return errChanged
		case format.IsUnread(damage):
			return fmt.Errorf("%s could not be read: %w", name, damage)
		}
		if damage == nil && (m.StoreID != storeID || m.Chain != chain) {
			damage = fmt.Errorf("it belongs to chain %s of store %s", m.Chain, m.StoreID)
		}
		if damage == nil && v.manifest.Number == 0 {
			v.manifest = m
		}
		switch {
		case damage == nil && (m.Number == v.manifest.Number || v.manifest.Deleted):
			v.name(m)
		case damage == nil && v.isNews(m):
			v.outdated = append(v.outdated, m.Number)
			v.remember(m)
		case damage != nil && v.manifest.Number == 0:
			v.stuck = true
			v.problems = append(v.problems, store.Problem{File: name, Detail: damage.Error()})
		}
		if v.manifest.Number > 0 && !v.manifest.Deleted && !slices.ContainsFunc(list, v.isStray) && !v.isMerged() {
			break // the older ones would say nothing new
		}
	}
	if beyond := v.beyond(); beyond != "" && !v.stuck && !v.manifest.Deleted {
		v.stuck = true
		v.problems = append(v.problems, store.Problem{File: beyond,
			Detail: fmt.Sprintf("file is newer than manifest %d: a manifest is missing", v.manifest.Number)})
	}
	return nil
}

// readManifest reads a manifest and says what is wrong with it.
func readManifest(fsys FS, dir string, number int) (store.Manifest, error) {
	data, err := readFile(fsys, path.Join(dir, store.ManifestName(number)), store.MaxManifest)
	if err != nil {
		return store.Manifest{}, err
	}
	m, err := store.DecodeManifest(data)
	if err == nil && m.Number != number {
		err = fmt.Errorf("it says that it is manifest %d", m.Number)
	}
	return m, err
}

func (v *view) name(m store.Manifest) {
	for _, p := range m.Points {
		for _, f := range pointFiles(p) {
			v.named[f.name] = true
		}
	}
}

// isNews says whether a manifest has points whose files the newest does not have
// as its own. That chunks in such a file are still needed makes no difference:
// others are not.
func (v *view) isNews(m store.Manifest) bool {
	own := ownFiles(v.manifest)
	for name := range ownFiles(m) {
		if !own[name] {
			return true
		}
	}
	return false
}

// ownFiles is the files of all points, not those in which these have chunks.
func ownFiles(m store.Manifest) map[string]bool {
	own := map[string]bool{}
	for _, p := range m.Points {
		for _, d := range p.Disks {
			own[d.File] = true
		}
		for _, f := range p.Files {
			own[f.Name] = true
		}
	}
	return own
}

// isMerged says whether points of the chain were merged.
func (v *view) isMerged() bool {
	return slices.ContainsFunc(v.manifest.Points, func(p store.Point) bool { return p.Merged > 0 })
}

// remember notes the files of an outdated manifest.
func (v *view) remember(m store.Manifest) {
	for _, p := range m.Points {
		for _, f := range pointFiles(p) {
			v.former[f.name] = !v.named[f.name]
		}
	}
}

// isOutdated says whether a name is that of an outdated manifest.
func (v *view) isOutdated(name string) bool {
	n, ok := store.ParseManifestName(name)
	return ok && slices.Contains(v.outdated, n)
}

// isStray says whether a file is no manifest, and not listed.
func (v *view) isStray(e Entry) bool {
	_, manifest := store.ParseManifestName(e.Name)
	return !manifest && !isTemporary(e.Name) && !v.named[e.Name] && e.Name != store.VerifiedFolder
}

// limit is the highest sequence that a run can have worked on.
func (v *view) limit() int {
	if n := len(v.manifest.Points); n > 0 {
		return v.manifest.Points[n-1].Sequence + 1
	}
	return 0
}

// beyond is a file that no interrupted run explains: its point must have been
// listed by a manifest that is not there any more.
func (v *view) beyond() string {
	var names []string
	for name := range v.entries {
		if sequence, _, ok := store.ParseFileName(name); ok && !v.named[name] && sequence > v.limit() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// listed says whether the chain counts: it has not been released, and is more
// than what an interrupted first run leaves.
func (v *view) listed() bool { return v.stuck || v.manifest.Number > 0 && !v.manifest.Deleted }

// listing is the chain as a survey shows it.
func (v *view) listing() store.Chain {
	return store.Chain{Name: path.Base(v.dir), Manifest: v.manifest, Problems: v.problems}
}

// leftovers returns the names that may go, sorted; "." is the folder itself.
func (v *view) leftovers() []string {
	if v.stuck {
		return nil
	}
	var names []string
	for name := range v.entries {
		if v.isLeftover(name) {
			names = append(names, name)
		}
	}
	if !v.listed() && len(names) == len(v.entries) && len(v.beside) == 0 {
		names = append(names, ".")
	}
	slices.Sort(names)
	return names
}

func (v *view) isLeftover(name string) bool {
	if n, ok := store.ParseManifestName(name); ok {
		return v.manifest.Deleted || n <= v.manifest.Number-kept || v.isOutdated(name)
	}
	if name == store.VerifiedFolder {
		return !v.listed() && v.entries[name].Mode.IsDir()
	}
	_, _, ours := store.ParseFileName(name)
	return (ours || isTemporary(name)) && !v.named[name] || v.former[name] || v.manifest.Deleted && v.named[name]
}

// pointFile is a file that a point needs.
type pointFile struct {
	name   string
	target string // "" for a file that only the point itself needs
	size   int64  // -1: the manifest does not say
}

func (f pointFile) isSize(size int64) bool { return f.size < 0 || f.size == size }

func pointFiles(p store.Point) []pointFile {
	var files []pointFile
	for _, d := range p.Disks {
		files = append(files, pointFile{d.File, d.Target, d.FileSize})
		for _, name := range d.Shares {
			files = append(files, pointFile{name, d.Target, -1})
		}
	}
	for _, f := range p.Files {
		files = append(files, pointFile{f.Name, "", f.Size})
	}
	return files
}

// compare reports files that are missing or have another size.
func (v *view) compare() error {
	for _, p := range v.manifest.Points {
		for _, f := range pointFiles(p) {
			detail, err := v.wrong(f)
			if err != nil {
				return err
			}
			if detail != "" {
				v.problems = append(v.problems, v.problem(p, f, detail))
			}
		}
	}
	return nil
}

// wrong says what names and sizes tell against a file. The listing may be
// older than the manifest, so the file itself has the last word.
func (v *view) wrong(f pointFile) (detail string, err error) {
	if e, ok := v.entries[f.name]; ok && e.Mode.IsRegular() && f.isSize(e.Size) {
		return "", nil
	}
	e, err := v.fsys.Stat(path.Join(v.dir, f.name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "file is missing", nil
	case format.IsUnread(err):
		return "", err
	case err != nil:
		return err.Error(), nil
	case !e.Mode.IsRegular():
		return "not a regular file", nil
	case !f.isSize(e.Size):
		return fmt.Sprintf("file has %d bytes, %d are recorded", e.Size, f.size), nil
	}
	return "", nil
}

// problem names the points that need the file: those that come from p without
// a newer base of its disk.
func (v *view) problem(p store.Point, f pointFile, detail string) store.Problem {
	needs := map[int]bool{p.Sequence: true}
	last, until := p.Sequence, 0
	for _, q := range v.manifest.Points {
		d, ok := q.Disk(f.target)
		if q.Sequence > p.Sequence && needs[q.Parent] && ok && !d.Base {
			needs[q.Sequence] = true
			last = q.Sequence
		}
	}
	if head := v.limit() - 1; last < head || p.Leaf {
		until = last + 1
	}
	return store.Problem{File: f.name, Detail: detail, From: p.Sequence, Until: until}
}
