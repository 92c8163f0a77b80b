package egress

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Errors of reading a head, besides those of the connection.
var (
	errHeadTooLarge = errors.New("the request head is too large")
	errMalformed    = errors.New("malformed request")
)

// head is what the door needs of a request's head as it stood on the wire:
// net/http accepts more than one spelling and forgets which it was.
type head struct {
	method, target string
	minor          byte // of HTTP/1.minor: '0' or '1'
	host           string
	hosts          int  // how many Host fields there were
	lengths        int  // how many Content-Length fields
	chunked        bool // Transfer-Encoding is exactly "chunked"
}

// headEnd ends a head: an empty line after a line (RFC 9112, section 2.1).
var headEnd = []byte("\r\n\r\n")

// awaitHead waits until a whole head is buffered and gives its bytes, which
// remain unread and are valid until the next read. The reader it gives replaces
// r: it is a larger one where the head needed it.
func awaitHead(r *bufio.Reader, limit int) ([]byte, *bufio.Reader, error) {
	seen := 0
	for {
		if r.Buffered() >= r.Size() {
			r = bufio.NewReaderSize(r, limit)
		}
		want := r.Buffered()
		if want <= seen {
			want = seen + 1
		}
		b, err := r.Peek(want)
		if err != nil {
			return b, r, err
		}
		b, _ = r.Peek(r.Buffered())
		// The end may straddle what was seen before.
		from := max(0, seen-len(headEnd)+1)
		end := bytes.Index(b[from:], headEnd)
		if end >= 0 {
			b = b[:from+end+len(headEnd)]
		}
		switch {
		case bareLF(b, from):
			return b, r, fmt.Errorf("%w: a line ends without CR", errMalformed)
		case len(b) > limit || end < 0 && len(b) == limit:
			return b, r, errHeadTooLarge
		case end >= 0:
			return b, r, nil
		}
		seen = len(b)
	}
}

// bareLF finds, from the given offset on, an LF without a CR before it. Such a
// head may never get an end that we accept, so waiting for it is of no use.
func bareLF(b []byte, from int) bool {
	for i := from; i < len(b); i++ {
		next := bytes.IndexByte(b[i:], '\n')
		if next < 0 {
			return false
		}
		i += next
		if i == 0 || b[i-1] != '\r' {
			return true
		}
	}
	return false
}

// parseHead checks a head byte by byte. It refuses everything that two parsers
// might read differently: bare CR or LF, folded lines, space before a colon,
// several lengths or hosts, unknown transfer codings (RFC 9112, sections 2.2, 5
// and 6.3).
func parseHead(b []byte) (head, error) {
	lines := strings.Split(strings.TrimSuffix(string(b), string(headEnd)), "\r\n")
	h, err := parseRequestLine(lines[0])
	if err != nil {
		return h, err
	}
	for _, line := range lines[1:] {
		if err := h.field(line); err != nil {
			return h, err
		}
	}
	return h, h.consistent()
}

func parseRequestLine(line string) (head, error) {
	var h head
	parts := strings.Split(line, " ")
	if len(parts) != 3 {
		return h, fmt.Errorf("%w: the request line has not three parts", errMalformed)
	}
	h.method, h.target = parts[0], parts[1]
	if !httpguts.ValidHeaderFieldName(h.method) { // a method is a token, as a field name is
		return h, fmt.Errorf("%w: the method is no token", errMalformed)
	}
	if h.target == "" || strings.ContainsFunc(h.target, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return h, fmt.Errorf("%w: the target has bytes that need escaping", errMalformed)
	}
	if parts[2] != "HTTP/1.1" && parts[2] != "HTTP/1.0" {
		return h, fmt.Errorf("%w: the version is neither HTTP/1.1 nor HTTP/1.0", errMalformed)
	}
	h.minor = parts[2][len(parts[2])-1]
	return h, nil
}

func (h *head) field(line string) error {
	name, value, found := strings.Cut(line, ":")
	if !found || !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("%w: a header line has no valid name", errMalformed)
	}
	if !httpguts.ValidHeaderFieldValue(value) || strings.ContainsAny(value, "\r\n") {
		return fmt.Errorf("%w: header field %q has control bytes", errMalformed, name)
	}
	value = strings.Trim(value, " \t")
	switch strings.ToLower(name) {
	case "host":
		h.host = value
		h.hosts++
	case "content-length":
		h.lengths++
		if value == "" || strings.Trim(value, "0123456789") != "" {
			return fmt.Errorf("%w: Content-Length is no number", errMalformed)
		}
	case "transfer-encoding":
		if h.chunked || !strings.EqualFold(value, "chunked") {
			return fmt.Errorf("%w: Transfer-Encoding is not just chunked", errMalformed)
		}
		h.chunked = true
	}
	return nil
}

func (h *head) consistent() error {
	switch {
	case h.hosts > 1 || h.hosts == 0 && h.minor == '1':
		return fmt.Errorf("%w: there is not exactly one Host field", errMalformed)
	case h.lengths > 1 || h.lengths > 0 && h.chunked:
		return fmt.Errorf("%w: the body's length is given twice", errMalformed)
	case h.chunked && h.minor == '0':
		return fmt.Errorf("%w: HTTP/1.0 has no transfer codings", errMalformed)
	}
	return nil
}
