package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"vbk/format"
	"vbk/store"
)

// Check looks for everything that can be wrong in a domain's folder and
// returns every violation: what a survey sees, and modes, foreign names,
// numbers, hashes and the structure of every data file; with readData every
// byte of them too. A file that cannot be read is a finding that is Unread, and no
// damage. The error is that the check could not be done.
func (s *Store) Check(ctx context.Context, folder string, readData bool) ([]store.Finding, error) {
	c := &checker{s: s, ctx: ctx, readData: readData, read: s.read}
	if err := c.folder(folder); err != nil {
		return c.findings, fmt.Errorf("check %s: %w", folder, err)
	}
	return c.findings, nil
}

// CheckRoot looks for what vbk did not make beside the folders of the domains,
// which Check looks at one by one. Nothing it finds keeps a point from being
// restored. The error is that the store cannot be listed.
func (s *Store) CheckRoot() ([]store.Finding, error) {
	entries, err := s.fsys.List(".")
	if err != nil {
		return nil, fmt.Errorf("check store %s: %w", s.path, err)
	}
	c := &checker{s: s}
	for _, e := range entries {
		switch {
		case e.Name == markName && e.Mode.IsRegular(), e.Name == "lost+found", e.Mode.IsDir() && store.IsFolderName(e.Name):
		case strings.HasPrefix(e.Name, markName+"."):
			c.note("", e.Name, "leftover: vbk init was cut off")
		default:
			c.note("", e.Name, "vbk did not make this")
		}
	}
	return c.findings, nil
}

type checker struct {
	s        *Store
	ctx      context.Context
	readData bool
	read     func(bytes int64) // told what was read of files of disks; may be nil
	findings []store.Finding

	unreadable []error // of the findings that are Unread
}

func (c *checker) find(chain string, p store.Problem) {
	c.findings = append(c.findings, store.Finding{Chain: chain, Problem: p})
}

// failed reports what an error says of a file: p, unless it could not be read.
func (c *checker) failed(chain string, p store.Problem, err error) {
	if format.IsUnread(err) {
		c.unread(chain, p.File, []error{err})
		return
	}
	p.Detail = err.Error()
	c.find(chain, p)
}

// note reports what keeps no point from being restored.
func (c *checker) note(chain, file, message string, args ...any) {
	c.find(chain, store.Problem{File: file, Detail: fmt.Sprintf(message, args...), From: store.NoPoint})
}

func (c *checker) folder(folder string) error {
	d, err := c.s.Domain(c.ctx, folder)
	if err != nil {
		return err
	}
	if err := c.folderEntries(folder); err != nil {
		return err
	}
	for _, l := range d.Leftovers {
		if !d.Locked && !c.s.byPath { // else they are in the making, or were when the folder was copied
			c.note("", l, "leftover: no manifest names it")
		}
	}
	c.numbers(d)
	if !d.Locked { // else an import is at work
		if err := c.unlisted(folder); err != nil {
			return err
		}
	}
	var unread error
	for _, chain := range d.Chains {
		err := c.chain(folder, chain.Name)
		if err != nil {
			err = fmt.Errorf("chain %s: %w", chain.Name, err)
		}
		if err != nil && !errors.Is(err, store.ErrInUse) && !format.IsUnread(err) {
			return errors.Join(unread, err)
		}
		unread = errors.Join(unread, err)
	}
	return unread
}

// folderEntries checks what lies in a domain's folder, by its names and modes.
func (c *checker) folderEntries(folder string) error {
	self, err := c.s.fsys.Stat(folder)
	if err != nil {
		return err
	}
	c.mode("", "", self)
	entries, err := c.s.fsys.List(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		records := isOutcomes(e)
		if e.Name != lockName && !records && !(e.Mode.IsDir() && store.IsChainName(e.Name)) {
			c.note("", e.Name, "vbk did not make this")
			continue
		}
		c.mode("", e.Name, e)
		if records {
			if err := c.outcomes(folder); err != nil {
				return err
			}
		}
	}
	return nil
}

