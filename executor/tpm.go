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

// tpmFolder is where libvirt keeps the state of a domain's TPM.
func tpmFolder(uri, uuid, folder string) (string, error) {
	root, err := libvirtFolder(uri, "swtpm")
	return filepath.Join(root, uuid, folder), err
}

// libvirtFolder is where libvirt keeps the state of TPMs ("swtpm") and firmware's
// variables ("nvram"): swtpmStorageDir and nvramDir of its qemu_conf.c.
func libvirtFolder(uri, what string) (string, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return "", err
	}
	below := map[string]string{"swtpm": "swtpm", "nvram": "qemu/nvram"}[what]
	root := ""
	switch u.Path {
	case "/system":
		root = filepath.Join("/var/lib/libvirt", below)
	case "/session":
		root = filepath.Join(cmp.Or(os.Getenv("XDG_CONFIG_HOME"), filepath.Join(os.Getenv("HOME"), ".config")), "libvirt", "qemu", what)
	case "/embed":
		root = filepath.Join(u.Query().Get("root"), "lib", below)
	}
	if !isHere(uri) || !filepath.IsAbs(root) {
		return "", fmt.Errorf("where %s keeps it is not known here", uri)
	}
	return root, nil
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
		if err := syncDir(filepath.Dir(d.Path)); err != nil { // it is the only one that is left
			return fail(err)
		}
		if err := os.RemoveAll(folder); err != nil {
			return fail(err)
		}
	}
	if err := placeTPM(d.tpm, folder); err != nil {
		return fail(err)
	}
	return nil
}

// placeTPM makes the folder of a machine's TPM.
func placeTPM(packed []byte, folder string) error {
	if err := os.MkdirAll(filepath.Dir(folder), 0o711); err != nil {
		return err
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		return err
	}
	return unpackFolder(packed, folder)
}

// lendTPM gives the machine of a drill a copy of the state that the point holds:
// what is sealed with it opens. remove is for what libvirt leaves, which is all of it
// where the definition says so (persistent_state).
func (d Drill) lendTPM(p RestorePoint, doc string) (remove func() error, err error) {
	remove = func() error { return nil }
	folder, path, err := virt.TPM(doc)
	if err != nil || folder == "" || path != "" {
		return remove, err
	}
	packed, err := p.Extra(tpmFile)
	if err != nil {
		return remove, err
	}
	folder, err = tpmFolder(d.URI, d.UUID, folder)
	own := filepath.Dir(folder) // the folder of this UUID
	if err == nil {
		err = os.MkdirAll(filepath.Dir(own), 0o711)
	}
	if err == nil {
		err = os.Mkdir(own, 0o711)
	}
	if err == nil {
		remove = func() error { return os.RemoveAll(own) }
		if packed != nil {
			err = placeTPM(packed, folder)
		}
	}
	if err != nil {
		return remove, fmt.Errorf("make the folder of the machine's TPM: %w", err)
	}
	return remove, nil
}
