package executor

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"vbk/store"
	"vbk/store/virtnbdbackup"
	"vbk/virt"
	"vbk/virt/qcow2"
)

// AdoptingFolder is the locked folder of a domain that takes in the files of one
// other folder.
type AdoptingFolder interface {
	Folder
	// Adopt gives a file of that folder a name in a chain's folder too, and
	// answers its size.
	Adopt(chain, file, name string) (int64, error)
	// Describe is what a manifest records of a small file in a chain's folder.
	Describe(chain, name string) (store.File, error)
}

// Importation says what is to be imported, and as what.
type Importation struct {
	Lock    func(ctx context.Context) (AdoptingFolder, error)
	From    *virtnbdbackup.Folder
	Path    string // of From, for people
	Chain   string // the chain's folder that From is itself; "" if it is none
	StoreID string
	Owner   store.Owner
	Zone    *time.Location // of the dates in the files
	Trust   bool           // increments hold all zeroes that the guest wrote
	Now     time.Time
	Version string
}

// Imported is a chain after an import.
type Imported struct {
	Manifest store.Manifest
	New      int // points that were not there before
}

// Import takes the points of a folder of virtnbdbackup into a store. No data is
// moved or rewritten: the files get second names, and manifests list them. What is
// there already stays as it is, and a chain to which virtnbdbackup has added
// points since is continued. left is what could not be taken in, and why; what
// was imported before an error stays.
func Import(ctx context.Context, i Importation) (all []Imported, left []virtnbdbackup.Problem, err error) {
	chains, left, err := i.From.Chains(ctx)
	if err != nil {
		return nil, left, err
	}
	var drafts []draft
	for _, c := range chains {
		d, out := i.draft(c)
		left = append(left, out...)
		if len(d.manifest.Points) > 0 {
			drafts = append(drafts, d)
		}
	}
	slices.SortStableFunc(drafts, func(a, b draft) int { return newestStart(a.manifest).Compare(newestStart(b.manifest)) })
	if i.Chain != "" && len(drafts) > 1 {
		return nil, left, fmt.Errorf("the folder of chain %s holds %d chains: move it out of the store, and import it from there", i.Chain, len(drafts))
	}
	if len(drafts) == 0 {
		return nil, left, nil
	}
	f, err := i.Lock(ctx)
	if err != nil {
		return nil, left, err
	}
	defer func() { err = errors.Join(err, giveBack(f, err)) }()
	for _, d := range drafts {
		done, err := i.adopt(ctx, f, d)
		if err != nil {
			return all, left, err
		}
		all = append(all, done)
	}
	return all, left, nil
}

// giveBack unlocks a folder. Where nobody knows whether a commit happened, the
// record stays: who finds it makes that durable first.
func giveBack(f Folder, err error) error {
	if errors.Is(err, store.ErrUncertain) {
		return f.Abandon()
	}
	return f.Unlock()
}

// draft is a chain as its manifest will list it, without a number.
type draft struct {
	manifest store.Manifest
	files    []map[string]string // of each point: where its files are, by their new names
}

// draft makes a manifest of a chain, up to the first point that no manifest can
// list.
func (i Importation) draft(c virtnbdbackup.Chain) (d draft, left []virtnbdbackup.Problem) {
	d.manifest = store.Manifest{
		FormatVersion: store.FormatVersion, StoreID: i.StoreID, Stream: store.VirtNBDBackup, Owner: i.Owner,
		Domain: i.From.Domain, UUID: strings.ToLower(i.From.UUID), Written: i.Now.UTC(), Version: i.Version,
	}
	start := i.start(c.Points[0])
	d.manifest.Chain = cmp.Or(i.Chain, chainNameOf(d.manifest.UUID, start, c.Points[0]))
	for n, p := range c.Points {
		point, files, err := i.point(d.manifest.Chain, p)
		if err == nil {
			err = tryAppend(d.manifest, point)
		}
		if err != nil {
			for _, lost := range c.Points[n:] { // sequences would not fit any more
				left = append(left, virtnbdbackup.Problem{Files: fileNames(lost), Detail: err.Error(), Points: []string{lost.Name}})
			}
			break
		}
		d.manifest.Points = append(d.manifest.Points, point)
		d.files = append(d.files, files)
	}
	return d, left
}

// tryAppend says why a manifest cannot list a point, before anything is done
// with its files.
func tryAppend(m store.Manifest, p store.Point) error {
	m.Number, m.ChainNumber = 1, 1
	m.Points = append(slices.Clone(m.Points), p)
	_, err := m.Encode()
	return err
}

func fileNames(p virtnbdbackup.ChainPoint) (names []string) {
	for _, x := range p.Files {
		names = append(names, x.Name)
	}
	return names
}

// chainNameOf is the same at each import of a chain, so that it is found again.
func chainNameOf(uuid string, start time.Time, first virtnbdbackup.ChainPoint) string {
	text := uuid + " " + first.Name
	for _, x := range first.Files {
		text += fmt.Sprintf(" %s %d %016x", x.Name, x.FileSize, x.TailHash)
	}
	sum, _ := hex.DecodeString(store.Hash([]byte(text)))         // it is hex
	name, _ := store.ChainName(start, bytes.NewReader(sum[:16])) // that is enough
	return name
}

