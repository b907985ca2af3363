package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"vbk/config"
	"vbk/plan"
)

var statusFormats = []string{"text", "json", "nagios", "prometheus", "html"}

func (env *environment) statusCommand() *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "say which machines have a point as new as they should",
		UsageText: "vbk status [-format text|json|nagios|prometheus|html] [-o FILE]",
		Description: "It reads the stores; hosts are asked only which machines there are. Where a host does not answer,\n" +
			"machines with points are reported all the same, and it says that others may not be backed up.\n\n" +
			"html is a page for a browser: what holds each point, and when it goes; prometheus is for the\n" +
			"textfile collector.\n\n" +
			"  vbk status\n  vbk status -format html -o status.html\n" +
			"  vbk status -format prometheus -o /var/lib/prometheus/node-exporter/vbk.prom\n\n" +
			"Exit code 4: something is not as it should be. With -format nagios 0 to 3, as its plugins do.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Usage: "print as `FORMAT`: text, json, nagios, prometheus or html", Value: "text"},
			&cli.StringFlag{Name: "o", Usage: "write to `FILE`, which is replaced whole; - is the terminal"},
		},
		Action: func(c *cli.Context) error {
			format := c.String("format")
			err := env.status(c, format)
			if format == "nagios" && err != nil && err.Error() != "" {
				fmt.Fprintf(env.stdout, "VBK UNKNOWN - %s\n", plain(err.Error()))
				return exit(nagiosUnknown)
			}
			return err
		},
	}
}

func (env *environment) status(c *cli.Context, format string) error {
	if err := env.checkStatus(c, format); err != nil {
		return err
	}
	cfg, err := env.load()
	if err != nil {
		if format == "nagios" {
			return fmt.Errorf("the configuration in %s is not valid: vbk validate says why", env.dir)
		}
		return err
	}
	w := env.newWorld(true)
	defer w.close()
	v := vantage{now: env.now()}
	have, err := w.survey(c.Context, cfg, v)
	if err != nil {
		return err
	}
	p, err := makePlan(cfg, have, plan.Options{Version: version}, v)
	if err != nil {
		return err
	}
	machines, columns := env.table(), env.columns()
	if c.String("o") != "" {
		machines, columns = table{}, 0
	}
	text, code, err := statusOf(cfg, have, p).as(format, machines, columns, func() outlook { return outlookOf(cfg, have, v.now) })
	if err == nil {
		err = env.deliver(text, format, c.String("o"))
	}
	if err != nil {
		return err
	}
	return exit(code)
}

// checkStatus looks at the arguments alone.
func (env *environment) checkStatus(c *cli.Context, format string) error {
	if err := env.noArguments(c); err != nil {
		return err
	}
	if !slices.Contains(statusFormats, format) {
		return fmt.Errorf("flag -format: %q is none of %s", format, strings.Join(statusFormats, ", "))
	}
	if out := c.String("o"); isConfiguration(out) {
		return fmt.Errorf("flag -o: %s is the name of a configuration", out)
	}
	return nil
}

// as is the status in a format, and the exit code; text with that table, in so many
// columns. What lies ahead is worked out where it is shown.
func (s status) as(format string, machines table, columns int, ahead func() outlook) (printed string, code int, err error) {
	text := new(strings.Builder)
	if !s.OK {
		code = exitUnsound
	}
	switch format {
	case "json":
		err = writeJSON(text, s)
	case "nagios":
		var line string
		line, code = s.nagios()
		text.WriteString(line)
	case "prometheus":
		err = s.metrics(text, code)
	case "html":
		err = writePage(text, s, s.config, ahead())
	default:
		s.print(text, machines, columns)
	}
	return text.String(), code, err
}

// deliver prints, or replaces a file whole. What a collector or a web server
// picks up, under a user of its own, everybody may read.
func (env *environment) deliver(text, format, out string) error {
	if out == "" || out == "-" {
		fmt.Fprint(env.stdout, text)
		return nil
	}
	mode := os.FileMode(0o600)
	if format == "prometheus" || format == "html" {
		mode = 0o644
	}
	if err := replaceFile(env.path(out), []byte(text), mode); err != nil {
		return fmt.Errorf("flag -o: %w", err)
	}
	return nil
}

// statusOf puts together what the stores hold, and what the plan says of it.
func statusOf(cfg *config.Config, have plan.Inventory, p plan.Plan) status {
	s := status{FormatVersion: statusVersion, Version: version, Timestamp: p.Created.UTC(), Instances: []machineStatus{}, Stores: []storeStatus{},
		Unclaimed: p.Unclaimed, Departed: p.Departed, Failures: p.Failures, Checks: p.Checks, Complete: len(p.Failures) == 0, config: cfg, hosts: have.Hosts}
	t := tally{cfg: cfg, have: have, now: p.Created}
	for _, i := range p.Instances {
		if i.Want.Release == "" {
			s.Instances = append(s.Instances, t.claimed(i))
		}
	}
	s.Instances = append(s.Instances, t.unseen(p)...)
	slices.SortFunc(s.Instances, func(a, b machineStatus) int { return strings.Compare(a.Address, b.Address) })
	for _, found := range have.Stores {
		s.Stores = append(s.Stores, storeStatus{Address: found.Address, Free: found.Free, Size: found.Size, MinFree: t.store(found.Address).MinFree, Error: found.Error})
	}
	s.OK = len(s.problems()) == 0
	return s
}
