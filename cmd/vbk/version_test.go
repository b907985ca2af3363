package main

import (
	"runtime/debug"
	"testing"
)

// TestVersion: what Go records about a build becomes a semantic version whose
// order is that of the commits.
func TestVersion(t *testing.T) {
	const revision, committed = "20bad04b9398c1e2", "2026-11-28T17:43:22Z"
	for _, c := range []struct{ name, linked, module, revision, committed, modified, want string }{
		{"go test, or an archive of the source", "", "(devel)", "", "", "", "0.1.0-dev"},
		{"such an archive, packaged", "0.1.0", "(devel)", "", "", "", "0.1.0"},
		{"a commit before the first tag", "", "v0.0.0-20261128174322-20bad04b9398", revision, committed, "false", "0.1.0-dev.20261128174322"},
		{"one after a tag", "", "v0.1.1-0.20261128174322-20bad04b9398", revision, committed, "false", "0.1.0-dev.20261128174322"},
		{"changed files", "", "v0.0.0-20261128174322-20bad04b9398+dirty", revision, committed, "true", "0.1.0-dev.20261128174322+dirty"},
		{"a tag", "", "v0.1.0", revision, committed, "false", "0.1.0"},
		{"a tag of what is to be tried", "", "v0.2.0-rc.1", revision, committed, "false", "0.2.0-rc.1"},
		{"a tag, and changed files", "", "v0.1.0+dirty", revision, committed, "true", "0.1.0+dirty"},
	} {
		info := &debug.BuildInfo{Main: debug.Module{Version: c.module}}
		if c.revision != "" {
			info.Settings = []debug.BuildSetting{{Key: "vcs.revision", Value: c.revision}, {Key: "vcs.time", Value: c.committed}, {Key: "vcs.modified", Value: c.modified}}
		}
		if got := currentVersion(c.linked, sourceOf(info)); got != c.want {
			t.Errorf("%s: version %s, want %s", c.name, got, c.want)
		}
	}
}
