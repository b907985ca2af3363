package main

import (
	"cmp"
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"vbk/config"
	"vbk/store"
	"vbk/store/local"
)

// What completions look up: the value of a placeholder in the command's help.
const (
	livePoint   = "POINT"
	liveDomain  = "DOMAIN"
	liveEither  = "POINT|DOMAIN"
	liveChain   = "DOMAIN@CHAIN"
	liveUntil   = "-until" // a point of what -i names
	liveDisk    = "TARGET"
	liveAddress = "ADDR"
	liveStore   = "ADDRESS"
	liveHost    = "-host"
)

// completionTime is how long a completion looks; who types does not wait longer.
const completionTime = time.Second

// live looks up what can stand under the cursor, quickly and silently: of a store
// only the names of its folders are read, until few are left. goesOn says
// that a word is followed by more.
func (env *environment) live(t *typed, what string) (words []string, goesOn bool) {
	type found struct {
		words  []string
		goesOn bool
	}
	ctx, cancel := context.WithTimeout(context.Background(), completionTime)
	defer cancel()
	answer := make(chan found, 1) // whoever looks at a mount whose server is gone stays there
	env.beside(func() {
		words, goesOn := env.lookUp(ctx, t, what)
		answer <- found{words, goesOn}
	})
	select {
	case f := <-answer:
		return f.words, f.goesOn
	case <-ctx.Done():
		return nil, false
	}
}

func (env *environment) lookUp(ctx context.Context, t *typed, what string) (words []string, goesOn bool) {
	if path := t.value("i"); path != "" {
		return env.lookInto(ctx, path, what), false
	}
	cfg := env.loadQuietly(t)
	if cfg == nil {
		return nil, false
	}
	switch what {
	case liveAddress:
		for _, d := range cfg.Domains {
			words = append(words, d.Address())
		}
	case liveStore:
		for _, s := range cfg.Stores {
			words = append(words, s.Address())
		}
	case liveHost:
		for _, h := range cfg.Hosts {
			words = append(words, h.Name)
		}
	case liveDisk:
		if len(t.args) > 0 {
			domain, when, _ := strings.Cut(t.args[0], "@")
			return diskWords(foldersOf(ctx, cfg, domain), when), false
		}
	case livePoint, liveChain, liveDomain, liveEither:
		return env.lookFor(ctx, cfg, t.word, what)
	}
	return words, false
}

// lookFor looks for domains, and behind the @ for points or chains of one.
func (env *environment) lookFor(ctx context.Context, cfg *config.Config, word, what string) (words []string, goesOn bool) {
	domain, _, behind := strings.Cut(word, "@")
	if behind {
		return pointWords(foldersOf(ctx, cfg, domain), domain+"@", what == liveChain), false
	}
	words = domainNames(ctx, cfg, domain)
	if what == liveDomain || what == liveEither {
		return words, false
	}
	for n := range words {
		words[n] += "@"
	}
	return words, true
}

// loadQuietly is the configuration, as far as it is known; nil if it is not valid.
func (env *environment) loadQuietly(t *typed) *config.Config {
	env.dir = env.path(cmp.Or(t.value("chdir"), "."))
	in := config.Inputs{Getenv: env.getenv, Version: version, Partial: true}
	for _, s := range t.given {
		switch s.flag {
		case "var":
			in.Vars = append(in.Vars, config.VarArg{Assignment: s.value})
		case "var-file":
			in.Vars = append(in.Vars, config.VarArg{File: env.path(s.value)})
		}
	}
	cfg, _, diags := config.Load(env.dir, in)
	if diags.HasErrors() {
		return nil
	}
	return cfg
}

// folder is that of a domain in a store, by its name alone.
type folder struct{ store, name string }

// domain is what the folder was named after.
func (f folder) domain() string { return f.name[:strings.LastIndexByte(f.name, '-')] }

func foldersIn(cfg *config.Config) (all []folder) {
	for _, s := range cfg.Stores {
		entries, _ := os.ReadDir(s.Path) // a store that cannot be read offers nothing
		for _, e := range entries {
			if e.IsDir() && store.IsFolderName(e.Name()) {
				all = append(all, folder{s.Path, e.Name()})
			}
		}
	}
	return all
}

// fewFolders is how many folders are opened for the names of their domains: they
// may have been renamed.
const fewFolders = 20

// domainNames are those that begin with a word, each once; of domains with one name
// their folders.
func domainNames(ctx context.Context, cfg *config.Config, word string) (names []string) {
	all := foldersIn(cfg)
	some := all
	if len(all) > fewFolders {
		some = slices.DeleteFunc(slices.Clone(all), func(f folder) bool { return !strings.HasPrefix(f.name, word) })
	}
	seen := map[string]int{}
	for _, f := range some {
		name := f.domain()
		if len(some) <= fewFolders {
			if d, err := surveyed(ctx, f); err == nil && d.Name != "" {
				name = d.Name
			}
		}
		seen[name]++
		names = append(names, name)
	}
	for n, name := range names {
		if seen[name] > 1 {
			names[n] = some[n].name
		}
	}
	slices.Sort(names)
	return names
}

func surveyed(ctx context.Context, f folder) (store.Domain, error) {
	s, err := local.Open(f.store)
	if err != nil {
		return store.Domain{}, err
	}
	return s.Domain(ctx, f.name)
}

// foldersOf are the folders that a word means, most often one.
func foldersOf(ctx context.Context, cfg *config.Config, word string) (some []store.Domain) {
	all := foldersIn(cfg)
	for _, f := range all {
		if len(all) > fewFolders && f.name != word && f.domain() != word {
			continue
		}
		if d, err := surveyed(ctx, f); err == nil && (d.Name == word || d.Folder == word) {
			some = append(some, d)
		}
	}
	return some
}

// pointWords are latest and all points, newest first, each with what it is; or
// the chains.
func pointWords(folders []store.Domain, before string, chains bool) (words []string) {
	for _, d := range folders {
		for _, c := range slices.Backward(d.Chains) {
			if chains {
				words = append(words, before+c.Name+"\t"+count(len(c.Manifest.Points), "point"))
				continue
			}
			for _, p := range slices.Backward(c.Manifest.Points) {
				about := shortTime(p.Start) + " UTC, " + kindWord(p.Kind)
				if !c.Sound(p.Sequence) {
					about += ", damaged"
				}
				words = append(words, before+pointName(c, p)+"\t"+about)
			}
		}
	}
	if len(words) > 0 && !chains {
		words = append([]string{before + "latest\tthe newest that is sound"}, words...)
	}
	return words
}

// diskWords are the disks of a point, or of all points of a domain.
func diskWords(folders []store.Domain, when string) (words []string) {
	for _, d := range folders {
		for _, c := range d.Chains {
			for _, p := range c.Manifest.Points {
				if _, _, exact := chainPoint(when); !exact || when == pointName(c, p) {
					words = append(words, targets(p)...)
				}
			}
		}
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// lookInto looks at what -i names: one domain's points, or their disks.
func (env *environment) lookInto(ctx context.Context, path, what string) (words []string) {
	all, err := env.shelves(ctx, path)
	if err != nil || len(all) != 1 {
		return nil
	}
	for _, p := range slices.Backward(all[0].points) {
		switch what {
		case liveUntil:
			words = append(words, p.name+"\t"+p.when+", "+p.kind)
		case liveDisk:
			words = append(words, p.disks...)
		}
	}
	if what == liveDisk {
		slices.Sort(words)
		return slices.Compact(words)
	}
	return words
}
