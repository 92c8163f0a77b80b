package guest

import (
	"fmt"
	"os"
)

// pipe has our end and the command's.
type pipe struct{ ours, theirs *os.File }

type pipes struct{ stdin, stdout, stderr pipe }

// newPipes makes them belong to the command's user, who may want to open
// /dev/stdout.
func newPipes(uid, gid uint32) (*pipes, error) {
	p := &pipes{}
	for _, one := range []*pipe{&p.stdin, &p.stdout, &p.stderr} {
		r, w, err := os.Pipe()
		if err != nil {
			p.close()
			return nil, fmt.Errorf("making a pipe: %w", err)
		}
		*one = pipe{ours: r, theirs: w}
		if one == &p.stdin {
			*one = pipe{ours: w, theirs: r}
		}
		one.theirs.Chown(int(uid), int(gid)) // best effort: not all may
	}
	return p, nil
}

func (p *pipes) closeTheirs() {
	for _, one := range []pipe{p.stdin, p.stdout, p.stderr} {
		if one.theirs != nil {
			one.theirs.Close()
		}
	}
}

func (p *pipes) close() {
	p.closeTheirs()
	for _, one := range []pipe{p.stdin, p.stdout, p.stderr} {
		if one.ours != nil {
			one.ours.Close()
		}
	}
}
