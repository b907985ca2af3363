package virtnbdbackup

import (
	"encoding/xml"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// config is what a domain's XML says of interest.
type config struct {
	name, uuid string
	drivers    map[string]string // of disks, by target: format of the image
}

// configID is the part of vmconfig.ID.xml that says what it belongs to: a
// checkpoint, "copy", or the seconds of a difference.
func configID(name string) (string, bool) {
	id, ok := strings.CutPrefix(name, "vmconfig.")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(id, ".xml")
}

func readConfig(fsys fs.FS, name string) (config, error) {
	b, err := readSmall(fsys, name)
	if err != nil {
		return config{}, err
	}
	var d struct {
		XMLName xml.Name `xml:"domain"`
		Name    string   `xml:"name"`
		UUID    string   `xml:"uuid"`
		Disks   []struct {
			Driver struct {
				Type string `xml:"type,attr"`
			} `xml:"driver"`
			Target struct {
				Dev string `xml:"dev,attr"`
			} `xml:"target"`
		} `xml:"devices>disk"`
	}
	if err := xml.Unmarshal(b, &d); err != nil {
		return config{}, err
	}
	c := config{name: d.Name, uuid: d.UUID, drivers: map[string]string{}}
	for _, disk := range d.Disks {
		c.drivers[disk.Target.Dev] = disk.Driver.Type
	}
	return c, nil
}

// created reads the instant of a checkpoint from its XML, zero if it is not
// recorded.
func created(fsys fs.FS, checkpoint string) time.Time {
	b, err := readSmall(fsys, "checkpoints/"+checkpoint+".xml")
	if err != nil {
		return time.Time{}
	}
	var c struct {
		XMLName xml.Name `xml:"domaincheckpoint"`
		Created string   `xml:"creationTime"`
	}
	if err := xml.Unmarshal(b, &c); err != nil {
		return time.Time{}
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(c.Created), 10, 64)
	if err != nil || seconds <= 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// readSmall reads a whole file of a reasonable size.
func readSmall(fsys fs.FS, name string) ([]byte, error) {
	const most = 16 << 20
	opened, r, size, err := openFile(fsys, name)
	if opened != nil {
		defer opened.Close()
	}
	if err != nil {
		return nil, err
	}
	if size > most {
		return nil, fmt.Errorf("has %d bytes, at most %d are read", size, most)
	}
	return io.ReadAll(io.NewSectionReader(r, 0, size))
}
