package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vbk/virt"
	"vbk/virt/virttest"
)

// receiver is a service that hooks call; it notes what it hears.
type receiver struct {
	mu    sync.Mutex
	heard []string // METHOD PATH BODY
}

func (r *receiver) ServeHTTP(_ http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body) // what is missing shows
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = append(r.heard, fmt.Sprintf("%s %s %s", q.Method, q.URL.Path, body))
}

func (r *receiver) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.heard
	r.heard = nil
	return all
}

// TestHooksExample runs examples/hooks, with its curl and jq, against a service on
// this machine: what arrives after a point, after a failure, and when the service
// is not there.
func TestHooksExample(t *testing.T) {
	for _, tool := range []string{"curl", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("VBK_REQUIRE_PEERS") == "1" {
				t.Fatalf("VBK_REQUIRE_PEERS=1: %v", err)
			}
			t.Skip(err)
		}
	}
	var service receiver
	server := httptest.NewServer(&service)
	defer server.Close()
	dir := t.TempDir()
	example(t, dir, map[string]string{`"/srv/backup"`: `"backup"`, `"/usr/local/sbin/erp-flush"`: `"` + filepath.Join(dir, "flush") + `"`})
	flush := func(script string) {
		if err := os.WriteFile(filepath.Join(dir, "flush"), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	th := &theatre{hosts: map[string]*twin{}, random: &dice{source: rand.NewChaCha8(sha256.Sum256([]byte(t.Name())))}, time: clock{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}}
	h := &twin{Host: virttest.New()}
	th.hosts["qemu:///system"] = h
	for n, name := range []string{"erp", "web01"} {
		h.Define(virt.Domain{Name: name, UUID: fmt.Sprintf("%08d-0000-4000-8000-000000000000", n+1), ProcessUID: -1, ProcessGID: -1,
			Disks: []virt.Disk{{Target: "vda", Type: "file", Source: "/images/" + name, Format: "qcow2"}}}, map[string][]byte{"vda": noise(1<<20, name)})
	}
	vbk := func(code int, args ...string) string {
		var out bytes.Buffer
		env := &environment{
			stdin: strings.NewReader(""), stdout: &out, stderr: &out, root: true, dir: dir,
			getenv: func(name string) string {
				return map[string]string{"VBK_VAR_webhook": server.URL + "/chat/s3cret", "VBK_VAR_ping": server.URL + "/ping/1"}[name]
			},
			now: th.clock, random: th.random, openHost: th.openHost, dial: th.dial,
		}
		if got := env.main(context.Background(), append([]string{"vbk"}, args...)); got != code || strings.Contains(out.String(), "s3cret") {
			t.Fatalf("vbk %v: exit code %d, want %d\n%s", args, got, code, &out)
		}
		return out.String()
	}
	flush("echo \"flushed $VBK_DOMAIN\"")
	vbk(0, "init")
	vbk(0, "apply", "-auto-approve", "-parallelism", "1")
	told := service.take()
	wantHeard(t, told, "post", "erp", "web01")
	if n := strings.Count(strings.Join(told, "\n"), "GET /ping/1 "); n != 2 {
		t.Errorf("%d pings in %q", n, told)
	}

	th.time.pass(25 * time.Hour)
	flush("echo the application says \\\"no\\\" >&2; exit 1")
	vbk(3, "apply", "-auto-approve", "-target", "domain.erp")
	told = service.take()
	wantHeard(t, told, "fail", "erp")
	if want := `POST /ping/1/fail erp: hook "pre": exit status 1: the application says \"no\"`; len(told) != 2 || told[1] != want {
		t.Errorf("the ping is %q, want %s", told, want)
	}

	server.Close()
	out := vbk(0, "apply", "-auto-approve", "-target", "domain.all")
	wantText(t, out, `warning: hook "post": exit status 7`, "Apply complete: 1 done")
}

// wantHeard wants one message of each domain to the webhook, in any order.
func wantHeard(t *testing.T, told []string, event string, domains ...string) {
	t.Helper()
	seen := map[string]bool{}
	for _, line := range told {
		text, ok := strings.CutPrefix(line, "POST /chat/s3cret ")
		if !ok {
			continue
		}
		var message struct {
			Event, Domain, Host, Store, Address, Point, Kind, Error string
			StoredBytes                                             int64 `json:"stored_bytes"`
		}
		if err := json.Unmarshal([]byte(text), &message); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		m := message
		if m.Event != event || m.Host != "local" || m.Store != "store.local.nas" || !strings.HasPrefix(m.Address, "domain.") ||
			(event == "post") != (m.StoredBytes > 0 && strings.HasPrefix(m.Point, m.Domain+"@") && m.Kind == "full") || (event == "fail") != (m.Error != "") {
			t.Errorf("the webhook heard %s", text)
		}
		seen[m.Domain] = true
	}
	for _, d := range domains {
		if !seen[d] {
			t.Errorf("the webhook heard nothing of %s: %q", d, told)
		}
	}
	if len(seen) != len(domains) {
		t.Errorf("the webhook heard %q", told)
	}
}

// example copies the configuration of examples/hooks, with some words replaced.
func example(t *testing.T, dir string, words map[string]string) {
	t.Helper()
	text, err := os.ReadFile("../../examples/hooks/backup.vbk.hcl")
	if err != nil {
		t.Fatal(err)
	}
	for old, new := range words {
		if !bytes.Contains(text, []byte(old)) {
			t.Fatalf("the example does not have %s", old)
		}
		text = bytes.ReplaceAll(text, []byte(old), []byte(new))
	}
	text = append(text, fmt.Sprintf("\nhost \"local\" {\n  scratch_dir = %q\n}\n", t.TempDir())...)
	if err := os.WriteFile(filepath.Join(dir, "backup.vbk.hcl"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}
