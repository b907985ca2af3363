package main

import (
	"os"
	"path/filepath"
	"strings"
)

// unmounted is the mount point on the way to path at which /etc/fstab wants a file
// system and there is none; "" if there is no such. A path below it would be
// made on the file system underneath.
func unmounted(path string) string {
	table, err := os.ReadFile("/etc/fstab")
	if err != nil {
		return ""
	}
	now, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	return unmountedOf(path, string(table), string(now))
}

// unmountedOf is unmounted with what the two files hold.
func unmountedOf(path, table, now string) string {
	mounted := map[string]bool{}
	for line := range strings.Lines(now) {
		if fields := strings.Fields(line); len(fields) > 4 {
			mounted[unescape(fields[4])] = true
		}
	}
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 3 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		at := filepath.Clean(unescape(fields[1]))
		if filepath.IsAbs(at) && at != "/" && (path == at || strings.HasPrefix(path, at+"/")) && !mounted[at] {
			return at
		}
	}
	return ""
}

// unescape takes the octal escapes out of a path of fstab or mountinfo.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
