package action

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/bot-bottle/action/internal/term"
)

// HandoverSchema is the version of the line that the shim sends.
const HandoverSchema = 1

// maxHandover bounds that line. One variable of an environment, as which a
// runner gives an input, has at most 128 KiB (execve(2), MAX_ARG_STRLEN), and
// JSON may take six bytes for one.
const maxHandover = 2 << 20

// Handover is what the shim tells the binary: one line of JSON, the first and
// only thing that comes over the lifeline.
type Handover struct {
	Schema int               `json:"schema"`
	Handle string            `json:"handle"` // drawn by main, given to post; empty: post without main
	Inputs map[string]string `json:"inputs"` // by the names of action.yml; those not given are empty
}

// handleForm is the form of a run id, so that a handle can have a lock of its own
// among theirs.
var handleForm = regexp.MustCompile(`^[a-z2-7]{10}$`)

// ReadHandover reads the line and not a byte more: the rest of r is the lifeline.
func ReadHandover(r io.Reader) (Handover, error) {
	line, err := readLine(r)
	if err == nil {
		var h Handover
		if h, err = parseHandover(line); err == nil {
			return h, nil
		}
	}
	return Handover{}, term.Errorf(term.StageUsage, "", "reading what the action's shim sent: %w", err).
		WithHint("this verb is for action.yml; a person uses bot-bottle run")
}

func readLine(r io.Reader) ([]byte, error) {
	var line []byte
	var one [1]byte // a pipe can't be unread; the line is short
	for len(line) <= maxHandover {
		if _, err := io.ReadFull(r, one[:]); err != nil {
			return nil, fmt.Errorf("after %d bytes: %w", len(line), err)
		}
		if one[0] == '\n' {
			return line, nil
		}
		line = append(line, one[0])
	}
	return nil, fmt.Errorf("it has more than %d bytes", maxHandover)
}

func parseHandover(line []byte) (Handover, error) {
	var h Handover
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); err != nil {
		return h, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return h, errors.New("something follows the object")
	}
	if h.Schema != HandoverSchema {
		return h, fmt.Errorf("its schema is %d, this binary knows %d", h.Schema, HandoverSchema)
	}
	if h.Handle != "" && !handleForm.MatchString(h.Handle) {
		return h, fmt.Errorf("the handle %q is none", term.Shorten(h.Handle, 40))
	}
	return h, nil
}

// runName is how the runs of one action step are called.
func (h Handover) runName() string { return "action-" + h.Handle }
