package meter

import (
	"slices"
	"strconv"
)

// field is a number, or a name, that an answer has.
type field byte

const (
	holder field = iota // an object with numbers
	input
	output
	cacheWrite
	cacheRead
	cached   // of input
	thoughts // beside output
	toolInput
	modelName
	eventType
	fields
)

// document is what was found in one document of an answer.
type document struct {
	watch map[string]field
	// limit is what a number may be; one that is larger can't be true.
	limit int64

	paths   []string // that were found: at most those that are looked for
	has     [fields]bool
	numbers [fields]int64
	model   string
	event   string
	untrue  bool // something in it can't be true
}

func (d *document) reset() {
	*d = document{watch: d.watch, limit: d.limit, paths: d.paths[:0]}
}

// take is told each value near the root.
func (d *document) take(path string, k kind, content string) {
	f, looked := d.watch[path]
	if !looked || k == scalar && content == "null" {
		return
	}
	if slices.Contains(d.paths, path) {
		d.untrue = true
		return
	}
	d.paths = append(d.paths, path)
	d.has[f] = true
	switch f {
	case holder:
		d.untrue = d.untrue || k != object
	case modelName:
		d.model = content
	case eventType:
		d.event = content
	default:
		n, ok := count(k, content, d.limit)
		d.numbers[f] = max(d.numbers[f], n)
		d.untrue = d.untrue || !ok
	}
}

// count reads a number of tokens: a whole one, not negative, and at most limit.
func count(k kind, content string, limit int64) (int64, bool) {
	n, err := strconv.ParseInt(content, 10, 64)
	plain := k == scalar && err == nil && n >= 0 && n <= limit && content == strconv.FormatInt(n, 10)
	if !plain {
		return 0, false
	}
	return n, true
}
