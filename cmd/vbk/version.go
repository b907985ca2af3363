package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"vbk/format"
)

// unreleased is the version that is being worked on.
const unreleased = "0.1.0-dev"

// linked is the version that somebody gives who builds without the repository:
// go build -ldflags "-X main.linked=0.1.0".
var linked string

// version is this program's, a semantic version.
var version = currentVersion(linked, buildInfo())

func (env *environment) versionCommand() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print the version, and what this build can do",
		UsageText: "vbk version [-json]", Description: "  vbk version -json",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "print one JSON object"}},
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
	tag     string // a version that was released, v0.1.0; of changed files, too
	commit  string
	time    time.Time // of the commit
	day     string    // of the commit, 2026-11-22
	changed bool      // since the commit
}

func buildInfo() source {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return source{}
	}
	return sourceOf(info)
}

func sourceOf(info *debug.BuildInfo) (s source) {
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			s.commit = setting.Value[:min(len(setting.Value), 12)]
		case "vcs.time":
			s.time, _ = time.Parse(time.RFC3339, setting.Value)
			s.day = setting.Value[:min(len(setting.Value), len("2006-01-02"))]
		case "vcs.modified":
			s.changed = setting.Value == "true"
		}
	}
	tag, _, _ := strings.Cut(info.Main.Version, "+")
	if s.commit != "" && strings.HasPrefix(tag, "v") && !strings.HasSuffix(tag, "-"+s.commit) { // else a pseudo-version
		s.tag = tag
	}
	return s
}

// currentVersion is the tag of the commit, or the version to come with the time of
// the commit, so that later ones are newer; "+dirty" where files were changed since.
func currentVersion(linked string, s source) string {
	v := unreleased
	switch {
	case linked != "":
		return linked
	case s.tag != "":
		v = strings.TrimPrefix(s.tag, "v")
	case !s.time.IsZero():
		v += s.time.UTC().Format(".20060102150405")
	}
	if s.changed {
		v += "+dirty"
	}
	return v
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
