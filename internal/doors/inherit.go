package doors

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/term"
)

// The files that a sidecar inherits; see the package comment.
const (
	configFD    = 3
	decisionsFD = 4
	listenersFD = 5 // and one more for each further door
)

// inherited is what a sidecar was started with.
type inherited struct {
	config    *net.UnixConn
	decisions *os.File
	listeners map[decision.Door]*net.UnixListener
}

// inherit takes the files over. The error is that of somebody who started the
// sidecar by hand.
func inherit(list []decision.Door) (*inherited, error) {
	in := &inherited{listeners: map[decision.Door]*net.UnixListener{}}
	err := in.take(list)
	if err != nil {
		return nil, (&term.Error{Stage: term.StageUsage, Err: fmt.Errorf("taking over what a sidecar is started with: %w", err)}).
			WithHint("bot-bottle run starts the sidecar by itself")
	}
	return in, nil
}

func (in *inherited) take(list []decision.Door) (err error) {
	if in.config, err = inheritedConn(); err != nil {
		return err
	}
	if in.decisions, err = inheritedLog(); err != nil {
		return err
	}
	for i, door := range list {
		if in.listeners[door], err = inheritedListener(listenersFD + i); err != nil {
			return fmt.Errorf("listener of %s: %w", door, err)
		}
	}
	return nil
}

func inheritedConn() (*net.UnixConn, error) {
	f := os.NewFile(configFD, "config")
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("config socket: %w", err)
	}
	f.Close()
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.New("config socket: it is not a Unix socket")
	}
	return unix, nil
}

func inheritedListener(fd int) (*net.UnixListener, error) {
	f := os.NewFile(uintptr(fd), "listener")
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	f.Close()
	unix, ok := l.(*net.UnixListener)
	if !ok {
		return nil, errors.New("it is not a Unix socket")
	}
	return unix, nil
}

// inheritedLog refuses a file in which lines could be written over.
func inheritedLog() (*os.File, error) {
	appending, err := opensForAppending(decisionsFD)
	if err == nil && !appending {
		err = errors.New("it is not open for appending")
	}
	if err != nil {
		return nil, fmt.Errorf("decision log: %w", err)
	}
	return os.NewFile(decisionsFD, "decisions.jsonl"), nil
}
