package executor

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"vbk/store"
	"vbk/virt"
)

// maxExtra bounds a file that is saved beside disks and definitions, in bytes.
const maxExtra = 64 << 20

// extras saves the files of this host that the domain's definition names: the
// firmware's variables, a kernel and its initrd. One that cannot be had is noted
// in the point: the disks are worth more.
func (a *attempt) extras(definition string) error {
	wanted := map[string]bool{"nvram": a.want.Policy.Extra.NVRAM, "kernel": a.want.Policy.Extra.Kernel, "initrd": a.want.Policy.Extra.Kernel}
	if !isHere(a.want.Host.URI) {
		return nil
	}
	if a.want.Policy.Extra.TPM {
		if err := a.saveTPM(definition); err != nil {
			return err
		}
	}
	files, err := virt.HostFiles(definition)
	if err != nil {
		a.point.Notes = append(a.point.Notes, "nvram and kernel are not stored: "+err.Error())
	}
	for _, what := range slices.Sorted(maps.Keys(files)) {
		if !wanted[what] {
			continue
		}
		data, err := a.readHostFile(what, files[what])
		if err != nil {
			a.point.Notes = append(a.point.Notes, fmt.Sprintf("%s is not stored: %v", what, err))
			continue
		}
		if err := a.save(store.ExtraFileName(a.point.Sequence, a.point.Attempt, what), data); err != nil {
			return err
		}
	}
	return nil
}

// readHostFile reads one of virt.HostFiles.
func (a *attempt) readHostFile(what, file string) ([]byte, error) {
	if what == "nvram" && !filepath.IsAbs(file) {
		folder, err := libvirtFolder(a.want.Host.URI, what)
		if err != nil {
			return nil, err
		}
		file = filepath.Join(folder, file)
	}
	return readExtra(file)
}

// isHere says whether a libvirt URI is of this machine.
func isHere(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && u.Host == ""
}

// readExtra reads a regular file.
func readExtra(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe would keep the guest waiting
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxExtra+1))
	if err == nil && len(data) > maxExtra {
		err = fmt.Errorf("%s has more than %d MiB", path, maxExtra>>20)
	}
	if err == nil && len(data) == 0 {
		err = errors.New(path + " is empty")
	}
	return data, err
}
