package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"vbk/config"
	"vbk/executor"
	"vbk/executor/bind"
	"vbk/store"
	"vbk/store/local"
	"vbk/store/virtnbdbackup"
)

func (env *environment) importCommand() *cli.Command {
	return &cli.Command{
		Name: "import", Usage: "take a folder of virtnbdbackup into a store, or rebuild a lost manifest", ArgsUsage: "DIR",
		UsageText: "vbk import DIR [-store ADDRESS] [-trust]",
		Description: "DIR is a folder of virtnbdbackup on the file system of the store. Its files get second names in\n" +
			"the store, no data is copied, and DIR stays as it is. The next vbk apply goes on with the chain\n" +
			"if the domain still has the checkpoint, and the policy has stream = \"virtnbdbackup\".\n\n" +
			"Or DIR is the folder of a domain or a chain in a store: manifests that are lost or damaged are\n" +
			"rebuilt from the headers of the files. One that can be read is never replaced.\n\n" +
			"  vbk import /backup/virtnbdbackup/web01 -store store.local.nas",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "store", Usage: "import into the store `ADDRESS`; needed where there are several"},
			&cli.BoolFlag{Name: "trust", Usage: "the increments were made with --no-sparse-detection: they lack no zeroes"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return errors.New("vbk import needs one folder")
			}
			dir, err := filepath.Abs(env.path(c.Args().First()))
			if err != nil {
				return err
			}
			if info, err := os.Stat(dir); err != nil {
				return err
			} else if !info.IsDir() {
				return fmt.Errorf("%s is no directory", c.Args().First())
			}
			inside, err := findStore(dir)
			if err != nil {
				return err
			}
			folder, err := openForeign(dir, c.Args().First())
			if err != nil {
				return err
			}
			if inside != nil && (folder == nil || inside.chain == "") {
				return env.rebuild(c, *inside)
			}
			if folder == nil {
				return fmt.Errorf("%s is neither a folder of virtnbdbackup (*.data), nor that of a domain or a chain in a store", c.Args().First())
			}
			defer folder.Close()
			return env.importForeign(c, folder, inside)
		},
	}
}

// inStore is a folder of a domain, or of one of its chains, in a marked store.
type inStore struct {
	repo          *local.Store
	folder, chain string // chain is "" for the folder of a domain
}

// findStore looks for a store around a directory; nil if there is none.
func findStore(dir string) (*inStore, error) {
	parent, base := filepath.Split(dir)
	at := inStore{folder: base}
	if store.IsChainName(base) {
		parent, base = filepath.Split(filepath.Clean(parent))
		at = inStore{folder: base, chain: at.folder}
	}
	if !store.IsFolderName(at.folder) {
		return nil, nil
	}
	repo, err := local.Open(parent)
	if errors.Is(err, store.ErrNotMarked) {
		return nil, nil
	}
	at.repo = repo
	return &at, err
}

// foreign is an open folder of virtnbdbackup.
type foreign struct {
	*virtnbdbackup.Folder
	root *os.Root
	dir  string // its absolute path
	name string // as it was typed
}

func (f *foreign) Close() error { return f.root.Close() }

