//go:build cgo

package main

import (
	"path/filepath"
	"regexp"
	"testing"
)

// testDrill boots the newest point beside the machine, and defines another of it.
func (r real) testDrill(t *testing.T) {
	t.Helper()
	out, _ := r.run(t, 0, "drill", "web01@latest", "-boot", "guest: ready", "-scratch", r.root.Dir())
	wantText(t, out, "Booted after ")
	out, _ = r.run(t, 4, "drill", "web01@latest", "-boot", "never said", "-timeout", "1s", "-scratch", r.root.Dir())
	wantText(t, out, "Booting web01@")
	out, _ = r.run(t, 4, "status", "-format", "prometheus")
	for _, sample := range []string{"vbk_drill_last_attempt_success{.*} 0\n", "vbk_drill_last_success_timestamp_seconds{.*} 1", "vbk_drill_restore_seconds{.*} [0-9.]*[1-9]"} {
		if !regexp.MustCompile(sample).MatchString(out) {
			t.Errorf("%s is not in\n%s", sample, out)
		}
	}
	out, _ = r.run(t, 4, "status")
	wantText(t, out, "the last drill, of web01@")
	r.killedDrill(t)
	out, _ = r.run(t, 0, "restore", "web01@latest", "-o", filepath.Join(r.root.Dir(), "again"), "-define")
	wantText(t, out, "Defined web01-restored, UUID ")
	if err := r.root.Undefine("web01-restored"); err != nil {
		t.Error(err)
	}
	r.wantClean(t)
}
