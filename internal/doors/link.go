package doors

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"

	"github.com/bot-bottle/action/internal/neutralize"
	"github.com/bot-bottle/action/internal/term"
)

const (
	// maxOrder is room for the largest policy that a bottle file (1 MiB) and
	// its CA files make.
	maxOrder = 16 << 20
	// maxAnswer is room for a certificate and the causes of an error.
	maxAnswer = 64 << 10
)

// link is one end of the socket pair. send may be called concurrently, receive
// by one caller at a time.
type link struct {
	conn *net.UnixConn
	in   *bufio.Scanner
	mu   sync.Mutex
}

// errOver is what both directions give once the other end is closed.
var errOver = errors.New("the other end of the socket pair is closed")

// newLink bounds the lines that it takes to maxLine bytes.
func newLink(conn *net.UnixConn, maxLine int) *link {
	in := bufio.NewScanner(conn)
	in.Buffer(make([]byte, 0, 4<<10), maxLine)
	return &link{conn: conn, in: in}
}

// encode gives v as a line of at most maxLine bytes.
func encode(v any, maxLine int) ([]byte, error) {
	line, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding a message: %w", err)
	}
	if len(line) >= maxLine {
		return nil, fmt.Errorf("encoding a message of %d bytes: it is longer than %d", len(line), maxLine)
	}
	return append(line, '\n'), nil
}

// send writes one line.
func (l *link) send(line []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.conn.Write(line)
	if errors.Is(err, syscall.EPIPE) {
		return errOver
	}
	if err != nil {
		return fmt.Errorf("sending a message: %w", err)
	}
	return nil
}

// receive reads a line into v.
func (l *link) receive(v any) error {
	if !l.in.Scan() {
		err := l.in.Err()
		// unix(7): ECONNRESET, where it was closed without having read all.
		if err == nil || errors.Is(err, syscall.ECONNRESET) {
			return errOver
		}
		return fmt.Errorf("receiving a message: %w", err)
	}
	if err := json.Unmarshal(l.in.Bytes(), v); err != nil {
		// not wrapped: it may quote what was sent
		return errors.New("receiving a message: it is not of the agreed form")
	}
	return nil
}

// fault is an error on its way to the supervisor.
type fault struct {
	Cause string   `json:"cause"`
	Hints []string `json:"hints,omitempty"`
}

// maxCause bounds what a fault says, so that it fits an answer.
const maxCause = 4 << 10

func faultOf(err error) *fault {
	cause := err.Error()
	if len(cause) > maxCause {
		cause = cause[:maxCause] + "…"
	}
	return &fault{Cause: cause, Hints: term.Hints(err)}
}

// err gives the error again, harmless whoever wrote it.
func (f *fault) err(stage term.Stage) error {
	e := term.Errorf(stage, "", "%s", neutralize.Text(f.Cause))
	for _, hint := range f.Hints {
		e.WithHint("%s", neutralize.Text(hint))
	}
	return e
}
