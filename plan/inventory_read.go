package plan

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"regexp"
)

// DecodeInventory reads what EncodeInventory wrote, however it was indented since, and
// refuses what was edited or cut off. It holds one domain of the file at a time.
func DecodeInventory(r io.Reader) (Inventory, error) {
	in := &summed{r: bufio.NewReaderSize(&compact{r: bufio.NewReaderSize(io.LimitReader(r, maxFile), 64<<10)}, 64<<10), hash: sha256.New()}
	head, err := in.head()
	if err != nil {
		return Inventory{}, err
	}
	if head.Version != inventoryVersion {
		return Inventory{}, fmt.Errorf("it has the version %q, and this vbk reads %q", head.Version, inventoryVersion)
	}
	var v Inventory
	d := json.NewDecoder(in)
	d.DisallowUnknownFields()
	err = object(d, fields{
		"taken":  func() error { return d.Decode(&v.Taken) },
		"hosts":  func() error { return list(d, &v.Hosts, readHost) },
		"stores": func() error { return list(d, &v.Stores, readStore) },
	})
	value := d.InputOffset()
	if _, rest := io.Copy(io.Discard, in); err == nil {
		err = rest
	}
	switch {
	case err != nil && in.ended && in.sum() != head.SHA256, err == nil && (in.sum() != head.SHA256 || in.last != '}' || value != in.length):
		return Inventory{}, ErrEdited
	case err != nil:
		return Inventory{}, fmt.Errorf("decode inventory: %w", err)
	}
	return v, nil
}

func readHost(d *json.Decoder, h *Host) error {
	return object(d, fields{
		"name":    func() error { return d.Decode(&h.Name) },
		"uuid":    func() error { return d.Decode(&h.UUID) },
		"domains": func() error { return list(d, &h.Domains, decode) },
		"error":   func() error { return d.Decode(&h.Error) },
		"hint":    func() error { return d.Decode(&h.Hint) },
	})
}

func readStore(d *json.Decoder, s *Store) error {
	return object(d, fields{
		"address": func() error { return d.Decode(&s.Address) },
		"id":      func() error { return d.Decode(&s.ID) },
		"free":    func() error { return d.Decode(&s.Free) },
		"size":    func() error { return d.Decode(&s.Size) },
		"domains": func() error { return list(d, &s.Domains, decode) },
		"error":   func() error { return d.Decode(&s.Error) },
		"hint":    func() error { return d.Decode(&s.Hint) },
	})
}

func decode[T any](d *json.Decoder, v *T) error { return d.Decode(v) }

// fields read the values of an object by their keys.
type fields map[string]func() error

// object reads an object with no other fields than these.
func object(d *json.Decoder, of fields) error {
	if there, err := opens(d, '{'); !there || err != nil {
		return err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string) // what is no key, the decoder refuses
		read, known := of[name]
		if !known {
			return fmt.Errorf("unknown field %q", name)
		}
		if err := read(); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

// list reads a list, one element after the other.
func list[T any](d *json.Decoder, all *[]T, read func(*json.Decoder, *T) error) error {
	if there, err := opens(d, '['); !there || err != nil {
		return err
	}
	*all = []T{}
	for d.More() {
		var v T
		if err := read(d, &v); err != nil {
			return err
		}
		*all = append(*all, v)
	}
	_, err := d.Token()
	return err
}

// opens reads how an object or a list begins; null is none.
func opens(d *json.Decoder, with json.Delim) (there bool, err error) {
	switch t, err := d.Token(); {
	case err != nil:
		return false, err
	case t == nil:
		return false, nil
	case t != with:
		return false, fmt.Errorf("found %v, expected %v", t, with)
	}
	return true, nil
}

// summed is an inventory file without white space. It sums what is read behind the head
// but the last byte, which closes the file.
type summed struct {
	r      *bufio.Reader
	hash   hash.Hash
	some   bool
	last   byte
	length int64 // of what was summed
	ended  bool
}

func (s *summed) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if n > 0 {
		if s.some {
			s.add(s.last)
		}
		_, _ = s.hash.Write(p[:n-1]) // a hash takes everything
		s.length += int64(n - 1)
		s.last, s.some = p[n-1], true
	}
	s.ended = s.ended || err == io.EOF
	return n, err
}

func (s *summed) add(b byte) {
	_, _ = s.hash.Write([]byte{b})
	s.length++
}

func (s *summed) sum() string { return hex.EncodeToString(s.hash.Sum(nil)) }

var inventoryHead = regexp.MustCompile(`^\{"version":"([^"\\]*)","sha256":"([0-9a-f]*)","inventory":`)

// head reads the file up to the inventory.
func (s *summed) head() (head inventoryFile, err error) {
	const most = 256
	start, err := s.r.Peek(most)
	if err != nil && err != io.EOF {
		return head, err
	}
	m := inventoryHead.FindSubmatch(start)
	if m == nil {
		return head, errors.New("it is no inventory")
	}
	head.Version, head.SHA256 = string(m[1]), string(m[2])
	_, err = s.r.Discard(len(m[0]))
	return head, err
}

// compact leaves out the white space of JSON that is in no string.
type compact struct {
	r               *bufio.Reader
	inside, escaped bool // a string; behind a backslash in it
}

func (c *compact) Read(p []byte) (int, error) {
	for {
		n, err := c.r.Read(p)
		kept := p[:0]
		for _, b := range p[:n] {
			switch {
			case c.escaped:
				c.escaped = false
			case c.inside && b == '\\':
				c.escaped = true
			case b == '"':
				c.inside = !c.inside
			case !c.inside && bytes.IndexByte([]byte(" \t\r\n"), b) >= 0:
				continue
			}
			kept = append(kept, b)
		}
		if len(kept) > 0 || err != nil {
			return len(kept), err
		}
	}
}
