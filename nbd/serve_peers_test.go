//go:build cgo

package nbd_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vbk/nbd"
)

// The real clients agree about a disk that vbk serves.
func TestPeersReadWhatIsServed(t *testing.T) {
	need(t, "nbdinfo", "nbdcopy", "qemu-img", "nbdkit")
	disk := patterned(t)
	socket := serve(t, &nbd.Server{Offers: []nbd.Offer{
		{Name: "vda", Description: "web01 at a point", Disk: disk}, {Name: "vdb", Disk: &memoryDisk{bytes: make([]byte, 4096)}},
	}, Report: func(err error) { t.Error(err) }})
	uri := "nbd+unix:///vda?socket=" + socket
	folder := t.TempDir()
	same := func(t *testing.T, path string, truth []byte) {
		t.Helper()
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, truth) {
			t.Fatalf("%s has other bytes (%d, not %d): %v", path, len(got), len(truth), err)
		}
	}
	t.Run("nbdinfo", func(t *testing.T) {
		var info struct {
			Exports []struct {
				Name, Description string   `json:",omitempty"`
				Size              int64    `json:"export-size"`
				ReadOnly          bool     `json:"is_read_only"`
				Multi             bool     `json:"can_multi_conn"`
				Contexts          []string `json:"contexts"`
			}
		}
		if err := json.Unmarshal([]byte(command(t, "nbdinfo", "--json", "--list", "nbd+unix:///?socket="+socket)), &info); err != nil {
			t.Fatal(err)
		}
		if len(info.Exports) != 2 || info.Exports[0].Size != disk.Size() || !info.Exports[0].ReadOnly || !info.Exports[0].Multi ||
			strings.Join(info.Exports[0].Contexts, " ") != "base:allocation" {
			t.Fatalf("nbdinfo sees %+v", info)
		}
		next := int64(0)
		var runs []struct {
			Offset, Length int64
			Type           uint32
		}
		if err := json.Unmarshal([]byte(command(t, "nbdinfo", "--map", "--json", uri)), &runs); err != nil {
			t.Fatal(err)
		}
		for _, r := range runs {
			zero := !bytes.ContainsFunc(disk.bytes[r.Offset:r.Offset+r.Length], func(c rune) bool { return c != 0 })
			if r.Offset != next || zero != (r.Type == 3) {
				t.Fatalf("run %+v after %d, zero: %v", r, next, zero)
			}
			next += r.Length
		}
		if next != disk.Size() || len(runs) < 5 {
			t.Fatalf("the map ends at %d after %d runs", next, len(runs))
		}
	})
	t.Run("nbdcopy", func(t *testing.T) {
		for _, more := range [][]string{nil, {"--synchronous", "--request-size=4096"}, {"--connections=1", "--allocated"}} {
			out := filepath.Join(folder, "nbdcopy.raw")
			os.Remove(out)
			command(t, "nbdcopy", append(more, uri, out)...)
			same(t, out, disk.bytes)
		}
	})
	t.Run("qemu-img", func(t *testing.T) {
		out := filepath.Join(folder, "qemu.raw")
		command(t, "qemu-img", "convert", "-f", "raw", "-O", "raw", uri, out)
		same(t, out, disk.bytes)
		command(t, "qemu-img", "compare", "-f", "raw", "-F", "raw", uri, out)
	})
	t.Run("nbdkit", func(t *testing.T) {
		out := filepath.Join(folder, "nbdkit.raw")
		command(t, "nbdkit", "-U", "-", "nbd", "socket="+socket, "export=vda", "--run", "nbdcopy $uri "+out)
		same(t, out, disk.bytes)
	})
}

// With TLS nothing is said before it, and the client can check whom it talks to.
func TestServeTLS(t *testing.T) {
	need(t, "nbdinfo")
	folder := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(filepath.Join(folder, "ca-cert.pem"), authority, 0o600); err != nil {
		t.Fatal(err)
	}
	disk := patterned(t)
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	listen(t, l, &nbd.Server{Offers: []nbd.Offer{{Name: "vda", Disk: disk}}, TLS: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}})
	at := fmt.Sprintf("localhost:%d/vda", l.Addr().(*net.TCPAddr).Port)
	size := strings.TrimSpace(command(t, "nbdinfo", "--size", "nbds://"+at+"?tls-certificates="+folder))
	if size != fmt.Sprint(disk.Size()) {
		t.Fatalf("over TLS the disk has %s bytes, not %d", size, disk.Size())
	}
	if out, err := exec.Command("nbdinfo", "nbd://"+at).CombinedOutput(); err == nil {
		t.Fatalf("without TLS the server told: %s", out)
	}
}

func TestServeToOurClient(t *testing.T) {
	disk := patterned(t)
	var reported []error
	var mu sync.Mutex
	socket := serve(t, &nbd.Server{Offers: []nbd.Offer{{Name: "vda", Disk: disk}}, Report: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		reported = append(reported, err)
	}})
	ctx := context.Background()
	dial := func() *nbd.Conn {
		c, err := nbd.Dial(ctx, socket, "vda", nbd.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	c := dial()
	got := make([]byte, disk.Size())
	if err := c.ReadBatch(ctx, []nbd.Read{{Data: got[:3<<20]}, {Offset: 3 << 20, Data: got[3<<20:]}}); err != nil || !bytes.Equal(got, disk.bytes) {
		t.Fatalf("other bytes: %v", err)
	}
	if err := c.Zero(0, 4096); err == nil {
		t.Fatal("a read-only export was changed")
	}
	disk.bad.Store(3 << 20)
	if err := dial().ReadBatch(ctx, []nbd.Read{{Offset: 2 << 20, Data: got[:2<<20]}}); err == nil {
		t.Fatal("a disk that cannot be read gave bytes")
	}
	mu.Lock()
	defer mu.Unlock()
	if len(reported) == 0 || !strings.Contains(reported[0].Error(), "chunk has a wrong sum") {
		t.Fatalf("the operator was told %v", reported)
	}
}

func TestServeWritable(t *testing.T) {
	need(t, "qemu-io", "qemu-img")
	base := patterned(t)
	truth := bytes.Clone(base.bytes)
	file, err := os.Create(filepath.Join(t.TempDir(), "overlay"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	overlay := nbd.NewOverlay(base, file)
	socket := serve(t, &nbd.Server{Offers: []nbd.Offer{{Name: "vda", Disk: overlay}}})
	command(t, "qemu-io", "-f", "raw", "-c", "write -P 0x5a 70000 123456", "-c", "write -z 1M 200k", "-c", "discard 2M 64k", "-c", "flush",
		"nbd+unix:///vda?socket="+socket)
	model := bytes.Clone(truth)
	copy(model[70000:], bytes.Repeat([]byte{0x5a}, 123456))
	clear(model[1<<20 : 1<<20+200<<10])
	clear(model[2<<20 : 2<<20+64<<10])
	got := make([]byte, overlay.Size())
	if _, err := overlay.ReadAt(got, 0); err != nil || !bytes.Equal(got, model) {
		t.Fatalf("the overlay holds other bytes: %v", err)
	}
	if !bytes.Equal(base.bytes, truth) {
		t.Fatal("the disk below was changed")
	}
}
