package virttest_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"vbk/virt"
	"vbk/virt/virttest"
)

func TestContract(t *testing.T) {
	virttest.Contract(t, func(*testing.T) virttest.World { return &world{Host: virttest.New()} })
}

// world makes the twin a World.
type world struct {
	*virttest.Host
	made int
}

func (w *world) Make(_ *testing.T, name string, disks map[string]int64) string {
	w.made++
	def := virt.Domain{Name: name, UUID: fmt.Sprintf("00000000-0000-4000-8000-%012d", w.made)}
	content := map[string][]byte{}
	for target, size := range disks {
		def.Disks = append(def.Disks, virt.Disk{Target: target, Type: "file", Source: "/images/" + target})
		content[target] = make([]byte, size)
	}
	slices.SortFunc(def.Disks, func(a, b virt.Disk) int { return bytes.Compare([]byte(a.Target), []byte(b.Target)) })
	w.Define(def, content)
	return def.UUID
}

func (w *world) Fill(_ *testing.T, uuid, target string, off, n int64, pattern byte) {
	w.Write(uuid, target, off, bytes.Repeat([]byte{pattern}, int(n)))
}

func (w *world) Clear(_ *testing.T, uuid, target string, off, n int64) { w.Zero(uuid, target, off, n) }
func (w *world) Start(_ *testing.T, uuid string)                       { w.SetState(uuid, virt.Running) }
func (w *world) Stop(_ *testing.T, uuid string)                        { w.SetState(uuid, virt.ShutOff) }
func (w *world) Die(_ *testing.T, uuid string)                         { w.Kill(uuid) }
func (w *world) Folder(*testing.T) string {
	w.made++
	return filepath.Join("/run", fmt.Sprint(w.made))
}

func (w *world) Read(t *testing.T, socket, export, bitmap string) (content, dirty []byte) {
	t.Helper()
	e, err := w.Open(socket, export, bitmap)
	if err != nil {
		t.Fatal(err)
	}
	content = make([]byte, e.Size())
	if _, err := e.ReadAt(content, 0); err != nil {
		t.Fatal(err)
	}
	if bitmap == "" {
		return content, nil
	}
	extents, err := e.Extents(0, e.Size())
	if err != nil {
		t.Fatal(err)
	}
	dirty = make([]byte, (e.Size()+virttest.Grain-1)/virttest.Grain)
	for _, x := range extents {
		for g := x.Offset / virttest.Grain; x.Dirty && g*virttest.Grain < x.Offset+x.Length; g++ {
			dirty[g] = 1
		}
	}
	return content, dirty
}
