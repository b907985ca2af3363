package config

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sections are the parts of docs/language.md by heading.
func sections(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../docs/language.md")
	if err != nil {
		t.Fatal(err)
	}
	all, heading := map[string]string{}, ""
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "#") {
			heading = strings.TrimSpace(strings.TrimLeft(line, "#"))
			continue
		}
		all[heading] += line
	}
	return all
}

var quotedName = regexp.MustCompile("`([a-z0-9_.]+)`")

// documented are the attributes in the tables of a section, with what the
// table says of their defaults.
func documented(section string) map[string]string {
	defaults := map[string]string{}
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if !strings.HasPrefix(line, "| `") || len(cells) < 2 {
			continue
		}
		for _, name := range quotedName.FindAllStringSubmatch(cells[0], -1) {
			defaults[name[1]] = strings.TrimSpace(cells[len(cells)-1])
		}
	}
	return defaults
}

// generateDefaults writes the defaults of the program into the tables of a section,
// where a table tells them as values: make docs, which sets UPDATE_DOCS=1.
func generateDefaults(t *testing.T, heading string, defaults map[string]string) {
	t.Helper()
	if os.Getenv("UPDATE_DOCS") != "1" {
		return
	}
	page, err := os.ReadFile("../docs/language.md")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	at := ""
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "#") {
			at = strings.TrimSpace(strings.TrimLeft(line, "#"))
		}
		if row := strings.TrimSuffix(line, " |\n"); at == heading && strings.HasPrefix(line, "| `") && row != line {
			name, last := quotedName.FindStringSubmatch(line), strings.LastIndex(row, " | ")
			if value, ok := defaults[name[1]]; ok && strings.HasPrefix(row[last+3:], "`") {
				line = row[:last] + " | `" + value + "` |\n"
			}
		}
		out.WriteString(line)
	}
	if err := os.WriteFile("../docs/language.md", []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDefaultsAreDocumented compares the table of policy attributes with the
// program, both ways.
func TestDefaultsAreDocumented(t *testing.T) {
	known := map[string]string{}
	for _, s := range policySettings {
		known[s.path] = s.standard
	}
	generateDefaults(t, "Policy attributes", known)
	table, want := documented(sections(t)["Policy attributes"]), map[string]string{}
	for name, s := range table {
		if !strings.HasPrefix(name, "copy.") && !strings.HasPrefix(name, "hook.") {
			want[name] = s
		}
	}
	have := map[string]string{}
	for _, s := range policySettings {
		have[s.path] = "`" + s.standard + "`"
		if text := want[s.path]; s.standard == "null" && text != "" && !strings.HasPrefix(text, "`") {
			have[s.path] = text // said in words
		}
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("docs/language.md (-) and the program (+):\n%s", diff)
	}
}

// defaultsOf are the attributes of a spec as they are shown where nothing is
// set, those of its blocks with the block's name.
func defaultsOf[T any](s spec[T], defaults T) map[string]string {
	all := map[string]string{}
	add := func(prefix string, fields []field[T]) {
		for _, f := range fields {
			if f.set != nil {
				all[prefix+f.name] = f.show(&defaults)
			}
		}
	}
	add("", s.fields)
	for _, b := range s.blocks {
		add(b.name+".", b.fields)
	}
	return all
}

// TestAttributesAreDocumented compares the tables of all other blocks with the
// program: the names both ways, and the defaults that are told as values.
func TestAttributesAreDocumented(t *testing.T) {
	all := sections(t)
	host := defaultsOf(hostSpec(), defaultHost())
	host["for_each"] = "null"
	for heading, want := range map[string]map[string]string{
		"vbk":                   {"name": "null", "required_version": "null", "time_zone": `"UTC"`},
		"variable NAME":         {"type": "null", "default": "null", "description": "null", "sensitive": "false", "validation": "null"},
		"removed":               {"from": "null"},
		`encryption "age" NAME`: defaultsOf(encryptionSpec(), encryption{}),
		"host NAME":             host,
		`store "local" NAME`:    defaultsOf(localSpec(), defaultPlace()),
		`store "s3" NAME`:       defaultsOf(s3Spec(), defaultPlace()),
		"domain NAME":           defaultsOf(spec[Domain]{fields: selectorFields()}, Domain{}),
	} {
		generateDefaults(t, heading, want)
		table := documented(sections(t)[heading])
		for name, told := range table {
			if shown, known := want[name]; known && !strings.HasPrefix(told, "`") {
				table[name] = shown
			} else if known {
				table[name] = strings.Trim(told, "`")
			}
		}
		if diff := cmp.Diff(want, table); diff != "" {
			t.Errorf("%s: the program (-) and docs/language.md (+):\n%s", heading, diff)
		}
	}
	var labelled []string
	for _, f := range copySpec().fields {
		labelled = append(labelled, "copy."+f.name)
	}
	for _, f := range hookSpec().fields {
		labelled = append(labelled, "hook."+f.name)
	}
	table := documented(all["Policy attributes"])
	for _, name := range labelled {
		if table[name] == "" {
			t.Errorf("docs/language.md does not tell of %s", name)
		}
	}
}

func TestFunctionsAreDocumented(t *testing.T) {
	section := sections(t)["Functions"]
	_, list, _ := strings.Cut(section, "\n\nNumbers:")
	var names []string
	for _, name := range quotedName.FindAllStringSubmatch(list, -1) {
		names = append(names, name[1])
	}
	slices.Sort(names)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(functions("/"))), names); diff != "" {
		t.Errorf("the program (-) and docs/language.md (+):\n%s", diff)
	}
}

// TestExamplesAreTrue loads the examples of the documentation, each with a
// store where it needs one.
func TestExamplesAreTrue(t *testing.T) {
	page, err := os.ReadFile("../docs/language.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```hcl\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(examples) < 2 {
		t.Fatal("no examples")
	}
	for _, e := range examples {
		source := e[1] + "\nstore \"local\" \"nas\" { path = \"/srv\" }\n"
		if _, files, diags := Parse("/", map[string][]byte{"a.vbk.hcl": []byte(source)}, Inputs{}); len(diags) > 0 {
			t.Error(printed(t, files, diags))
		}
		if formatted := string(Format([]byte(e[1]))); formatted != e[1] {
			t.Errorf("not formatted:\n%s", e[1])
		}
	}
}
