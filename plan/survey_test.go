package plan

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"vbk/config"
	"vbk/store"
	"vbk/virt"
)

// fake is a hypervisor and a repository whose step fails.
type fake struct {
	failing string
	id      string
}

type hinted struct{ error }

func (hinted) Hint() string { return "look there" }

func (f fake) step(name string) error {
	if f.failing == name {
		return fmt.Errorf("wrapped: %w", hinted{errors.New(name + " failed")})
	}
	return nil
}

func (f fake) UUID(context.Context) (string, error) { return "host-" + f.id, f.step("uuid") }
func (f fake) ID() string                           { return f.id }
func (f fake) Free() (int64, error)                 { return 7, f.step("free") }
func (f fake) Size() (int64, error)                 { return 9, f.step("size") }

func (f fake) Domains(context.Context) ([]virt.Domain, error) {
	return []virt.Domain{{Name: "on-" + f.id}}, f.step("domains")
}

type fakeStore struct{ fake }

func (f fakeStore) Domains(context.Context) ([]store.Domain, error) {
	return []store.Domain{{Folder: "in-" + f.id}}, f.step("domains")
}

func TestSurvey(t *testing.T) {
	cfg := &config.Config{
		Hosts:  []config.Host{{Name: "open"}, {Name: "good"}, {Name: "uuid"}, {Name: "domains"}},
		Stores: []config.Store{{Kind: "local", Name: "open"}, {Kind: "local", Name: "good"}, {Kind: "local", Name: "free"}, {Kind: "local", Name: "size"}, {Kind: "local", Name: "domains"}},
	}
	open := Openers{
		Host: func(_ context.Context, h config.Host) (Hypervisor, error) {
			f := fake{failing: h.Name, id: h.Name}
			return f, f.step("open")
		},
		Store: func(s config.Store) (Repository, error) {
			f := fake{failing: s.Name, id: s.Name}
			return fakeStore{f}, f.step("open")
		},
	}
	// What failed carries its error and nothing else; the order is the configuration's.
	expected := Inventory{
		Taken: noon,
		Hosts: []Host{
			{Name: "open", Error: "wrapped: open failed", Hint: "look there"},
			{Name: "good", UUID: "host-good", Domains: []virt.Domain{{Name: "on-good"}}},
			{Name: "uuid", Error: "wrapped: uuid failed", Hint: "look there"},
			{Name: "domains", Error: "wrapped: domains failed", Hint: "look there"},
		},
		Stores: []Store{
			{Address: "store.local.open", Error: "wrapped: open failed", Hint: "look there"},
			{Address: "store.local.good", ID: "good", Free: 7, Size: 9, Domains: []store.Domain{{Folder: "in-good"}}},
			{Address: "store.local.free", Error: "wrapped: free failed", Hint: "look there"},
			{Address: "store.local.size", Error: "wrapped: size failed", Hint: "look there"},
			{Address: "store.local.domains", Error: "wrapped: domains failed", Hint: "look there"},
		},
	}
	if d := cmp.Diff(expected, Survey(context.Background(), cfg, open, noon)); d != "" {
		t.Errorf("survey: %s", d)
	}
	if hint := hintOf(errors.New("plain")); hint != "" {
		t.Errorf("hint %q from nowhere", hint)
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 59 * time.Second: "59s", time.Minute: "1m", 119 * time.Minute: "119m", 2 * time.Hour: "2h",
		25 * time.Hour: "25h", 71*time.Hour + 59*time.Minute: "71h", 72 * time.Hour: "3d", 7*day - time.Hour: "7d", 400 * day: "400d",
	} {
		if got := Age(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.00 KiB", 1536: "1.50 KiB", 99 << 10: "99.0 KiB", 118 << 30: "118 GiB",
		999 << 20: "999 MiB", 1000 << 20: "0.98 GiB", 1 << 62: "4096 PiB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestSurveyPanicsInItsCaller(t *testing.T) {
	defer func() {
		if bug := recover(); bug != "a bug" {
			t.Errorf("recovered %v, want the panic of the opener", bug)
		}
	}()
	want := &config.Config{Hosts: []config.Host{{Name: "local"}}}
	Survey(t.Context(), want, Openers{Host: func(context.Context, config.Host) (Hypervisor, error) { panic("a bug") }}, time.Now())
	t.Error("Survey returned")
}

// hung is a host and a store on a mount whose server is gone: nothing that
// touches it comes back before the server does.
type hung struct{ back chan struct{} }

func (h hung) UUID(context.Context) (string, error) { return "host", nil }
func (h hung) ID() string                           { return storeID }
func (h hung) Free() (int64, error)                 { <-h.back; return 0, nil }
func (h hung) Size() (int64, error)                 { <-h.back; return 0, nil }

func (h hung) Domains(ctx context.Context) ([]virt.Domain, error) {
	<-ctx.Done()
	return nil, fmt.Errorf("list domains: %w", ctx.Err())
}

type hungStore struct{ hung }

func (hungStore) Domains(context.Context) ([]store.Domain, error) { return nil, nil }

func TestSurveyDoesNotHang(t *testing.T) {
	cfg := &config.Config{
		Hosts:  []config.Host{{Name: "opening"}, {Name: "answering"}},
		Stores: []config.Store{{Kind: "local", Name: "hung"}, {Kind: "local", Name: "good"}},
	}
	survey := func(t *testing.T, ctx context.Context) (Inventory, time.Duration) {
		h := hung{make(chan struct{})}
		defer close(h.back)
		open := Openers{
			Host: func(ctx context.Context, c config.Host) (Hypervisor, error) {
				if c.Name == "opening" {
					<-h.back
				}
				return h, ctx.Err()
			},
			Store: func(s config.Store) (Repository, error) {
				if s.Name == "hung" {
					return hungStore{h}, nil
				}
				return fakeStore{fake{id: s.Name}}, nil
			},
		}
		began := time.Now()
		v := Survey(ctx, cfg, open, noon)
		return v, time.Since(began)
	}
	expected := func(host, store1 string) Inventory {
		return Inventory{Taken: noon,
			Hosts: []Host{{Name: "opening", Error: host}, {Name: "answering", Error: host}},
			Stores: []Store{{Address: "store.local.hung", Error: store1},
				{Address: "store.local.good", ID: "good", Free: 7, Size: 9, Domains: []store.Domain{{Folder: "in-good"}}}}}
	}
	synctest.Test(t, func(t *testing.T) {
		v, took := survey(t, t.Context())
		if d := cmp.Diff(expected("host did not answer within 300s", "store did not answer within 60s"), v); d != "" || took != hostPatience {
			t.Errorf("after %s: %s", took, d)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		v, took := survey(t, ctx)
		if d := cmp.Diff(expected("context deadline exceeded", "context deadline exceeded"), v); d != "" || took != time.Second {
			t.Errorf("after %s: %s", took, d)
		}
	})
}

// TestConnectionOutlivesSurvey: who opens a host may tie its connection to the
// context that it gets.
func TestConnectionOutlivesSurvey(t *testing.T) {
	var opened context.Context
	Survey(t.Context(), &config.Config{Hosts: []config.Host{{Name: "h"}}}, Openers{Host: func(ctx context.Context, _ config.Host) (Hypervisor, error) {
		opened = ctx
		return fake{}, nil
	}}, noon)
	if err := opened.Err(); err != nil {
		t.Error(err)
	}
}
