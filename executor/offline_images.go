package executor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vbk/virt/qcow2"
)

// QEMUImages are image files, with qemu-img and qemu-nbd.
type QEMUImages struct{}

// CreateScratch makes an image. The key is as good as random, so that nothing has to
// be iterated for it; QEMU measures all the same how fast that would be, and some
// versions fail where the clock is too coarse for it (QEMU 7.2).
func (QEMUImages) CreateScratch(ctx context.Context, path string, size int64, key string) (err error) {
	args := []string{"create", "-q", "-f", "qcow2"}
	if key != "" {
		args = append(args, "--object", "secret,id=key,file=/dev/stdin", "-o", "encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10")
	}
	for range 100 {
		err = programWith(ctx, key, "qemu-img", append(args, path, strconv.FormatInt(size, 10))...)
		if err == nil || !strings.Contains(err.Error(), "accurate CPU usage") {
			break
		}
	}
	return err
}

// AddBitmap adds a bitmap.
func (QEMUImages) AddBitmap(ctx context.Context, path, name string) error {
	return program(ctx, "qemu-img", "bitmap", "--add", "-f", "qcow2", path, name)
}

// RemoveBitmap removes a bitmap, sound or not; one that is not there is no error.
func (QEMUImages) RemoveBitmap(ctx context.Context, path, name string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	image, err := qcow2.Read(f)
	_ = f.Close() // only read
	if errors.Is(err, qcow2.ErrNot) {
		return nil
	}
	if _, there := image.Bitmap(name); err != nil || !there {
		return err
	}
	return program(ctx, "qemu-img", "bitmap", "--remove", "-f", "qcow2", path, name)
}

// Serve starts a qemu-nbd that ends with its client's connection. It takes no
// locks, so that the domain can be started at any time.
func (QEMUImages) Serve(ctx context.Context, path, format, export, bitmap, socket string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	driver := "file"
	if info.Mode()&os.ModeDevice != 0 {
		driver = "host_device"
	}
	args := []string{"--fork", "--read-only", "--socket=" + socket, "--pid-file=" + socket + pidSuffix, "--export-name=" + export}
	if bitmap != "" {
		args = append(args, "--bitmap="+bitmap)
	}
	node := fmt.Sprintf("driver=%s,force-share=on,file.driver=%s,file.filename=%s", format, driver, strings.ReplaceAll(path, ",", ",,"))
	return program(ctx, "qemu-nbd", append(args, "--image-opts", node)...)
}

const pidSuffix = ".pid"

// endServers ends what Serve has started in a run folder and no client has ended:
// its run was killed before it came to that.
func endServers(folder string) error {
	files, err := filepath.Glob(filepath.Join(folder, "*"+pidSuffix))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			continue
		}
		command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err != nil || !strings.Contains(string(command), "--pid-file="+file+"\x00") {
			continue // it has ended, and the number may be another's by now
		}
		if err := unix.Kill(pid, unix.SIGTERM); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("end qemu-nbd: %w", err)
		}
	}
	return nil
}

// Still takes a state from the file's times and from its bitmaps, of which the
// newest records every write. It asks for QEMU's locks and takes none.
func (QEMUImages) Still(_ context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if err := unlocked(f); err != nil {
		return "", err
	}
	var s unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &s); err != nil {
		return "", err
	}
	image, err := qcow2.Read(f)
	if err != nil && !errors.Is(err, qcow2.ErrNot) {
		return "", err
	}
	state := fmt.Sprint(s.Dev, s.Ino, s.Rdev, s.Size, s.Mtim, s.Ctim, image)
	if image.DataPath == "" {
		return state, nil
	}
	data, err := os.Open(image.DataPath)
	if err != nil {
		return "", err
	}
	defer data.Close()
	if err := unlocked(data); err != nil {
		return "", err
	}
	err = unix.Fstat(int(data.Fd()), &s)
	return fmt.Sprint(state, s.Dev, s.Ino, s.Rdev, s.Size, s.Mtim, s.Ctim), err
}

// unlocked fails if a QEMU has the file open for writing: it then holds a lock on
// a byte that stands for that (block/file-posix.c, RAW_LOCK_PERM_BASE and
// BLK_PERM_WRITE).
func unlocked(f *os.File) error {
	const writes = 100 + 1
	lock := unix.Flock_t{Type: unix.F_WRLCK, Start: writes, Len: 1}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock); err != nil {
		return fmt.Errorf("ask for locks of %s: %w", f.Name(), err)
	}
	if lock.Type != unix.F_UNLCK {
		return fmt.Errorf("a QEMU has %s open for writing", f.Name())
	}
	return nil
}

// program runs a program of QEMU; its error is what it said.
func program(ctx context.Context, name string, args ...string) error {
	return programWith(ctx, "", name, args...)
}

// programWith is program with something to read.
func programWith(ctx context.Context, in, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, imageTime)
	defer cancel()
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	if in != "" {
		cmd.Stdin = strings.NewReader(in)
	}
	cmd.Env, cmd.Stderr, cmd.WaitDelay = append(os.Environ(), "LC_ALL=C"), &said, time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // what it has left running holds its stderr
		return nil
	case errors.Is(err, exec.ErrNotFound):
		return &hintError{err, "install " + name + " (Debian: qemu-utils): a domain that is shut off is read by it; or set offline = \"skip\""}
	case errors.As(err, &exit) && said.Len() > 0:
		return fmt.Errorf("%s", strings.TrimPrefix(strings.TrimSpace(said.String()), name+": "))
	}
	return fmt.Errorf("%s: %w", name, err)
}
