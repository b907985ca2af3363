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

// forms are the types of arguments by what they are called in the reference.
// Lists, sets and maps of them are not told apart from these.
func forms() []Form {
	return []Form{
		{"string", "Text in quotes. Names must not be empty, and have no control characters.", []string{`"hv1"`, `"${var.site}-1"`}, nil, reading(text)},
		{"bool", "`true` or `false`.", []string{`true`}, []string{`"yes"`, `1`}, reading(boolean)},
		{"number", "A whole number.", []string{`30`}, []string{`1.5`, `"many"`}, reading(numbers(0, 1_000_000).read)},
		{"any", "A value of any type.", []string{`["a", 1]`}, nil, reading(func(v cty.Value) (cty.Value, error) { return v, nil })},
		{"path", "Of a file or directory, from the directory of the configuration where it is relative.", []string{`"/srv/backup"`, `"../backup"`}, []string{`""`}, reading(line)},
		{"absolute path", "", []string{`"/var/tmp"`}, []string{`"tmp"`}, reading(absolutePath)},
		{"duration", "Whole numbers with the units " + unitNames(durationUnits()) + ", larger units first. Months and years have no fixed length.",
			[]string{`"36h"`, `"7d"`, `"1d12h"`}, []string{`"1.5h"`, `"3"`, `"12h1d"`, `"0s"`, `"1y"`}, reading(duration)},
		{"size", "A whole number with one of the units " + unitNames(sizeUnits()) + ". Those with an `i` are powers of 1024, the others of 1000.",
			[]string{`"64MiB"`, `"500GB"`, `"0B"`}, []string{`"1.5GiB"`, `"10"`, `"64 MiB"`}, reading(size)},
		{"rate", "A size a second.", []string{`"400MiB/s"`}, []string{`"400MiB"`, `"0B/s"`}, reading(rate)},
		{"percentage", "A whole number from 0 to 100.", []string{`"50%"`}, []string{`50`, `"150%"`}, reading(percent)},
		{"pattern", "`*` stands for any characters, `?` for one, `[a-z]` for one of a class, `[^a-z]` for one that is not in it; `\\` takes the next one literally. It has to match the whole of a name, in the case that it is written in.",
			[]string{`"web*"`, `"db-[0-9]"`}, []string{`"db-["`, `""`}, reading(pattern)},
		{"schedule", "Five fields of cron: minute, hour, day of the month, month, day of the week. Where both kinds of day are restricted, one is enough.",
			[]string{`"30 1 * * *"`, `"0 */6 * * 1-5"`}, []string{`"@daily"`, `"30 1 * *"`, `"0 0 31 2 *"`}, reading(schedule)},
		{"time zone", "A name of the IANA database.", []string{`"Europe/Berlin"`, `"UTC"`}, []string{`"CEST"`, `"Local"`}, reading(timeZone)},
		{"version constraint", "Comparisons with commas between them; all must hold. `~> 1.2` is 1.2 and later within 1. What follows a dash in the version of vbk does not count.",
			[]string{`">= 0.4, != 0.4.2"`, `"~> 1.2"`}, []string{`"latest"`}, reading(requirements)},
		{"connection URI", "One of libvirt's.", []string{`"qemu:///system"`}, []string{`"system"`, `"qemu+ssh://root:hunter2@hv1/system"`}, reading(connection)},
		{"port range", "", []string{`"10809-10909"`}, []string{`"10809"`, `"0-1"`}, reading(portRange)},
		{"UUID", "", []string{`"4c1f9d2a-7d1e-4d0a-9b55-0a1b2c3d4e5f"`}, []string{`"4c1f9d2a"`}, reading(uuid)},
		{"type", "As in Terraform.", []string{`string`, `list(string)`, `object({ a = string, b = optional(number, 2) })`}, []string{`text`, `list(`}, nil},
		{"reference", "A block, by its address, without quotes. It is a value: any expression may yield it, `var.big ? store.local.nas : store.local.small` say.",
			[]string{`store.local.nas`, `policy.gold`, `values(host.hv)`}, []string{`"store.local.nas"`}, nil},
	}
}