// openForeign opens a folder of virtnbdbackup; nil if it is none. Links do not
// lead out of it.
func openForeign(dir, name string) (*foreign, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	folder, err := virtnbdbackup.Open(root.FS())
	if errors.Is(err, virtnbdbackup.ErrNoFolder) || err == nil && len(folder.Points) == 0 {
		return nil, root.Close()
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &foreign{folder, root, dir, name}, nil
}

func (env *environment) importForeign(c *cli.Context, folder *foreign, inside *inStore) error {
	if folder.UUID == "" {
		return fmt.Errorf("no vmconfig.*.xml in %s tells whose backups these are", c.Args().First())
	}
	cfg, err := env.load()
	if err != nil {
		return err
	}
	s, err := chooseStore(cfg, c.String("store"), inside)
	if err != nil {
		return err
	}
	w := env.newWorld(false)
	defer w.close()
	repo, err := w.openStore(s)
	if err != nil {
		return err
	}
	name, err := folderOf(c.Context, repo, folder.Folder)
	if err != nil {
		return failWith(exitFailed, err)
	}
	owner := ownerOf(cfg, s, folder.Folder)
	i := executor.Importation{
		From: folder.Folder, Path: folder.dir, StoreID: repo.ID(), Owner: owner, Zone: cfg.TimeZone,
		Trust: c.Bool("trust"), Now: env.now(), Version: version,
		Lock: func(ctx context.Context) (executor.AdoptingFolder, error) {
			return lockToAdopt(ctx, repo, name, w.self(strings.ToLower(folder.UUID)), folder.dir)
		},
	}
	if inside != nil {
		if inside.folder != name {
			return fmt.Errorf("%s is of domain %s, whose folder in the store is %s", inside.folder, folder.UUID, name)
		}
		i.Chain = inside.chain
	}
	all, left, err := executor.Import(c.Context, i)
	env.printImported(folder, s, all, owner)
	taken := slices.ContainsFunc(all, func(i executor.Imported) bool { return i.New > 0 })
	if err != nil {
		return failWith(exitFailed, elsewhere(err, c.Args().First(), s))
	}
	return env.printNotImported(folder, left, taken)
}

// chooseStore is the store that a flag names, or the only one.
func chooseStore(cfg *config.Config, address string, inside *inStore) (config.Store, error) {
	var addresses []string
	for _, s := range cfg.Stores {
		if s.Address() == address || address == "" && (len(cfg.Stores) == 1 || inside != nil && s.Path == inside.repo.Path()) {
			if inside != nil && s.Path != inside.repo.Path() {
				return s, fmt.Errorf("the folder lies in the store at %s, which is not %s", inside.repo.Path(), s.Address())
			}
			return s, nil
		}
		addresses = append(addresses, s.Address())
	}
	if address == "" && len(addresses) > 0 {
		return config.Store{}, hint(errors.New("there are several stores: name one with -store"), "-store is one of %s", strings.Join(addresses, ", "))
	}
	return config.Store{}, fmt.Errorf("flag -store: the configuration has no store %q, only %s", address, strings.Join(addresses, ", "))
}

// folderOf is the name of the domain's folder in a store, or the one that it will
// have.
func folderOf(ctx context.Context, repo *local.Store, from *virtnbdbackup.Folder) (string, error) {
	domains, err := repo.Domains(ctx)
	if err != nil {
		return "", err
	}
	name := store.FolderName(from.Domain, from.UUID)
	for _, d := range domains {
		if strings.EqualFold(d.UUID, from.UUID) {
			return d.Folder, nil
		}
		if d.Folder == name && (d.UUID != "" || d.Error != "") {
			return "", fmt.Errorf("folder %s in the store is that of domain %q %s", name, d.UUID, d.Error)
		}
	}
	return name, nil
}

// ownerOf is the instance that the configuration makes of a domain, as far as the
// configuration alone tells.
func ownerOf(cfg *config.Config, s config.Store, from *virtnbdbackup.Folder) store.Owner {
	owner := store.Owner{Configuration: cfg.Name}
	for _, d := range cfg.Domains {
		for _, h := range cfg.Hosts {
			address := fmt.Sprintf("%s[%q]", d.Address(), h.Name+"/"+from.Domain)
			switch {
			case d.Policy.Store != s.Address():
			case d.Claims(h.Name, from.Domain, strings.ToLower(from.UUID), nil):
				owner.Address = address
				return owner
			case owner.Address == "" && d.Selects(h.Name, from.Domain, strings.ToLower(from.UUID), nil):
				owner.Address = address
			}
		}
	}
	return owner
}

func lockToAdopt(ctx context.Context, repo *local.Store, name string, self store.Attempt, dir string) (executor.AdoptingFolder, error) {
	from, err := local.OpenFS(dir)
	if err != nil {
		return nil, err
	}
	f, err := repo.Lock(ctx, name, self)
	if err != nil {
		return nil, err
	}
	return bind.Adopting{Folder: bind.Folder{Folder: f}, From: from}, nil
}

// elsewhere says what to do about a folder that does not lie beside the store.
func elsewhere(err error, dir string, s config.Store) error {
	if !errors.Is(err, local.ErrOtherFileSystem) {
		return mended(err, s.Path)
	}
	return hint(err, "copy the folder to the file system of %s first (cp -a %s ...), or convert it: vbk convert -i %s", s.Path, dir, dir)
}

func (env *environment) printImported(folder *foreign, s config.Store, all []executor.Imported, owner store.Owner) {
	distrusted, unsummed := false, 0
	for _, i := range all {
		m := i.Manifest
		what := fmt.Sprintf("%s@%s in %s", m.Domain, m.Chain, s.Address())
		switch {
		case i.New == 0:
			fmt.Fprintf(env.stdout, "%s is there already: %s.\n", what, count(len(m.Points), "point"))
			continue
		case i.New < len(m.Points):
			fmt.Fprintf(env.stdout, "%s: %s added, %d in all.\n", what, count(i.New, "point"), len(m.Points))
		default:
			fmt.Fprintf(env.stdout, "%s: %s imported.\n", what, count(i.New, "point"))
		}
		for _, p := range m.Points[len(m.Points)-i.New:] {
			fmt.Fprintf(env.stdout, "  %d  %s UTC  %s  %s  %s\n", p.Sequence, shortTime(p.Start), importedKind(p), strings.Join(targets(p), ","), cmp.Or(p.Checkpoint, "no checkpoint"))
			distrusted = distrusted || p.Distrusted != ""
			unsummed += unsummedFiles(p)
		}
	}
	if distrusted {
		fmt.Fprintf(env.stdout, "Increments of virtnbdbackup since 2.21 may lack what the guest zeroed, and these do not tell: so the\nnext backup reads everything. If they were made with --no-sparse-detection, vbk import -trust %s\nsays so.\n", folder.name)
	}
	if unsummed > 0 {
		fmt.Fprintf(env.stdout, "No .chksum lies beside %s: a wrong byte in them may go unnoticed, unless vbk convert makes a v3 chain of them.\n", count(unsummed, "file"))
	}
	if len(all) > 0 && owner.Address == "" {
		fmt.Fprintf(env.stdout, "No block of the configuration claims %s for %s yet: until one does, its points are kept as departed.\n", folder.Domain, s.Address())
	}
}

// unsummedFiles counts the files of disks that have no sum beside them.
func unsummedFiles(p store.Point) (n int) {
	for _, d := range p.Disks {
		if !slices.ContainsFunc(p.Files, func(f store.File) bool { return f.Name == store.ChecksumFileName(d.File) }) {
			n++
		}
	}
	return n
}

func importedKind(p store.Point) string {
	if p.Leaf {
		return "difference"
	}
	return kindWord(p.Kind)
}

// printNotImported says what has stayed behind.
func (env *environment) printNotImported(folder *foreign, left []virtnbdbackup.Problem, taken bool) error {
	problems := slices.Clone(folder.Problems)
	for _, p := range left {
		for _, name := range p.Points {
			problems = append(problems, virtnbdbackup.Problem{Files: []string{name}, Detail: "not imported: " + p.Detail})
		}
	}
	for _, p := range problems {
		env.complain(errors.New(p.String()))
	}
	if taken {
		fmt.Fprintf(env.stdout, "No data was copied: the files have second names in the store. %s stays as it is; it may\nbe deleted when vbk verify -read-data %s finds everything sound.\n", folder.name, folder.Domain)
	}
	if len(problems) > 0 {
		return exit(exitUnsound)
	}
	return nil
}

// rebuild rebuilds the manifests that are lost in a domain's folder.
func (env *environment) rebuild(c *cli.Context, at inStore) (err error) {
	if c.IsSet("store") || c.IsSet("trust") {
		return errors.New("flags -store and -trust are for folders of virtnbdbackup")
	}
	w := env.newWorld(false)
	defer w.close()
	f, err := at.repo.Lock(c.Context, at.folder, w.self(""))
	if err != nil {
		return failWith(exitFailed, err)
	}
	defer func() {
		if unlocked := f.Unlock(); err == nil && unlocked != nil {
			err = failWith(exitFailed, unlocked)
		}
	}()
	lost, err := f.Lost()
	if err != nil {
		return failWith(exitFailed, err)
	}
	if at.chain != "" {
		lost = slices.DeleteFunc(lost, func(name string) bool { return name != at.chain })
	}
	if len(lost) == 0 {
		fmt.Fprintln(env.stdout, "Nothing to rebuild: every chain there has a manifest that can be read.")
		return nil
	}
	whole := true
	for _, name := range lost {
		m, left, err := f.Rebuild(c.Context, name, env.now(), version)
		whole = env.printRebuilt(m, left, err) && whole
		if errors.Is(err, store.ErrUncertain) {
			return failWith(exitFailed, f.Abandon())
		}
	}
	if !whole {
		return exit(exitUnsound)
	}
	return nil
}

// printRebuilt says whether all of a chain came back.
func (env *environment) printRebuilt(m store.Manifest, left []local.LeftOut, err error) bool {
	if err != nil {
		env.complain(err)
	} else {
		fmt.Fprintf(env.stdout, "%s@%s: %s rebuilt with %s.\n", m.Domain, m.Chain, store.ManifestName(m.Number), count(len(m.Points), "point"))
		for _, p := range m.Points {
			fmt.Fprintf(env.stdout, "  %d  %s UTC  %s  %s\n", p.Sequence, shortTime(p.Start), kindWord(p.Kind), strings.Join(targets(p), ","))
		}
	}
	aside := ""
	if err == nil {
		aside = " (set aside as left-out~*)"
	}
	for _, l := range left {
		if len(l.Files) == 0 {
			env.complain(errors.New(l.Why))
			continue
		}
		env.complain(fmt.Errorf("%s: left out%s: %s", strings.Join(l.Files, ", "), aside, l.Why))
	}
	return err == nil && len(left) == 0
}
