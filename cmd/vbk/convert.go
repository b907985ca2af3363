package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"vbk/executor"
	"vbk/executor/bind"
	"vbk/format"
	"vbk/plan"
	"vbk/store"
	"vbk/store/local"
)

func (env *environment) convertCommand() *cli.Command {
	return &cli.Command{
		Name: "convert", Usage: "change the files of a chain, or write points for virtnbdbackup", ArgsUsage: "DOMAIN@CHAIN",
		UsageText: "vbk convert DOMAIN@CHAIN -stream v3|virtnbdbackup [-codec CODEC] [-level N]\n" +
			"       vbk convert -i CHAINFOLDER -stream v3|virtnbdbackup [-codec CODEC] [-level N]\n" +
			"       vbk convert -i PATH [-until POINT] -o DIR -stream virtnbdbackup|raw [-codec CODEC] [-level N]",
		Description: "In a store, all files of a chain are written anew, every byte of every point is compared, and\n" +
			"then the old files go. Points, checkpoints and times stay: so an imported chain becomes v3, and\nthe next vbk apply goes on with it.\n\n" +
			"With -o, the point (the newest that is sound, unless -until names another) and what it builds\non are written to a new folder, which virtnbdrestore restores; with -stream raw the point alone,\n" +
			"its disks as they are. Every byte is read back before the folder gets its name.\n\n" +
			"  vbk convert web01@20261122T013000Z-9f3c -stream v3\n  vbk convert -i /srv/backup/web01-4c1f9d2a -o /mnt/web01 -stream virtnbdbackup\n\n" + pathHelp,
		Flags: []cli.Flag{
			pathFlag(),
			&cli.StringFlag{Name: "until", Usage: "with -o: the `POINT` to write instead of the newest"},
			&cli.StringFlag{Name: "o", Usage: "write to `DIR`, which must not exist, and change nothing"},
			&cli.StringFlag{Name: "stream", Usage: "`STREAM` of the new files: v3, virtnbdbackup or raw"},
			&cli.StringFlag{Name: "codec", Usage: "`CODEC` of the new files: none; of v3 zstd, of virtnbdbackup lz4, unless it is set"},
			&cli.IntFlag{Name: "level", Usage: "compression level `N`: of zstd 1 to 19, of lz4 1 to 9; 0 is the fastest"},
		},
		Action: func(c *cli.Context) error {
			wanted, err := parseConversion(c)
			switch {
			case err != nil:
				return err
			case wanted.dir != "":
				return env.convertAway(c, wanted)
			case c.String("i") != "":
				return env.convertPath(c, wanted)
			}
			return env.convertNamed(c, wanted)
		},
	}
}

// wantedFiles is what the flags of vbk convert ask for.
type wantedFiles struct {
	stream  store.Stream
	name    string // of the stream
	options format.Options
	dir     string // of -o
}

// parseConversion looks at the arguments alone.
func parseConversion(c *cli.Context) (wantedFiles, error) {
	w := wantedFiles{name: c.String("stream"), dir: c.String("o")}
	_, byPath, err := fromPath(c, "a chain")
	switch {
	case err != nil:
		return w, err
	case !byPath && c.NArg() != 1:
		return w, hint(errors.New("vbk convert needs one chain, DOMAIN@CHAIN, or -i PATH"), "vbk list shows the points, which are named DOMAIN@CHAIN.N")
	case !byPath && w.dir != "":
		return w, errors.New("flag -o belongs to -i PATH: name the folder of the chain with -i")
	case c.IsSet("until") && w.dir == "":
		return w, errors.New("flag -until belongs to -o DIR: in a store a chain is converted as a whole")
	}
	if err := w.parseStream(); err != nil {
		return w, err
	}
	return w, w.parseOptions(c)
}

func (w *wantedFiles) parseStream() error {
	places := map[bool]string{false: "v3 or virtnbdbackup in a store", true: "virtnbdbackup or raw with -o"}
	switch away := w.dir != ""; {
	case w.name == "v3" && !away:
		w.stream = store.V3
	case w.name == "virtnbdbackup":
		w.stream = store.VirtNBDBackup
	case w.name == "raw" && away:
		w.stream = store.Raw
	case w.name == "":
		return fmt.Errorf("vbk convert needs -stream: %s", places[away])
	default:
		return fmt.Errorf("flag -stream: %q is not %s", w.name, places[away])
	}
	return nil
}

