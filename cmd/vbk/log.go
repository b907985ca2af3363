package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"vbk/config"
	"vbk/executor"
	"vbk/plan"
)

// The environment variables of the log.
const (
	logLevel  = "VBK_LOG"        // debug, info, warn, error; off
	logFormat = "VBK_LOG_FORMAT" // text or json
	logPath   = "VBK_LOG_PATH"   // a file to append to; otherwise standard error
)

// journal is the log: what a command does and how long it takes, for whoever
// looks for a cause. It never holds a secret: command lines are told without the
// values of their flags, and what the configuration calls sensitive is replaced
// wherever it turns up.
type journal struct {
	*slog.Logger
	file   io.Closer // nil: standard error
	mu     sync.Mutex
	hidden []string
}

// openLog begins the log that the environment asks for.
func (env *environment) openLog() error {
	j := &journal{Logger: slog.New(slog.DiscardHandler)}
	env.log = j
	word := strings.ToLower(env.getenv(logLevel))
	if word == "" || word == "off" {
		return nil
	}
	levels := map[string]slog.Level{"trace": slog.LevelDebug, "debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	level, ok := levels[word]
	if !ok {
		return fmt.Errorf("environment variable %s: %q is none of debug, info, warn, error, off", logLevel, word)
	}
	out := env.stderr
	if name := env.getenv(logPath); name != "" {
		f, err := os.OpenFile(env.path(name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return fmt.Errorf("environment variable %s: %w", logPath, err)
		}
		out, j.file = f, f
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: j.clean}
	switch format := strings.ToLower(env.getenv(logFormat)); format {
	case "", "text":
		j.Logger = slog.New(slog.NewTextHandler(out, options))
	case "json":
		j.Logger = slog.New(slog.NewJSONHandler(out, options))
	default:
		return errors.Join(fmt.Errorf("environment variable %s: %q is none of text, json", logFormat, format), j.close())
	}
	return nil
}

func (j *journal) close() error {
	if j == nil || j.file == nil {
		return nil
	}
	if err := j.file.Close(); err != nil {
		return fmt.Errorf("environment variable %s: %w", logPath, err)
	}
	return nil
}

// hide keeps values out of the log.
func (j *journal) hide(values []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, v := range values {
		if !slices.Contains(j.hidden, v) {
			j.hidden = append(j.hidden, v)
		}
	}
}

// clean is what is written of an attribute, the message included.
func (j *journal) clean(_ []string, a slog.Attr) slog.Attr {
	switch value := a.Value.Any().(type) {
	case string:
		a.Value = slog.StringValue(j.without(value))
	case error:
		a.Value = slog.StringValue(j.without(value.Error()))
	case time.Duration: // which JSON would show as a number without a unit
		a.Value = slog.StringValue(value.String())
	case []string:
		some := make([]string, len(value))
		for i, s := range value {
			some[i] = j.without(s)
		}
		a.Value = slog.AnyValue(some)
	}
	return a
}

func (j *journal) without(text string) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return executor.Masked(text, j.hidden, "(sensitive)")
}

// began tells which command runs, in which way: the names of flags, not their
// values, which may be secrets.
func (j *journal) began(c *cli.Context, dir string) {
	j.Info("vbk begins", "version", version, "command", c.Command.Name, "flags", c.LocalFlagNames(), "directory", dir, "pid", os.Getpid())
}

// ended tells how the command ended.
func (j *journal) ended(code int, took time.Duration) {
	j.Info("vbk ends", "exit_code", code, "took", took.Round(time.Millisecond))
}

// opened tells of a host or a store.
func (j *journal) opened(kind, name, where string, began, ended time.Time, err error) {
	took := ended.Sub(began).Round(time.Millisecond)
	if err != nil {
		j.Error("cannot open "+kind, kind, name, "at", withoutPassword(where), "took", took, "error", err)
		return
	}
	j.Info("opened "+kind, kind, name, "at", withoutPassword(where), "took", took)
}

// withoutPassword is a URI or a path as it may be shown.
func withoutPassword(where string) string {
	u, err := url.Parse(where)
	if err != nil || u.User == nil {
		return where
	}
	return u.Redacted()
}

// call tells of a call of libvirt.
func (j *journal) call(uri string) func(what, uuid string, took time.Duration, err error) {
	return func(what, uuid string, took time.Duration, err error) {
		level, more := slog.LevelDebug, []any{"call", what, "uuid", uuid, "uri", withoutPassword(uri), "took", took.Round(time.Millisecond)}
		if err != nil {
			more = append(more, "error", err)
		}
		j.Log(context.Background(), level, "libvirt", more...)
	}
}

// planned tells what a plan came to.
func (j *journal) planned(p plan.Plan) {
	s := sumsOf(p)
	j.Info("planned", "instances", len(p.Instances), "add", s.Add, "change", s.Change, "destroy", s.Destroy, "failures", len(failures(p)))
	for _, i := range p.Instances {
		for _, a := range i.Actions {
			j.Debug("action", "address", i.Want.Address, "kind", a.Kind, "reason", a.Reason)
		}
		if i.Idle != "" {
			j.Debug("idle", "address", i.Want.Address, "reason", i.Idle)
		}
	}
}

// events tells the events of a run, before next sees them.
func (j *journal) events(next func(executor.Event)) func(executor.Event) {
	return func(e executor.Event) {
		j.event(e)
		next(e)
	}
}

func (j *journal) event(e executor.Event) {
	about := []any{"address", e.Address}
	if e.Action != nil {
		about = append(about, "action", e.Action.Kind)
	}
	switch e.Kind {
	case executor.Progress:
		j.Debug("progress", append(about, "disk", e.Disk, "done", e.Done, "total", e.Total)...)
	case executor.Done:
		if e.Point != nil {
			about = append(about, "point", fmt.Sprintf("%s.%d", e.Chain, e.Point.Sequence), "read", readBytes(*e.Point), "stored", e.Point.Stored())
		}
		j.Info("done", about...)
	case executor.Skipped:
		j.Info("skipped", append(about, "why", e.Why)...)
	case executor.Warned:
		j.Warn("warning", append(about, "error", e.Err)...)
	case executor.Failed:
		j.Error("failed", append(about, "error", e.Err)...)
	default:
		j.Info(string(e.Kind), about...)
	}
}

// secretsOf are the values that a configuration holds for programs and services,
// and those of its sensitive variables.
func secretsOf(cfg *config.Config) []string {
	all := slices.Clone(cfg.Secrets)
	for _, d := range cfg.Domains {
		for _, h := range d.Policy.Hooks {
			for _, value := range h.Env {
				if len(value) > len("false") { // what is short and not called sensitive is a switch or a count
					all = append(all, value)
				}
			}
		}
	}
	return all
}

// trace tells what the executor does besides its events.
func (j *journal) trace(what string, about ...any) { j.Debug(what, about...) }

// logs is the log, which drops everything before it is opened.
func (env *environment) logs() *journal {
	if env.log == nil {
		return &journal{Logger: slog.New(slog.DiscardHandler)}
	}
	return env.log
}
