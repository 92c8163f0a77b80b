package guestroot

import (
	"errors"
	"fmt"
	"os"

	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/term"
)

// appendPrograms binds what of the host the guest gets besides its tools, each by
// itself and not recursively.
func appendPrograms(entries []Entry, programs []policy.Program) ([]Entry, error) {
	for _, p := range programs {
		if err := checkProgram(p.Host); err != nil {
			return nil, term.Errorf(term.StagePreflight, p.Host, "putting a program into the guest: %w", err).
				WithHint("install the program anew; what the guest gets is folders and files, without sockets")
		}
		entries = append(entries, Entry{Kind: KindBind, Source: p.Host, Target: p.Guest})
	}
	return entries, nil
}

// checkProgram wants a folder without sockets, or a file. A link is refused: it
// could lead somewhere else by the time it is bound.
func checkProgram(path string) error {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return err
	case info.Mode().IsRegular():
		return nil
	case !info.IsDir():
		return errors.New("it is neither a folder nor a file")
	}
	socket, err := findSocket(path)
	if err == nil && socket != "" {
		err = fmt.Errorf("%q is a socket", socket)
	}
	return err
}
