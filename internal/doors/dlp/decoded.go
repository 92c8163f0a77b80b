package dlp

import (
	"errors"
	"net/http"
	"strings"

	"github.com/bot-bottle/action/internal/dlp/decode"
	"github.com/bot-bottle/action/internal/doors/egress"
	"github.com/bot-bottle/action/internal/policy"
)

// Bounds of a body with an encoding: it is gathered, undone and looked at before any of
// it passes.
const (
	maxEncoded = 1 << 20  // as it is sent
	maxDecoded = 16 << 20 // gitleaks' rules take some seconds for that much
	maxUndoing = 2        // bodies at once
)

// encodingOf gives the encodings of a body, of all fields that name some (RFC 9110,
// section 5.3); empty: none.
func encodingOf(head *http.Request) string {
	encoding := strings.Join(head.Header.Values("Content-Encoding"), ",")
	if strings.EqualFold(strings.TrimSpace(encoding), "identity") {
		return ""
	}
	return encoding
}

// checkEncoding refuses an encoding that can't be undone.
func checkEncoding(encoding string) error {
	d, err := decode.New(encoding, decode.Options{}, func(int, []byte) error { return nil })
	if err != nil {
		return unreadable(err)
	}
	d.Close()
	return nil
}

// decoded looks at a body with an encoding: at what is undone, at each depth, and for
// known secrets at what is sent, too, which has names and comments of its own.
type decoded struct {
	encoding string
	sent     *outbound
	undone   [decode.MaxDepth + 1]*outbound // by depth
	undoing  chan struct{}
}

func (s *Scanner) decoded(route *policy.Route, encoding string) *decoded {
	d := &decoded{encoding: encoding, undoing: s.undoing}
	d.sent = s.outbound(route)
	d.sent.refuses = true // what is compressed can't be changed in its place
	for depth := range d.undone {
		d.undone[depth] = s.outbound(route)
		d.undone[depth].refuses = true
	}
	return d
}

func (d *decoded) see(held []byte, fresh int) (int, error) {
	if len(held) > maxEncoded {
		return 0, unreadable(errors.New("a body with an encoding is too large to be looked into"))
	}
	_, err := d.sent.known(held, fresh)
	return len(held), err
}

func (d *decoded) end(held []byte) error {
	if err := d.undo(held); err != nil {
		if _, found := errors.AsType[*egress.Withheld](err); found {
			return err
		}
		return unreadable(err)
	}
	for _, o := range append(d.undone[1:], d.sent) {
		if err := o.end(nil); err != nil {
			return err
		}
	}
	return nil
}

// undo looks at what the body holds, few at once: a small one may hold much.
func (d *decoded) undo(body []byte) error {
	d.undoing <- struct{}{}
	defer func() { <-d.undoing }()
	decoder, err := decode.New(d.encoding, decode.Options{MaxBytes: maxDecoded}, func(depth int, p []byte) error {
		_, err := d.undone[depth].see(p, len(p))
		return err
	})
	if err != nil {
		return err
	}
	defer decoder.Close()
	if _, err := decoder.Write(body); err != nil {
		return err
	}
	return decoder.Finish()
}