func (w *wantedFiles) parseOptions(c *cli.Context) error {
	codecs := map[store.Stream][]format.Codec{
		store.V3: {format.Zstd, format.None}, store.VirtNBDBackup: {format.LZ4, format.None}, store.Raw: {format.None},
	}[w.stream]
	w.options = format.Options{Codec: codecs[0], Level: c.Int("level")}
	if c.IsSet("codec") {
		var err error
		if w.options.Codec, err = format.ParseCodec(c.String("codec")); err != nil {
			return fmt.Errorf("flag -codec: %w", err)
		}
	}
	most := map[format.Codec]int{format.None: 0, format.Zstd: 19, format.LZ4: 9}[w.options.Codec]
	switch {
	case !slices.Contains(codecs, w.options.Codec):
		return fmt.Errorf("flag -codec: a file of stream %s is not compressed with %v", w.name, w.options.Codec)
	case w.options.Level < 0 || w.options.Level > most:
		return fmt.Errorf("flag -level: %d is not in 0 to %d, the levels of codec %v", w.options.Level, most, w.options.Codec)
	}
	return nil
}

// convertNamed converts a chain of a configured store.
func (env *environment) convertNamed(c *cli.Context, wanted wantedFiles) error {
	cfg, err := env.load()
	if err != nil {
		return err
	}
	a, err := parseAddress(c.Args().First())
	if err != nil {
		return err
	}
	w := env.newWorld(false)
	defer w.close()
	all, problems := w.folders(c.Context, cfg)
	for _, p := range problems {
		env.complain(fmt.Errorf("warning: %w", p))
	}
	for _, l := range named(all, a.domain) {
		for _, chain := range l.folder.Chains {
			if chain.Name == a.when {
				return w.convert(c.Context, l.repo, l.folder, a.when, wanted)
			}
		}
	}
	return hint(fmt.Errorf("no chain %s of a domain %q on the stores", a.when, a.domain), "vbk list shows the points, which are named DOMAIN@CHAIN.N")
}

// convertPath converts the chain whose folder is named, which lies in a store.
func (env *environment) convertPath(c *cli.Context, wanted wantedFiles) error {
	at, err := filepath.Abs(env.path(c.String("i")))
	if err != nil {
		return err
	}
	elsewhere := func(err error) error {
		return hint(fmt.Errorf("flag -i: %s is not the folder of a chain in a store: %w", c.String("i"), err), "with -o DIR, points of any folder are written to a new one")
	}
	chain, folder, root := filepath.Base(at), filepath.Base(filepath.Dir(at)), filepath.Dir(filepath.Dir(at))
	if !store.IsChainName(chain) || !store.IsFolderName(folder) {
		return elsewhere(errors.New("it has another name"))
	}
	repo, err := local.Open(root)
	if err != nil {
		return elsewhere(err)
	}
	d, err := repo.Domain(c.Context, folder)
	if err != nil {
		return elsewhere(err)
	}
	return env.newWorld(false).convert(c.Context, repo, d, chain, wanted)
}

// convert converts a chain in place.
func (w *world) convert(ctx context.Context, repo *local.Store, d store.Domain, chain string, wanted wantedFiles) error {
	name := d.Name + "@" + chain
	fmt.Fprintf(w.env.stdout, "Converting %s to %s, %v.\n", name, wanted.name, wanted.options.Codec)
	view := restoreView{env: w.env, bars: w.env.newBars(), last: w.env.now()}
	done, err := executor.Convert(ctx, bind.Store{Store: repo}, executor.Conversion{
		Folder: d.Folder, Chain: chain, Stream: wanted.stream, Options: wanted.options, Self: w.self(d.UUID),
		Now: w.env.now(), Random: w.env.random, Version: version,
		Progress: view.passing,
	})
	w.env.endBars()
	switch {
	case executor.IsDamage(err):
		return failWith(exitUnsound, hint(fmt.Errorf("convert %s: %w", name, err), "vbk verify -read-data %s tells what is lost; nothing was changed", d.Name))
	case err != nil:
		return failWith(exitFailed, mended(fmt.Errorf("convert %s: %w", name, err), repo.Path()))
	}
	fmt.Fprintf(w.env.stdout, "Converted: %s, every byte compared; %s before, %s now.\n",
		count(len(done.Manifest.Points), "point"), plan.Bytes(done.Before), plan.Bytes(done.After))
	if done.InUse {
		fmt.Fprintln(w.env.stdout, "A reader holds the old files; they go with the next vbk apply.")
	}
	return nil
}

