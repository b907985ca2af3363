package executor

import (
	"archive/tar"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"vbk/store"
	"vbk/virt"
)

// tpmFile holds the state of an emulated TPM: the files of its folder, in a tar
// archive. swtpm replaces a file as a whole when the guest changes the state, so
// that each is of one moment, a little after the checkpoint.
const tpmFile = "tpm.tar"

// saveTPM saves the state of the domain's TPM, or notes why not.
func (a *attempt) saveTPM(definition string) error {
	folder, path, err := virt.TPM(definition)
	if folder == "" && err == nil {
		return nil
	}
	if err == nil && path != "" {
		err = fmt.Errorf("the definition keeps it at %s", path)
	}
	if err == nil {
		folder, err = tpmFolder(a.want.Host.URI, a.want.UUID, folder)
	}
	var data []byte
	if err == nil {
		data, err = packFolder(folder)
	}
	if err != nil {
		a.point.Notes = append(a.point.Notes, fmt.Sprintf("the state of the TPM is not stored: %v", err))
		return nil
	}
	return a.save(store.ExtraFileName(a.point.Sequence, a.point.Attempt, tpmFile), data)
}

// tpmFolder is where libvirt keeps the state of a domain's TPM (qemu_conf.c,
// swtpmStorageDir).
func tpmFolder(uri, uuid, folder string) (string, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return "", err
	}
	root := ""
	switch u.Path {
	case "/system":
		root = "/var/lib/libvirt/swtpm"
	case "/session":
		root = filepath.Join(cmp.Or(os.Getenv("XDG_CONFIG_HOME"), filepath.Join(os.Getenv("HOME"), ".config")), "libvirt", "qemu", "swtpm")
	case "/embed":
		root = filepath.Join(u.Query().Get("root"), "lib", "swtpm")
	}
	if !isHere(uri) || !filepath.IsAbs(root) {
		return "", fmt.Errorf("where %s keeps it is not known here", uri)
	}
	return filepath.Join(root, uuid, folder), nil
}

// packFolder puts the regular files of a folder into an archive. Locks stay out.
func packFolder(dir string) ([]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	for _, e := range entries {
		if !e.Type().IsRegular() || !isTPMName(e.Name()) {
			continue
		}
		data, err := readExtra(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		if err := w.WriteHeader(&tar.Header{Name: e.Name(), Mode: 0o600, Size: int64(len(data)), Format: tar.FormatUSTAR}); err != nil {
			return nil, err
		}
		if _, err := w.Write(data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if packed.Len() > maxExtra {
		return nil, fmt.Errorf("%s has more than %d MiB", dir, maxExtra>>20)
	}
	return packed.Bytes(), nil
}

func isTPMName(name string) bool {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
	return name != "" && name[0] != '.' && strings.Trim(name, plain) == ""
}

// unpackFolder writes the files of an archive into a folder. It comes out of a
// backup: it holds what packFolder wrote, or nothing is believed.
func unpackFolder(data []byte, dir string) error {
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg || !isTPMName(h.Name) {
			return fmt.Errorf("%q in %s is no file of a TPM", h.Name, tpmFile)
		}
		content, err := io.ReadAll(r) // at most all of data
		if err != nil {
			return err
		}
		if err := writeSmall(filepath.Join(dir, h.Name), content); err != nil {
			return err
		}
	}
}

// restoreTPM puts the TPM's state where libvirt looks for it when it starts the
// machine; libvirt gives it to swtpm's user then. What is there, of a machine that
// is replaced, goes to a file beside the disks.
func (d Definition) restoreTPM(uri string) error {
	if d.tpm == nil {
		return nil
	}
	fail := func(err error) error {
		return &hintError{fmt.Errorf("restore the state of the TPM: %w", err),
			fmt.Sprintf("it is in %s: unpack it where libvirt keeps it, before the machine starts for the first time", filepath.Join(filepath.Dir(d.Path), tpmFile))}
	}
	folder, path, err := virt.TPM(d.XML)
	if err == nil && (folder == "" || path != "") {
		err = errors.New("the definition has no TPM that libvirt keeps")
	}
	if err == nil {
		folder, err = tpmFolder(uri, d.UUID, folder)
	}
	if err != nil {
		return fail(err)
	}
	old, err := packFolder(folder)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return fail(err)
	default:
		if err := writeSmall(filepath.Join(filepath.Dir(d.Path), "replaced-"+tpmFile), old); err != nil {
			return fail(err)
		}
		if err := os.RemoveAll(folder); err != nil {
			return fail(err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o711); err != nil {
		return fail(err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		return fail(err)
	}
	if err := unpackFolder(d.tpm, folder); err != nil {
		return fail(err)
	}
	return nil
}
