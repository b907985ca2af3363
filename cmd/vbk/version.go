package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"

	"vbk/format"
)

func (env *environment) versionCommand() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print the version, and what this build can do",
		UsageText: "vbk version [-json]",
		Flags:     []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print one JSON object"}},
		Action: func(c *cli.Context) error {
			if err := env.noArguments(c); err != nil {
				return err
			}
			if c.Bool("json") {
				return writeJSON(env.stdout, versionOf())
			}
			fmt.Fprintf(env.stdout, "vbk %s%s, stream format v%d, %s, %s/%s, %s\n",
				version, buildInfo(), format.Version, build, runtime.GOOS, runtime.GOARCH, runtime.Version())
			return nil
		},
	}
}

// versionDocument is what this program is, for programs; docs/schema/version.json
// describes it.
type versionDocument struct {
	FormatVersion string `json:"format_version"`
	Version       string `json:"vbk_version"`
	Commit        string `json:"commit,omitempty"`
	CommitDay     string `json:"commit_day,omitempty"`
	Changed       bool   `json:"changed"` // since the commit
	Stream        int    `json:"stream_version"`
	Hypervisor    bool   `json:"hypervisor"` // it has libvirt and NBD
	Platform      string `json:"platform"`
	Go            string `json:"go_version"`
}

func versionOf() versionDocument {
	s := buildInfo()
	return versionDocument{FormatVersion: "1.0", Version: version, Commit: s.commit, CommitDay: s.day, Changed: s.changed,
		Stream: format.Version, Hypervisor: hasLibvirt, Platform: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
}

// source is what this program was built from, as far as it knows.
type source struct {
	commit  string
	day     string // of the commit, 2026-11-22
	changed bool   // since the commit
}

func buildInfo() (s source) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return s
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			s.commit = setting.Value[:min(len(setting.Value), 12)]
		case "vcs.time":
			s.day = setting.Value[:min(len(setting.Value), len("2006-01-02"))]
		case "vcs.modified":
			s.changed = setting.Value == "true"
		}
	}
	return s
}

func (s source) String() string {
	switch {
	case s.commit == "":
		return ""
	case s.changed:
		return fmt.Sprintf(" (commit %s of %s, changed)", s.commit, s.day)
	}
	return fmt.Sprintf(" (commit %s of %s)", s.commit, s.day)
}
