package gitgate

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bot-bottle/action/internal/objectid"
)

// maxCommands is how many refs one push may change.
const maxCommands = 64

// maxRefBytes bounds the name of a ref.
const maxRefBytes = 256

// command is one line of a push: make Ref, which is Old, become New. A zero id means
// that there is none.
type command struct{ Old, New, Ref string }

func (c command) creates() bool { return isZero(c.Old) }
func (c command) deletes() bool { return isZero(c.New) }

func isZero(id string) bool { return strings.Trim(id, "0") == "" }

// request is what stands before the pack of a push.
type request struct {
	commands     []command
	capabilities []string
}

// has tells whether the client said that it can do what name says.
func (r request) has(name string) bool {
	return slices.ContainsFunc(r.capabilities, func(c string) bool { return c == name || strings.HasPrefix(c, name+"=") })
}

// readRequest reads the commands of a push (gitprotocol-pack(5), "Reference Update
// Request"). None at all is what a client asks to see whether it may push. What
// isn't known is an error: nothing is forwarded that this code didn't understand.
func readRequest(r *bufio.Reader) (request, error) {
	var req request
	shallow := 0
	for {
		p, err := readPacket(r)
		if err != nil {
			return req, err
		}
		if p.special {
			return req, nil
		}
		if len(req.commands) == maxCommands {
			return req, fmt.Errorf("reading the push: it changes more than %d refs", maxCommands)
		}
		if isShallow(p.payload) && len(req.commands) == 0 {
			if shallow++; shallow > maxShallow {
				return req, fmt.Errorf("reading the push: its history is cut in more than %d places", maxShallow)
			}
			continue
		}
		line, capabilities, found := bytes.Cut(p.payload, []byte{0})
		if found && len(req.commands) == 0 {
			req.capabilities = strings.Fields(string(capabilities))
		}
		c, err := parseCommand(strings.TrimSuffix(string(line), "\n"))
		if err != nil {
			return req, err
		}
		if slices.ContainsFunc(req.commands, func(o command) bool { return o.Ref == c.Ref }) {
			return req, fmt.Errorf("reading the push: it names %q twice", c.Ref)
		}
		req.commands = append(req.commands, c)
	}
}

// maxShallow is how many lines of isShallow are taken.
const maxShallow = 1000

// isShallow tells whether a line says where the history of the client's clone is cut.
// Nothing follows from it: the mirror has what lies behind, or the push lacks it.
func isShallow(payload []byte) bool {
	id, ok := bytes.CutPrefix(bytes.TrimSuffix(payload, []byte{'\n'}), []byte("shallow "))
	return ok && objectid.Is(string(id))
}

func parseCommand(line string) (command, error) {
	parts := strings.SplitN(line, " ", 3)
	if len(parts) != 3 || !objectid.Is(parts[0]) || !objectid.Is(parts[1]) || len(parts[0]) != len(parts[1]) {
		return command{}, fmt.Errorf("reading the push: a command of %d bytes: %w", len(line), errPacket)
	}
	c := command{parts[0], parts[1], parts[2]}
	if err := checkRef(c.Ref); err != nil {
		return command{}, err
	}
	if c.creates() && c.deletes() {
		return command{}, errors.New("reading the push: a command changes nothing")
	}
	return c, nil
}

// checkRef takes the names that git takes (git-check-ref-format(1)), of printable
// ASCII alone.
func checkRef(ref string) error {
	bad := func(why string) error {
		return fmt.Errorf("reading the ref %q: %s", ref[:min(len(ref), maxRefBytes)], why)
	}
	switch {
	case len(ref) > maxRefBytes:
		return bad("it is too long")
	case !strings.HasPrefix(ref, "refs/"):
		return bad("it does not begin with refs/")
	case strings.ContainsFunc(ref, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune(`~^:?*[\`, c) }):
		return bad("it has a character that names of refs don't have here")
	case strings.Contains(ref, "..") || strings.Contains(ref, "@{") || strings.HasSuffix(ref, "."):
		return bad("it is no name of a ref")
	}
	for part := range strings.SplitSeq(ref, "/") {
		if part == "" || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") {
			return bad("it is no name of a ref")
		}
	}
	return nil
}
