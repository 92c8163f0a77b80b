package dlp

import (
	"crypto/sha256"
	"sync"

	"github.com/bot-bottle/action/internal/dlp/needles"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/scan"
)

// Whole looks at the body of a request to a model: it refuses one that holds a secret,
// or makes the secret unreadable, as the route wants, and then looks again.
func (s *Scanner) Whole(route *policy.Route, body []byte) ([]byte, error) {
	redact := route.OnMatch() == policy.OnMatchRedact
	const where = "the request to the model"
	if looks(route, policy.DetectorKnown) {
		if found := s.spans(body); len(found) > 0 && redact {
			body = masked(body, found)
		}
		if err := s.decideKnown(route, s.spans(body), where); err != nil {
			return nil, err
		}
	}
	if !looks(route, policy.DetectorPatterns) {
		return body, nil
	}
	patterns, err := s.patterns()
	if err != nil {
		return nil, broken(err)
	}
	for again := false; ; again = true {
		found, err := s.newText(body)
		switch {
		case err != nil:
			return nil, broken(err)
		case len(found) == 0:
			return body, nil
		case !redact || again:
			return body, s.decidePatterns(route, found, where)
		}
		body = patterns.Mask(body, found, mask)
	}
}

// masked gives body with the places made unreadable.
func masked(body []byte, found []needles.Match) []byte {
	body = append([]byte(nil), body...)
	for _, m := range found {
		mask(body[m.Start:m.End])
	}
	return body
}

// mask makes text unreadable in its place, so that no length changes. What gives JSON
// its form stays.
func mask(text []byte) {
	for i, c := range text {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '\\', c == '%', c == '+', c == '/', c >= 0x80:
			text[i] = '*'
		}
	}
}

// A conversation is sent again at each turn, with a little more at its end. It is cut
// where its content says so, and a piece that was looked at between the same neighbours
// is not looked at again.
const (
	leastPiece = 4 << 10
	mostPiece  = 64 << 10
	cutMask    = 1<<14 - 1 // a cut every 16 KiB, on average
	neighbour  = overlap   // what is looked at before and behind a piece
	maxCleared = 1 << 15   // pieces that are remembered: a conversation of some hundred megabytes
)

// cleared remembers pieces in which nothing was found.
type cleared struct {
	mu     sync.Mutex
	pieces map[[sha256.Size]byte]struct{}
}

func (c *cleared) has(piece []byte) (id [sha256.Size]byte, known bool) {
	id = sha256.Sum256(piece)
	c.mu.Lock()
	defer c.mu.Unlock()
	_, known = c.pieces[id]
	return id, known
}

func (c *cleared) add(id [sha256.Size]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pieces == nil || len(c.pieces) >= maxCleared {
		c.pieces = map[[sha256.Size]byte]struct{}{}
	}
	c.pieces[id] = struct{}{}
}

// newText looks by gitleaks' rules at what of body was not looked at before, and gives
// everything that it finds.
func (s *Scanner) newText(body []byte) (all []scan.Finding, err error) {
	for begin := 0; begin < len(body); {
		end := begin + cut(body[begin:])
		piece := body[max(0, begin-neighbour):min(len(body), end+neighbour)]
		id, known := s.cleared.has(piece)
		if !known {
			found, err := s.rules(piece)
			if err != nil {
				return nil, err
			}
			if len(found) == 0 {
				s.cleared.add(id)
			}
			all = append(all, found...)
		}
		begin = end
	}
	return all, nil
}

// cut gives where the first piece of text ends. It depends on the 32 bytes before the
// cut alone, so that pieces stay the same when something before them changes.
func cut(text []byte) int {
	if len(text) <= leastPiece {
		return len(text)
	}
	var rolling uint32
	for i := leastPiece - 32; i < min(len(text), mostPiece); i++ {
		rolling = rolling<<1 + gear[text[i]]
		if i >= leastPiece && rolling>>8&cutMask == 0 {
			return i + 1
		}
	}
	return min(len(text), mostPiece)
}

// gear gives each byte a number with bits all over it.
var gear = func() (table [256]uint32) {
	x := uint32(2463534242)
	for i := range table { // xorshift
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		table[i] = x
	}
	return table
}()
