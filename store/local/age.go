package local

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	"vbk/store"
)

// ageStep is more than the resolution of the times that file systems keep.
const ageStep = 10 * time.Millisecond

// age makes the modification times of our files rise from point to point in a
// chain for virtnbdbackup: its virtnbdrestore goes by nothing else, and neither
// the clock nor who copies folders can be trusted to keep them.
func (f *Folder) age(v *view, m store.Manifest) error {
	if m.Stream != store.VirtNBDBackup {
		return nil
	}
	var older time.Time
	for _, p := range m.Points {
		newest := older
		for _, file := range pointFiles(p) {
			name := path.Join(v.dir, file.name)
			e, err := v.fsys.Stat(name)
			if errors.Is(err, fs.ErrNotExist) {
				continue // for plan and check to report
			}
			if err != nil {
				return err
			}
			if _, _, ours := store.ParseFileName(file.name); ours && !older.IsZero() && e.Time.Before(older.Add(ageStep)) {
				e.Time = older.Add(ageStep)
				if err := v.fsys.Touch(name, e.Time); err != nil {
					return fmt.Errorf("set the time of %s: %w", file.name, err)
				}
			}
			if e.Time.After(newest) {
				newest = e.Time
			}
		}
		older = newest
	}
	return nil
}
