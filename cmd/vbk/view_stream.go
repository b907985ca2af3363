package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"vbk/plan"
)

// streamVersion of the lines that -json prints; docs/schema/stream.json
// describes them.
const streamVersion = "1.0"

// stream writes events as JSON objects, one a line, in the envelope of
// Terraform's -json. Several goroutines may write.
type stream struct {
	mu  sync.Mutex
	out io.Writer
	now func() time.Time
	err error // the first of a write
}

// line is one event. The fields of its type stand beside the envelope's.
type line struct {
	level, kind, message string
	fields               map[string]any
}

func (s *stream) write(l line) {
	object := map[string]any{
		"@level": l.level, "@message": l.message, "@module": "vbk.ui",
		"@timestamp": s.now().UTC().Format("2006-01-02T15:04:05.000000Z07:00"), "type": l.kind,
	}
	for key, value := range l.fields {
		object[key] = value
	}
	text, err := json.Marshal(object)
	if err != nil {
		panic("vbk: an event is always encodable: " + err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		_, s.err = s.out.Write(append(text, '\n'))
	}
}

// streamFlags choose streams; plan and apply have them.
func streamFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "json", Usage: "print JSON objects, one a line, in place of text"},
		&cli.StringFlag{Name: "json-into", Usage: "write the same objects to `FILE`, beside the text"},
	}
}

// openStreams begins what the flags ask for; main ends it. With -json there is
// nothing else on stdout; errors are told on stderr, too.
func (env *environment) openStreams(c *cli.Context) error {
	if name := c.String("json-into"); name != "" {
		if isConfiguration(name) {
			return fmt.Errorf("flag -json-into: %s is the name of a configuration", name)
		}
		err := replaceable(env.path(name))
		var file *os.File
		if err == nil {
			file, err = os.OpenFile(env.path(name), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		}
		if err != nil {
			return fmt.Errorf("flag -json-into: %w", err)
		}
		env.streams = append(env.streams, &stream{out: file, now: env.now})
	}
	if c.Bool("json") {
		env.streams = append(env.streams, &stream{out: env.stdout, now: env.now})
		env.stdout, env.terminal, env.color = io.Discard, false, false
	}
	env.tell(line{"info", "version", "vbk " + version, map[string]any{"vbk": version, "ui": streamVersion}})
	return nil
}

// closeStreams ends all streams, and says which lines were lost.
func (env *environment) closeStreams() error {
	var lost error
	for _, s := range env.streams {
		if file, ok := s.out.(*os.File); ok && file != os.Stdout {
			if err := file.Close(); s.err == nil {
				s.err = err
			}
		}
		if s.err != nil {
			lost = fmt.Errorf("write JSON: %w", s.err)
		}
	}
	env.streams = nil
	return lost
}

func (env *environment) tell(l line) {
	for _, s := range env.streams {
		s.write(l)
	}
}

// tellPlan tells what is planned.
func (env *environment) tellPlan(p plan.Plan) {
	if len(env.streams) == 0 {
		return
	}
	for _, c := range changes(p) {
		env.tell(line{"info", "planned_change", fmt.Sprintf("%s: plan to %s", c.Address, c.verb()), map[string]any{
			"change": map[string]any{"resource": c.resource(), "action": c.verb(), "reason": c.Reason}}})
	}
	for _, w := range warnings(p) {
		env.tellProblem("warning", w, "")
	}
	for _, note := range notes(p) {
		env.tell(line{"info", "log", note, nil})
	}
	s := sumsOf(p)
	env.tell(line{"info", "change_summary", s.String(), s.fields("plan")})
}

// tellProblem tells an error or a warning; detail is what to do about it.
func (env *environment) tellProblem(severity, summary, detail string) {
	env.tellDiagnostic(diagnostic{Severity: severity, Summary: summary, Detail: detail})
}

func (env *environment) tellDiagnostic(d diagnostic) {
	level := map[string]string{"error": "error", "warning": "warn"}[d.Severity]
	env.tell(line{level, "diagnostic", d.Summary, map[string]any{"diagnostic": d}})
}

// resource names a change as Terraform names a resource.
func (c change) resource() map[string]any {
	return map[string]any{
		"addr": c.Address, "module": "", "resource": c.Address, "implied_provider": c.ProviderName,
		"resource_type": c.Type, "resource_name": c.Name, "resource_key": c.Index,
	}
}

// String is the line that readers of Terraform's output look for.
func (s sums) String() string {
	return fmt.Sprintf("Plan: %d to add, %d to change, %d to destroy.", s.Add, s.Change, s.Destroy)
}

func (s sums) fields(operation string) map[string]any {
	return map[string]any{"changes": map[string]any{
		"add": s.Add, "change": s.Change, "remove": s.Destroy, "import": 0, "operation": operation,
	}}
}
