package config

import (
	"strings"

	"github.com/zclconf/go-cty/cty"
)

// reading says only whether a value can be read.
func reading[F any](read func(cty.Value) (F, error)) func(cty.Value) error {
	return func(v cty.Value) error {
		_, err := read(v)
		return err
	}
}

// unitNames are the names of units with a comma between them, largest first.
func unitNames(units []unit) string {
	var names []string
	for _, u := range units {
		names = append(names, "`"+u.name+"`")
	}
	return strings.Join(names, ", ")
}

// anyUnit is a regular expression for the name of a unit.
func anyUnit(units []unit) string {
	var names []string
	for _, u := range units {
		names = append(names, u.name)
	}
	return "(" + strings.Join(names, "|") + ")"
}

// forms are the types of arguments by what they are called in the reference.
// Lists and maps of them are not told apart from these.
func forms() []Form {
	return append(plainForms(), specialForms()...)
}

func plainForms() []Form {
	amount := "[0-9]+" + anyUnit(sizeUnits())
	return []Form{
		{Name: "string", About: "Text in quotes. Names must not be empty, and have no control characters.", Examples: []string{`"hv1"`, `"${var.site}-1"`}, read: reading(text)},
		{Name: "bool", About: "`true` or `false`.", Examples: []string{`true`}, Mistakes: []string{`"yes"`, `1`}, read: reading(boolean)},
		{Name: "number", About: "A whole number.", Examples: []string{`30`}, Mistakes: []string{`1.5`, `"many"`}, read: reading(numbers(0, 1_000_000).read)},
		{Name: "any", About: "A value of any type.", Examples: []string{`["a", 1]`}, read: reading(func(v cty.Value) (cty.Value, error) { return v, nil })},
		{Name: "path", About: "Of a file or directory, from the directory of the configuration where it is relative.",
			Examples: []string{`"/srv/backup"`, `"../backup"`}, Mistakes: []string{`""`}, Pattern: `^.`, read: reading(line)},
		{Name: "absolute path", Examples: []string{`"/var/tmp"`}, Mistakes: []string{`"tmp"`}, Pattern: `^/`, read: reading(absolutePath)},
		{Name: "duration", About: "Whole numbers with the units " + unitNames(durationUnits()) + ", larger units first. Months and years have no fixed length.",
			Examples: []string{`"36h"`, `"7d"`, `"1d12h"`}, Mistakes: []string{`"1.5h"`, `"3"`, `"12h1d"`, `"0s"`, `"1y"`}, Pattern: "^([0-9]+" + anyUnit(durationUnits()) + ")+$", read: reading(duration)},
		{Name: "size", About: "A whole number with one of the units " + unitNames(sizeUnits()) + ". Those with an `i` are powers of 1024, the others of 1000.",
			Examples: []string{`"64MiB"`, `"500GB"`, `"0B"`}, Mistakes: []string{`"1.5GiB"`, `"10"`, `"64 MiB"`}, Pattern: "^" + amount + "$", read: reading(size)},
		{Name: "rate", About: "A size a second.", Examples: []string{`"400MiB/s"`}, Mistakes: []string{`"400MiB"`, `"0B/s"`}, Pattern: "^" + amount + "/s$", read: reading(rate)},
		{Name: "percentage", About: "A whole number from 0 to 100.", Examples: []string{`"50%"`}, Mistakes: []string{`50`, `"150%"`}, Pattern: `^[0-9]+%$`, read: reading(percent)},
	}
}

func specialForms() []Form {
	return []Form{
		{Name: "pattern", About: "`*` stands for any characters, `?` for one, `[a-z]` for one of a class, `[^a-z]` for one that is not in it; `\\` takes the next one literally. It has to match the whole of a name, in the case that it is written in.",
			Examples: []string{`"web*"`, `"db-[0-9]"`}, Mistakes: []string{`"db-["`, `""`}, Pattern: `^.`, read: reading(pattern)},
		{Name: "schedule", About: "Five fields of cron: minute, hour, day of the month, month, day of the week. Where both kinds of day are restricted, one is enough.",
			Examples: []string{`"30 1 * * *"`, `"0 */6 * * 1-5"`}, Mistakes: []string{`"@daily"`, `"30 1 * *"`, `"0 0 31 2 *"`}, Pattern: `^\s*\S+(\s+\S+){4}\s*$`, read: reading(schedule)},
		{Name: "time zone", About: "A name of the IANA database.", Examples: []string{`"Europe/Berlin"`, `"UTC"`}, Mistakes: []string{`"CEST"`, `"Local"`}, read: reading(timeZone)},
		{Name: "version constraint", About: "Comparisons with commas between them; all must hold. `~> 1.2` is 1.2 and later within 1. What follows a dash in the version of vbk does not count.",
			Examples: []string{`">= 0.4, != 0.4.2"`, `"~> 1.2"`}, Mistakes: []string{`"latest"`}, read: reading(requirements)},
		{Name: "connection URI", About: "One of libvirt's.", Examples: []string{`"qemu:///system"`}, Mistakes: []string{`"system"`, `"qemu+ssh://root:hunter2@hv1/system"`}, Pattern: `^[a-zA-Z].*:`, read: reading(connection)},
		{Name: "port range", Examples: []string{`"10809-10909"`}, Mistakes: []string{`"10809"`, `"0-1"`}, Pattern: `^[0-9]+-[0-9]+$`, read: reading(portRange)},
		{Name: "UUID", Examples: []string{`"4c1f9d2a-7d1e-4d0a-9b55-0a1b2c3d4e5f"`}, Mistakes: []string{`"4c1f9d2a"`}, Pattern: `^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`, read: reading(uuid)},
		{Name: "type", About: "As in Terraform.", Examples: []string{`string`, `list(string)`, `object({ a = string, b = optional(number, 2) })`}, Mistakes: []string{`text`, `list(`}},
		{Name: "reference", About: "A block, by its address, without quotes. It is a value: any expression may yield it, `var.big ? store.local.nas : store.local.small` say.",
			Examples: []string{`store.local.nas`, `policy.gold`, `values(host.hv)`}, Mistakes: []string{`"store.local.nas"`}},
		{Name: "address", About: "A block, by its address as it stands: no expression can yield it.", Examples: []string{`policy.base`, `domain.web`}, Mistakes: []string{`"domain.web"`}},
	}
}