// unlisted reports what lies in the folders of chains that no manifest lists, and
// that nothing of vbk's will ever remove.
func (c *checker) unlisted(folder string) error {
	chains, err := c.s.chainNames(folder)
	if err != nil {
		return err
	}
	for _, name := range chains {
		v, err := c.s.view(folder, name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && v.listed() {
			continue
		}
		if err != nil {
			return err
		}
		for _, file := range slices.Concat(slices.Sorted(maps.Keys(v.entries)), v.beside) {
			if !v.isLeftover(file) {
				c.note(name, file, "no manifest lists this chain, and vbk did not write the file: if an import was cut off, import the folder again")
			}
		}
	}
	return nil
}

// mode wants files to be 0600 and folders 0700.
func (c *checker) mode(chain, file string, e Entry) {
	want := fs.FileMode(0o600)
	if e.Mode.IsDir() {
		want = fs.ModeDir | 0o700
	}
	if e.Mode != want && !c.s.byPath {
		c.note(chain, file, "mode is %s, expected %s", e.Mode, want)
	}
}

// numbers wants one domain in a folder and every chain number once.
func (c *checker) numbers(d store.Domain) {
	seen := map[int]string{}
	for _, chain := range d.Chains {
		m := chain.Manifest
		if m.Number == 0 {
			continue // reported as damaged
		}
		if m.UUID != d.UUID {
			c.note(chain.Name, "", "chain of domain %s in the folder of domain %s", m.UUID, d.UUID)
		}
		if other, ok := seen[m.ChainNumber]; ok {
			c.note(chain.Name, "", "chain number %d is that of %s too", m.ChainNumber, other)
		}
		seen[m.ChainNumber] = chain.Name
	}
}

// chain checks one chain, whose files stay meanwhile.
func (c *checker) chain(folder, name string) (err error) {
	r, err := c.open(folder, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	v, err := c.s.view(folder, name)
	if err != nil {
		return err
	}
	for _, p := range v.problems {
		c.find(name, p)
	}
	c.manifests(v, name)
	if err := c.chainEntries(v, name); err != nil {
		return err
	}
	for _, p := range v.manifest.Points {
		if err := c.point(r, v, p); err != nil {
			return err
		}
	}
	for file := range retiredFiles(v.manifest) {
		if err := c.retired(r, file); err != nil {
			return err
		}
	}
	return nil
}

// chainEntries checks what lies in a chain's folder, by its names and modes.
func (c *checker) chainEntries(v *view, name string) error {
	for _, e := range v.entries {
		if e.Name == store.VerifiedFolder && e.Mode.IsDir() {
			c.mode(name, e.Name, e)
			if err := c.book(book{c.s.fsys, path.Join(v.dir, e.Name)}, name); err != nil {
				return err
			}
			continue
		}
		_, manifest := store.ParseManifestName(e.Name)
		_, _, ours := store.ParseFileName(e.Name)
		if !manifest && !ours && !isTemporary(e.Name) && !v.named[e.Name] {
			what := "vbk did not make this"
			if strings.HasPrefix(e.Name, setAside) {
				what = "left out when the manifest was rebuilt: move it elsewhere, or delete it"
			}
			c.note(name, e.Name, "%s", what)
			continue
		}
		if !manifest && !ours && v.named[e.Name] {
			continue // adopted: its mode is that of its other name
		}
		c.mode(name, e.Name, e)
	}
	return nil
}

// retired checks a file in which others have chunks. What they name in it, and
// that it is there, is checked with them; the rest keeps no point from being
// restored.
func (c *checker) retired(r *Reader, file string) error {
	src, err := openSource(c.s.fsys, r.dir, file)
	if err != nil { // damage is reported with them
		if format.IsUnread(err) {
			c.unread(r.chain.Name, file, []error{err})
		}
		return c.ctx.Err()
	}
	defer src.Close()
	var unread []error
	err = format.CheckRetired(c.ctx, src, src.Size(), c.readData, func(damage format.Damage) {
		if damage.Unread != nil {
			unread = append(unread, damage.Unread)
			return
		}
		c.note(r.chain.Name, file, "%s", damage)
	})
	c.unread(r.chain.Name, file, unread)
	return err
}

func names(files []format.Slot) []string {
	var all []string
	for _, f := range files {
		all = append(all, f.Name)
	}
	return all
}

// open waits for a run that removes leftovers of a living chain: what was not
// read is not sound. The error is fs.ErrNotExist if the chain is being deleted.
func (c *checker) open(folder, name string) (*Reader, error) {
	for try := 0; ; try++ {
		r, inUse := c.s.openChain(folder, name)
		if !errors.Is(inUse, store.ErrInUse) {
			return r, inUse
		}
		v, err := c.s.view(folder, name)
		switch {
		case err != nil:
			return nil, err
		case v.manifest.Deleted:
			return nil, fs.ErrNotExist
		case try == 1000:
			return nil, fmt.Errorf("could not be checked: %w", inUse)
		}
		if err := c.ctx.Err(); err != nil {
			return nil, err
		}
		time.Sleep(time.Millisecond)
	}
}

// manifests checks the older ones too.
func (c *checker) manifests(v *view, chain string) {
	for i, n := range v.numbers {
		if i > 0 && n != v.numbers[i-1]+1 {
			c.note(chain, store.ManifestName(n), "the manifest before it is %d", v.numbers[i-1])
		}
		if n >= v.manifest.Number {
			continue // reported by the survey
		}
		if _, err := readManifest(v.fsys, v.dir, n); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.failed(chain, store.Problem{File: store.ManifestName(n), From: store.NoPoint}, err)
		}
	}
}

func (c *checker) point(r *Reader, v *view, p store.Point) error {
	known := func(file string) bool { // from names and sizes
		return slices.ContainsFunc(v.problems, func(p store.Problem) bool { return p.File == file })
	}
	for _, f := range p.Files {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		if known(f.Name) {
			continue
		}
		if _, err := r.readFile(f.Name); err != nil {
			c.failed(r.chain.Name, v.problem(p, pointFile{name: f.Name}, ""), err)
		}
	}
	for _, d := range p.Disks {
		f := pointFile{d.File, d.Target, d.FileSize}
		if known(f.name) {
			continue
		}
		var unread []error
		report := func(damage format.Damage) {
			if damage.Unread != nil {
				unread = append(unread, damage.Unread)
				return
			}
			c.find(r.chain.Name, v.problem(p, f, damage.String()))
		}
		if err := c.disk(r, v.manifest, p, d, report); err != nil {
			return err
		}
		c.unread(r.chain.Name, d.File, unread)
	}
	return nil
}

// disk compares a data file with the manifest and with itself.
func (c *checker) disk(r *Reader, m store.Manifest, p store.Point, d store.PointDisk, report func(format.Damage)) error {
	src, err := openSource(c.s.fsys, r.dir, d.File)
	if err != nil {
		report(format.DamageOf(err))
		return nil
	}
	defer src.Close()
	open := sources{read: c.read}
	if m.Stream != store.V3 {
		return c.stream(r, p, d, open.heard(src), report)
	}
	defer open.Close()
	file, err := open.open(c.s.fsys, r.dir, d.File)
	if err != nil {
		report(format.DamageOf(err))
		return c.ctx.Err()
	}
	h, sum := file.Header(), file.Summary()
	compare([]fact{
		{"store", h.StoreID, m.StoreID}, {"chain", h.Chain, m.Chain}, {"UUID", h.UUID, m.UUID},
		{"hash key", h.HashKey, m.HashKey}, {"sequence", h.Sequence, p.Sequence}, {"attempt", h.Attempt, p.Attempt},
		{"disk", h.Disk, d.Target}, {"base", h.Base, d.Base}, {"virtual size", h.Size, d.Size},
		{"bytes of data", sum.Data, d.Data}, {"stored bytes", sum.Stored, d.Stored},
		{"footer hash", fmt.Sprintf("%016x", sum.FooterHash), d.FooterHash},
		{"list of files with its chunks", fmt.Sprint(names(h.Files)), fmt.Sprint(d.Shares)},
	}, report)
	return file.Check(c.ctx, c.readData, report)
}