// start is the instant of a point. Where only the clock on the host's wall is
// known, it was in the configuration's time zone.
func (i Importation) start(p virtnbdbackup.ChainPoint) time.Time {
	if !p.Created.IsZero() {
		return p.Created.UTC()
	}
	d := p.Date
	return time.Date(d.Year(), d.Month(), d.Day(), d.Hour(), d.Minute(), d.Second(), d.Nanosecond(), i.Zone).UTC()
}

// importedVersion is what a manifest has for the version of vbk that made a point.
const importedVersion = "virtnbdbackup"

// point is a point of a folder as a manifest lists it, but for the files that do
// not belong to disks.
func (i Importation) point(chain string, p virtnbdbackup.ChainPoint) (store.Point, map[string]string, error) {
	point := store.Point{
		Sequence: p.Sequence, Attempt: store.Hash([]byte(chain + " " + p.Name))[:8], Kind: store.Full, Parent: p.On, Leaf: p.Leaf,
		Start: i.start(p), Created: p.Created.UTC(), QuiesceWhy: "virtnbdbackup does not record it",
		Reason: "imported from " + i.Path, Version: importedVersion,
	}
	point.End = point.Start
	if p.On >= 0 {
		point.Kind = store.Increment
	}
	if !p.Created.IsZero() { // else nothing tells it from another one of that name
		point.Checkpoint = p.Name
	}
	if p.Zeroless && !i.Trust {
		point.Distrusted = "it may lack zeroes that the guest wrote: virtnbdbackup since 2.21 leaves them out of increments"
	}
	domain, err := i.domain(p)
	if err != nil {
		return point, nil, err
	}
	files := map[string]string{}
	for n, x := range p.Files {
		disk := pointDisk(p.Disks[n], x, domain)
		point.Disks = append(point.Disks, disk)
		files[disk.File] = x.Name
	}
	for _, name := range p.Others {
		files[adoptedName(name)] = name
	}
	if p.XML != "" {
		files["checkpoint."+p.Name+".xml"] = p.XML
	}
	return point, files, nil
}

// adoptedName is the name of a file in the store: its own, unless that would say
// that vbk made it, and at which point.
func adoptedName(name string) string {
	if _, _, ours := store.ParseFileName(name); !ours {
		return name
	}
	if id, ok := strings.CutPrefix(name, "vmconfig."); ok { // where restore looks for it
		return "vmconfig.imported~" + id
	}
	return "imported~" + name
}

// domain reads the configuration that was stored with a point; it is empty if
// there is none.
func (i Importation) domain(p virtnbdbackup.ChainPoint) (virt.Domain, error) {
	if p.Config == "" {
		return virt.Domain{}, nil
	}
	text, err := i.From.ReadFile(p.Config)
	if err != nil {
		return virt.Domain{}, fmt.Errorf("read %s: %w", p.Config, err)
	}
	d, err := virt.ParseDomain(string(text))
	if err != nil {
		return virt.Domain{}, fmt.Errorf("read %s: %w", p.Config, err)
	}
	if !strings.EqualFold(d.UUID, i.From.UUID) {
		return virt.Domain{}, fmt.Errorf("%s is of domain %s, the folder of %s", p.Config, d.UUID, i.From.UUID)
	}
	return d, nil
}

func pointDisk(d virtnbdbackup.Disk, x virtnbdbackup.File, domain virt.Domain) store.PointDisk {
	disk := store.PointDisk{
		Target: d.Target, File: adoptedName(x.Name), Base: x.Base, Size: d.Size, Format: x.Format,
		FileSize: x.FileSize, Data: x.Data, Stored: x.Stored, FooterHash: fmt.Sprintf("%016x", x.TailHash), RawImage: x.Raw, Image: store.ImageOptions(ImageOptions(d)),
	}
	for _, known := range domain.Disks {
		if known.Target == d.Target {
			disk.Source, disk.Format = known.Source, known.Format
		}
	}
	return disk
}

// ImageOptions are how the qcow2 image of a disk was made, as virtnbdbackup has noted it;
// none if no image can be made so.
func ImageOptions(d virtnbdbackup.Disk) virt.ImageOptions {
	o := virt.ImageOptions(d.Image)
	if qcow2.Check(o) != nil {
		return virt.ImageOptions{}
	}
	return o
}

// adopt brings a chain into the folder, as far as it is not there yet.
func (i Importation) adopt(ctx context.Context, f AdoptingFolder, d draft) (Imported, error) {
	m := d.manifest
	there, err := f.Look(ctx)
	if err != nil {
		return Imported{}, fmt.Errorf("look at folder: %w", err)
	}
	if there.UUID != "" && there.UUID != m.UUID {
		return Imported{}, fmt.Errorf("the folder in the store is of domain %s, the points are of %s", there.UUID, m.UUID)
	}
	for _, c := range there.Chains {
		if c.Name == m.Chain {
			return i.extend(ctx, f, there, c, d)
		}
	}
	m.ChainNumber = there.NextChain()
	d.manifest = m
	return i.commit(ctx, f, there, d, 0)
}