// convertAway writes points to a folder of their own.
func (env *environment) convertAway(c *cli.Context, wanted wantedFiles) error {
	s, err := env.shelf(c.Context, c.String("i"))
	if err != nil {
		return err
	}
	newest, err := env.open(c.Context, s, c.String("until"), nil)
	if err != nil {
		return err
	}
	opened, err := s.lineage(newest)
	defer func() {
		for _, o := range opened {
			_ = o.Close() // it was only read
		}
	}()
	if err != nil {
		return newest.failed(err)
	}
	if newest.warning != "" {
		env.complain(errors.New("warning: " + newest.warning))
	}
	var points []executor.Origin
	for _, o := range opened {
		points = append(points, executor.Origin{Name: o.id, Start: o.start, RestorePoint: o})
	}
	dir, err := filepath.Abs(env.path(wanted.dir))
	if err != nil {
		return err
	}
	fmt.Fprintf(env.stdout, "Writing %s of %s to %s for %s.\n", newest.name, newest.when, dir, reader(wanted.stream))
	view := restoreView{env: env, bars: env.newBars(), last: env.now()}
	n, why, err := executor.WritePeerFolder(c.Context, points, executor.PeerFolder{
		Dir: dir, Stream: wanted.stream, Options: wanted.options, Progress: view.passing,
	})
	env.endBars()
	if err != nil {
		return newest.failed(fmt.Errorf("convert: %w", err))
	}
	env.tellWritten(dir, points, n, why)
	return nil
}

func reader(stream store.Stream) string {
	if stream == store.Raw {
		return "whoever reads raw images"
	}
	return "virtnbdrestore"
}

// tellWritten says which points a new folder holds, and which it does not.
func (env *environment) tellWritten(dir string, points []executor.Origin, n int, why string) {
	var names []string
	for _, p := range points[len(points)-n:] {
		names = append(names, p.Name)
	}
	fmt.Fprintf(env.stdout, "Written and read back: %s, oldest first: %s.\n", count(n, "point"), strings.Join(names, ", "))
	if older := len(points) - n; older > 0 {
		fmt.Fprintf(env.stdout, "Left out: %s before, because %s.\n", count(older, "point"), why)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // only for people
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			fmt.Fprintf(env.stdout, "  %s  %s\n", e.Name(), plan.Bytes(info.Size()))
		}
	}
}

// lineage opens what a point builds on, oldest first, up to the point itself. What
// is open comes back with an error too.
func (s shelf) lineage(newest opened) (all []opened, err error) {
	byName := map[string]shelved{}
	for _, p := range s.points {
		byName[p.name] = p
	}
	newest.start = byName[newest.id].start
	all = []opened{newest}
	for name := byName[newest.id].parent; name != ""; {
		p, ok := byName[name]
		if !ok || len(p.broken) > 0 || slices.ContainsFunc(all, func(o opened) bool { return o.id == name }) {
			break // the newer ones stand without it, or they could not be restored
		}
		o, err := p.open()
		if err != nil {
			return all, err
		}
		o.id, o.start = p.name, p.start
		all = append([]opened{o}, all...)
		name = p.parent
	}
	return all, nil
}

// passing is progress of one disk after the other: a bar ends when it is full.
func (v *restoreView) passing(disk string, done, total int64) {
	v.progress(disk, done, total)
	if v.bars != nil && done >= total {
		v.bars.end(disk)
	}
}
