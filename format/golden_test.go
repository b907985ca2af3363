package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// The folder testdata/v3 was written once and is never written again: every
// later version must read it as this one does. goldenDisks says what it holds.
const golden = "testdata/v3"

func goldenFiles(t *testing.T) [][]byte {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(golden, "*.v3"))
	if err != nil || len(names) != 3 {
		t.Fatalf("found %v, %v, expected three files", names, err)
	}
	var all [][]byte
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

// goldenDisks are the disk at each of the three points, from words alone.
func goldenDisks() [3][]byte {
	const first, second = 5*Grain + 1000, 7*Grain + 512
	zero := append(text(3*Grain, "what the guest wrote first "), make([]byte, first-3*Grain)...)
	copy(zero[4*Grain:], text(Grain+1000, "the end of the disk "))
	one := append(bytes.Clone(zero), make([]byte, second-first)...)
	clear(one[Grain : 2*Grain])
	copy(one[4*Grain:], text(second-4*Grain, "a disk that grew "))
	two := bytes.Clone(one[:2*Grain+100])
	copy(two[2*Grain:], "shrunk")
	return [3][]byte{zero, one, two}
}

func TestGolden(t *testing.T) {
	files, disks := goldenFiles(t), goldenDisks()
	for k := range files {
		wantDisk(t, image(t, files[:k+1]...), disks[k])
	}
	b, err := os.ReadFile(filepath.Join(golden, "headers.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want []Header
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	for k, file := range files {
		found, _ := json.Marshal(open(t, file).Header())
		expected, _ := json.Marshal(want[k])
		if !bytes.Equal(found, expected) {
			t.Errorf("header %d: found %s, expected %s", k, found, expected)
		}
	}
}

// TestGoldenIsWhatIsWritten shows that the bytes of today are those of then:
// without compression, because encoders may improve.
func TestGoldenIsWhatIsWritten(t *testing.T) {
	files, disks := goldenFiles(t), goldenDisks()
	for k, b := range [][]byte{
		write(t, header(0, int64(len(disks[0])), true), Options{}, data(0, disks[0])),
		nil, // compressed
		write(t, header(2, int64(len(disks[2])), false), Options{}, data(2*Grain, disks[2][2*Grain:])),
	} {
		if b != nil && !bytes.Equal(b, files[k]) {
			t.Errorf("file %d differs", k)
		}
	}
}

// TestWriteGolden writes the folder where VBK_WRITE_GOLDEN is set, which was
// done once, for a format that nobody had used yet.
func TestWriteGolden(t *testing.T) {
	if os.Getenv("VBK_WRITE_GOLDEN") == "" {
		t.Skip("the golden folder is written once (VBK_WRITE_GOLDEN=1)")
	}
	disks := goldenDisks()
	files := map[string][]byte{
		"vda.base.0.77e0c2f4.v3": write(t, header(0, int64(len(disks[0])), true), Options{}, data(0, disks[0])),
		"vda.inc.1.77e0c2f4.v3": write(t, header(1, int64(len(disks[1])), false), Options{Codec: Zstd}, func(w *Writer) error {
			return errors.Join(w.Data(4*Grain, disks[1][4*Grain:]), w.Zero(Grain, Grain))
		}),
		"vda.inc.2.77e0c2f4.v3": write(t, header(2, int64(len(disks[2])), false), Options{}, data(2*Grain, disks[2][2*Grain:])),
	}
	var headers []Header
	for _, sequence := range []string{"base.0", "inc.1", "inc.2"} {
		headers = append(headers, open(t, files["vda."+sequence+".77e0c2f4.v3"]).Header())
	}
	b, err := json.MarshalIndent(headers, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	files["headers.json"] = append(b, '\n')
	if err := os.MkdirAll(golden, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(golden, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