// extend adds what a chain has gained since it was imported.
func (i Importation) extend(ctx context.Context, f AdoptingFolder, there store.Domain, c store.Chain, d draft) (Imported, error) {
	m, old := d.manifest, c.Manifest.Points
	missing := func(p store.Point) bool {
		return !slices.ContainsFunc(old, func(o store.Point) bool { return samePoint(o, p) })
	}
	if !slices.ContainsFunc(m.Points, missing) {
		return i.trust(ctx, f, c.Manifest)
	}
	if len(c.Problems) > 0 {
		return Imported{}, fmt.Errorf("chain %s is there already, and damaged: %s: %s", c.Name, c.Problems[0].File, c.Problems[0].Detail)
	}
	if len(old) > len(m.Points) || c.Manifest.Stream != m.Stream || c.Manifest.Closed != "" || !slices.EqualFunc(old, m.Points[:len(old)], samePoint) {
		return Imported{}, fmt.Errorf("chain %s is there already and has changed in the store since it was imported: the newer points of the folder do not fit", c.Name)
	}
	m.Number, m.ChainNumber, m.Owner, m.Retention = c.Manifest.Number, c.Manifest.ChainNumber, c.Manifest.Owner, c.Manifest.Retention
	copy(m.Points, old)
	d.manifest = m
	return i.commit(ctx, f, there, d, len(old))
}

// trust lifts the distrust in points that are there already, if it is asked for.
func (i Importation) trust(ctx context.Context, f AdoptingFolder, m store.Manifest) (Imported, error) {
	changed := false
	m.Points = slices.Clone(m.Points)
	for n := range m.Points {
		if p := &m.Points[n]; i.Trust && p.Distrusted != "" && p.Version == importedVersion {
			p.Distrusted, changed = "", true
		}
	}
	if !changed {
		return Imported{Manifest: m}, nil
	}
	m.Number++
	m.Written = i.Now.UTC()
	return Imported{Manifest: m}, f.Commit(ctx, m)
}

// samePoint compares what stays the same of an imported point, whatever becomes
// of its chain.
func samePoint(a, b store.Point) bool {
	return a.Checkpoint == b.Checkpoint && a.Start.Equal(b.Start) && a.Attempt == b.Attempt
}

// commit takes the files of the points from the first new one on in, and then
// lists them.
func (i Importation) commit(ctx context.Context, f AdoptingFolder, there store.Domain, d draft, first int) (Imported, error) {
	m := d.manifest
	if err := inOrder(there, m); err != nil {
		return Imported{}, err
	}
	for n := first; n < len(m.Points); n++ {
		if err := ctx.Err(); err != nil {
			return Imported{}, err
		}
		if err := adoptFiles(f, m.Chain, &m.Points[n], d.files[n]); err != nil {
			return Imported{}, err
		}
	}
	m.Number++
	if err := f.Commit(ctx, m); err != nil {
		return Imported{}, err
	}
	return Imported{m, len(m.Points) - first}, nil
}

func adoptFiles(f AdoptingFolder, chain string, p *store.Point, files map[string]string) error {
	ofDisks := map[string]bool{}
	for _, d := range p.Disks {
		ofDisks[d.File] = true
		size, err := f.Adopt(chain, files[d.File], d.File)
		if err != nil {
			return err
		}
		if size != d.FileSize {
			return fmt.Errorf("%s has %d bytes, and had %d a moment ago", d.File, size, d.FileSize)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if ofDisks[name] {
			continue
		}
		if _, err := f.Adopt(chain, files[name], name); err != nil {
			return err
		}
		described, err := f.Describe(chain, name)
		if err != nil {
			return err
		}
		p.Files = append(p.Files, described)
	}
	return nil
}

// inOrder refuses points that would come after newer ones: the newest point of a
// domain is the last one of the chain with the highest number.
func inOrder(there store.Domain, m store.Manifest) error {
	mine := newestStart(m)
	for _, c := range there.Chains {
		other := newestStart(c.Manifest)
		if c.Name == m.Chain || other.IsZero() {
			continue
		}
		if c.Manifest.ChainNumber < m.ChainNumber && other.After(mine) || c.Manifest.ChainNumber > m.ChainNumber && mine.After(other) {
			return &hintError{fmt.Errorf("the store holds newer points of the domain (chain %s, of %s), and the imported ones would count as the newest", c.Name, other.UTC().Format("2006-01-02 15:04")),
				"folders are imported oldest first, and before the first vbk apply of their domain; vbk list, restore and verify -i read them where they are"}
		}
	}
	return nil
}

func newestStart(m store.Manifest) (newest time.Time) {
	for _, p := range m.Points {
		if p.Start.After(newest) {
			newest = p.Start
		}
	}
	return newest
}
