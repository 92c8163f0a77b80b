package dlp

import (
	"encoding/binary"
	"errors"

	"github.com/bot-bottle/action/internal/policy"
)

// frames looks into the frames of a WebSocket that a client sends (RFC 6455, section
// 5.2). What they carry is looked at as one text, so that cutting it into frames or
// messages hides nothing.
type frames struct {
	text *outbound
	head []byte  // of a frame, as far as it came
	key  [4]byte // of the frame's mask
	at   int     // in the key
	left uint64  // bytes of the frame's payload
	came uint64  // those that came before
}

func (s *Scanner) frames(route *policy.Route, warn func(string)) *frames {
	f := &frames{text: s.outbound(route, warn)}
	f.text.refuses = true
	return f
}

// Errors of frames that no client sends.
var (
	errCompressed = errors.New("a frame of the WebSocket is compressed, or of an extension that was not agreed on")
	errUnmasked   = errors.New("a frame of the WebSocket is not masked")
)

func (f *frames) see(held []byte, fresh int) (int, error) {
	var plain []byte
	for rest := held[len(held)-fresh:]; len(rest) > 0; {
		if f.left == 0 {
			f.head = append(f.head, rest[0])
			rest = rest[1:]
			if err := f.begin(); err != nil {
				return 0, unreadable(f.text.route, err)
			}
			continue
		}
		n := int(min(f.left, uint64(len(rest))))
		for _, c := range rest[:n] {
			plain = append(plain, c^f.key[f.at])
			f.at = (f.at + 1) % len(f.key)
		}
		rest, f.left, f.came = rest[n:], f.left-uint64(n), f.came+uint64(n)
	}
	keep, err := f.text.see(plain, len(plain))
	if uint64(keep) > f.came { // it began in a frame before, all of which is held
		return min(len(held), maxHeld), err
	}
	return keep + len(f.head), err
}

// begin reads the head of a frame, once all of it is there.
func (f *frames) begin() error {
	if len(f.head) < 2 {
		return nil
	}
	if f.head[0]&0x70 != 0 {
		return errCompressed
	}
	if f.head[1]&0x80 == 0 {
		return errUnmasked
	}
	long := map[byte]int{126: 2, 127: 8}[f.head[1]&0x7f]
	if len(f.head) < 2+long+len(f.key) {
		return nil
	}
	length := f.head[2 : 2+long]
	switch long {
	case 0:
		f.left = uint64(f.head[1] & 0x7f)
	case 2:
		f.left = uint64(binary.BigEndian.Uint16(length))
	case 8:
		f.left = binary.BigEndian.Uint64(length)
	}
	copy(f.key[:], f.head[2+long:])
	f.head, f.at, f.came = f.head[:0], 0, 0
	return nil
}

func (f *frames) end([]byte) error { return f.text.end(nil) }
