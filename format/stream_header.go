package format

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// StreamHeader is what virtnbdbackup writes in front of a stream.
type StreamHeader struct {
	Version     int       // 1 or 2; 0: a raw image, which has no header
	Size        int64     // virtual size of the disk, bytes
	Data        int64     // sum of the lengths of the data frames, bytes
	Date        time.Time // by the clock on the wall of the host, as if that were UTC; zero if it cannot be read
	Disk        string    // target
	Format      string    // of the disk's image, "qcow2"; "" in the oldest files
	Checkpoint  string    // that the stream ends with; of a copy or a diff a name that no checkpoint has
	Parent      string    // checkpoint that it builds on; "" if none
	Compressed  bool      // data frames hold LZ4 frames
	Incremental bool      // false: ranges without a data frame are zero
}

// ReadStreamHeader reads the header of a v1 or v2 file, and nothing else of it.
func ReadStreamHeader(r io.ReaderAt, size int64) (StreamHeader, error) {
	h, _, err := readStreamHeader(r, size)
	return h, err
}

// readStreamHeader returns the header and where the next frame starts.
func readStreamHeader(r io.ReaderAt, size int64) (StreamHeader, int64, error) {
	b := make([]byte, min(size, frameSize))
	if err := readFull(r, b, 0); err != nil {
		return StreamHeader{}, 0, err
	}
	if len(b) < len(frameMeta) || string(b[:len(frameMeta)]) != frameMeta {
		return StreamHeader{}, 0, ErrNoStream
	}
	if len(b) < frameSize {
		return StreamHeader{}, 0, fmt.Errorf("file of %d bytes ends in its first frame", size)
	}
	_, zero, length, err := parseFrame(b)
	if err != nil {
		return StreamHeader{}, 0, fmt.Errorf("frame at 0 of the file: %w", err)
	}
	if zero != 0 || length > maxHeader || length > size-frameSize-2 {
		return StreamHeader{}, 0, fmt.Errorf("header of %d bytes does not fit: at most %d", length, min(maxHeader, size-frameSize-2))
	}
	text := make([]byte, length+2)
	if err := readFull(r, text, frameSize); err != nil {
		return StreamHeader{}, 0, err
	}
	end := frameSize + length
	if string(text[length:]) != "\r\n" {
		return StreamHeader{}, 0, fmt.Errorf("header ends with %q at %d of the file, expected CR LF", text[length:], end)
	}
	h, err := parseStreamHeader(text[:length])
	if err != nil {
		return StreamHeader{}, 0, fmt.Errorf("header: %w", err)
	}
	return h, end + 2, nil
}

// streamJSON is the header as it stands in the file. Keys that are not known are
// ignored: virtnbdbackup ignores them too.
type streamJSON struct {
	Size        *int64          `json:"virtualSize"`
	Data        *int64          `json:"dataSize"`
	Date        string          `json:"date"`
	Disk        *string         `json:"diskName"`
	Format      string          `json:"diskFormat"`
	Checkpoint  *string         `json:"checkpointName"`
	Compressed  json.RawMessage `json:"compressed"` // false or a level
	Method      string          `json:"compressionMethod"`
	Parent      json.RawMessage `json:"parentCheckpoint"` // false, "" or a name
	Incremental *bool           `json:"incremental"`
	OldVersion  *int            `json:"stream-version"` // of 2020
	Version     *int            `json:"streamVersion"`
}

func parseStreamHeader(text []byte) (StreamHeader, error) {
	var j streamJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return StreamHeader{}, err
	}
	if j.OldVersion != nil {
		j.Version = j.OldVersion
	}
	if j.Size == nil || j.Data == nil || j.Disk == nil || j.Checkpoint == nil || j.Incremental == nil || j.Version == nil {
		return StreamHeader{}, errors.New("virtualSize, dataSize, diskName, checkpointName, incremental or streamVersion is missing")
	}
	h := StreamHeader{Version: *j.Version, Size: *j.Size, Data: *j.Data, Disk: *j.Disk, Format: j.Format,
		Checkpoint: *j.Checkpoint, Incremental: *j.Incremental}
	if p := string(j.Parent); p != "" && p != "false" && p != "null" {
		if err := json.Unmarshal(j.Parent, &h.Parent); err != nil {
			return h, err
		}
	}
	h.Date, _ = time.Parse("2006-01-02T15:04:05", j.Date)            // reads fractions too
	h.Compressed = h.Version == 2 && string(j.Compressed) != "false" // as virtnbdbackup has it: also 0 is a level
	return h, h.check(j)
}

func (h StreamHeader) check(j streamJSON) error {
	if h.Version != 1 && h.Version != 2 {
		return fmt.Errorf("stream version is %d, expected 1 or 2", h.Version)
	}
	if h.Size < 0 || h.Size > maxSize || h.Data < 0 || h.Data > maxSize {
		return fmt.Errorf("virtualSize %d or dataSize %d is not in 0 to %d", h.Size, h.Data, int64(maxSize))
	}
	if h.Version == 2 && j.Compressed == nil {
		return errors.New("compressed is missing")
	}
	if h.Compressed && j.Method != "" && j.Method != "lz4" {
		return fmt.Errorf("compressionMethod is %q, expected lz4", j.Method)
	}
	if h.Incremental && h.Parent == "" {
		return errors.New("incremental, but parentCheckpoint names none")
	}
	return nil
}
