package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strconv"
	"strings"

	"o2n-milter/state"
)

const (
	// format is the layout of lines that this version writes; it reads no newer one.
	format = 1
	// maxLine bounds a line, in bytes: a doc's 64 KiB of data and room for the rest.
	maxLine = 128 << 10
	// sumLength is a checksum in hex and the blank behind it.
	sumLength = 9
	// shown is how many damaged lines are named.
	shown = 20
)

// castagnoli has an instruction of its own on today's processors.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the first line.
type header struct {
	Journal string `json:"journal"` // program
	Format  int    `json:"format"`
	Seq     int64  `json:"seq"` // of the last line when the file was written anew
}

const program = "o2n-milter"

// entry is any other line.
type entry struct {
	Seq  int64           `json:"seq"`
	Kind string          `json:"kind"`
	ID   string          `json:"id"`
	Rev  int64           `json:"rev"`
	Data json.RawMessage `json:"data,omitempty"` // absent: deleted
}

func (e entry) name() name { return name{e.Kind, e.ID} }

func entryOf(doc state.Doc, seq int64) entry {
	return entry{Seq: seq, Kind: doc.Kind, ID: doc.ID, Rev: doc.Rev, Data: doc.Data}
}

// content is what a file says.
type content struct {
	last    []entry // the last line of each doc, in the order of the file
	seq     int64   // the highest
	lines   int     // behind the header
	end     int64   // where the last whole line ends
	torn    int64   // bytes behind that
	damaged []int   // numbers of lines that cannot be read, the first being 1
	empty   bool    // not one whole line
}

// fault says what is wrong in words; empty when nothing is.
func (c content) fault() string {
	if c.empty {
		return "the file holds no whole line; want a header"
	}
	if len(c.damaged) == 0 {
		return ""
	}
	var list []string
	for _, n := range c.damaged[:min(shown, len(c.damaged))] {
		list = append(list, strconv.Itoa(n))
	}
	if len(c.damaged) > shown {
		list = append(list, "...")
	}
	return fmt.Sprintf("%d lines of %d cannot be read: %s", len(c.damaged), c.lines+1, strings.Join(list, ", "))
}

func (c content) docs() []state.Doc {
	docs := make([]state.Doc, 0, len(c.last))
	for _, e := range c.last {
		docs = append(docs, state.Doc{Kind: e.Kind, ID: e.ID, Rev: e.Rev, Data: e.Data})
	}
	return docs
}

// read reads a file from its beginning.
func read(file *os.File) (content, error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return content{}, err
	}
	return readLines(bufio.NewReaderSize(file, 64<<10))
}

// readLines takes whatever bytes there are; only a newer version's header, or a
// reader's error, is one.
func readLines(r *bufio.Reader) (content, error) {
	c := content{}
	var entries []entry
	at := make(map[name]int) // of a doc's last line, in entries
	for n := 1; ; n++ {
		line, length, err := nextLine(r)
		if errors.Is(err, io.EOF) {
			c.torn = length
			c.empty = n == 1
			break
		}
		if err != nil {
			return content{}, err
		}
		c.end += length
		e, err := c.line(n, line)
		if err != nil {
			return content{}, err
		}
		if e == nil {
			continue
		}
		at[e.name()] = len(entries)
		entries = append(entries, *e)
	}
	for i, e := range entries {
		if at[e.name()] == i {
			c.last = append(c.last, e)
		}
	}
	return c, nil
}

// line reads the n-th line; nil when it holds no doc.
func (c *content) line(n int, line []byte) (*entry, error) {
	text, ok := checked(line)
	if n == 1 {
		var h header
		if ok && json.Unmarshal(text, &h) == nil && h.Journal == program {
			if h.Format > format {
				return nil, fmt.Errorf("format %d (this version reads up to %d): %w", h.Format, format, state.ErrNewer)
			}
			c.seq = max(c.seq, h.Seq)
			return nil, nil
		}
		// Without its header the file may still begin with a doc.
		c.damaged = append(c.damaged, n)
	}
	c.lines++
	var e entry
	if !ok || json.Unmarshal(text, &e) != nil || e.Kind == "" || e.ID == "" || e.Seq < 0 {
		if n > 1 {
			c.damaged = append(c.damaged, n)
		}
		return nil, nil
	}
	c.seq = max(c.seq, e.Seq)
	return &e, nil
}

// checked takes the checksum off a line; false when it does not agree.
func checked(line []byte) (text []byte, ok bool) {
	if len(line) < sumLength || line[sumLength-1] != ' ' {
		return nil, false
	}
	text = line[sumLength:]
	return text, string(line[:sumLength]) == sum(text)
}

func sum(text []byte) string { return fmt.Sprintf("%08x ", crc32.Checksum(text, castagnoli)) }

// nextLine gives a line without its end, and the bytes it takes in the file. Of one
// that is longer than any of ours it gives none. What has no end comes with io.EOF.
func nextLine(r *bufio.Reader) (line []byte, length int64, err error) {
	for {
		part, err := r.ReadSlice('\n')
		length += int64(len(part))
		if length <= maxLine {
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if length > maxLine {
			line = nil
		}
		return bytes.TrimSuffix(line, []byte("\n")), length, err
	}
}

// appendLine writes v behind lines, as JSON with its checksum.
func appendLine(lines []byte, v any) ([]byte, error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false) // < and > are in every address an admin looks for
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	line := bytes.TrimSuffix(text.Bytes(), []byte("\n"))
	if n := len(line) + sumLength + 1; n > maxLine {
		return nil, fmt.Errorf("line of %d bytes; want at most %d", n, maxLine)
	}
	return append(append(append(lines, sum(line)...), line...), '\n'), nil
}
