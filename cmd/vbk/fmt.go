package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/urfave/cli/v2"

	"vbk/config"
)

func (env *environment) fmtCommand() *cli.Command {
	return &cli.Command{
		Name: "fmt", Usage: "rewrite configuration files in the canonical style", ArgsUsage: "[PATH...]",
		UsageText: "vbk fmt [-check] [-diff] [-recursive] [PATH...]",
		Description: "PATH is a file or a directory; without one it is the working directory.\n\n" +
			"  vbk fmt\n  vbk fmt -check -diff -recursive",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "check", Usage: "change nothing, exit 1 if a file is not formatted"},
			&cli.BoolFlag{Name: "diff", Usage: "show what changes"},
			&cli.BoolFlag{Name: "recursive", Usage: "also in folders below"},
		},
		Action: func(c *cli.Context) error {
			paths := c.Args().Slice()
			if len(paths) == 0 {
				paths = []string{"."}
			}
			for i, p := range paths {
				paths[i] = env.path(p)
			}
			files, err := config.FindFormattable(paths, c.Bool("recursive"))
			if err != nil {
				return fmt.Errorf("fmt: %w", err)
			}
			return env.format(files, c.Bool("check"), c.Bool("diff"))
		},
	}
}

// format rewrites what is not in the canonical style, or only tells.
func (env *environment) format(files []string, check, show bool) error {
	code := exitOK
	for _, path := range files {
		before, after, diags := config.FormatFile(path)
		if diags.HasErrors() {
			code = exitUsage
			if err := config.WriteDiagnostics(env.stderr, config.Files{path: {Bytes: before}}, diags, env.diagnosticWidth(), env.errColor); err != nil {
				return fmt.Errorf("print diagnostics: %w", err)
			}
			continue
		}
		if bytes.Equal(before, after) {
			continue
		}
		fmt.Fprintln(env.stdout, path)
		if show {
			fmt.Fprintf(env.stdout, "%s", diff.Diff(path, before, path+" (formatted)", after))
		}
		if check {
			code = exitUsage
		} else if err := rewrite(path, after); err != nil {
			return fmt.Errorf("fmt: %w", err)
		}
	}
	return exit(code)
}

func rewrite(path string, text []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, info.Mode().Perm())
}
