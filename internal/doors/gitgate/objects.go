package gitgate

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"

	"github.com/bot-bottle/action/internal/objectid"
)

// Bounds of what is looked at in one push. A pack of a gigabyte can unpack to far
// more; who pushes that is told so.
const (
	maxPushCommits = 50_000
	maxPushObjects = 1_000_000
	maxPushBytes   = 8 << 30  // of all objects, unpacked
	maxTreeBytes   = 32 << 20 // of one folder
	maxTextBytes   = 1 << 20  // of one commit or tag
	maxPathBytes   = 4096
)

// objects reads a repository's objects, by `git cat-file --batch`.
type objects struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	told tail
	read int64 // bytes of objects so far
	n    int
}

func openObjects(ctx context.Context, p Pushed) (*objects, error) {
	o := &objects{cmd: p.Git.Command(ctx, p.Dir, p.Env, "cat-file", "--batch")}
	out, err := o.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if o.in, err = o.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	o.cmd.Stderr, o.out = &o.told, bufio.NewReaderSize(out, 64<<10)
	if err := o.cmd.Start(); err != nil {
		return nil, fmt.Errorf("running git cat-file: %w", err)
	}
	return o, nil
}

func (o *objects) close() {
	o.in.Close()
	o.cmd.Cancel() // it may still have an object to tell
	o.cmd.Wait()
}

// object is one that is being read: its content has to be read to its end.
type object struct {
	id, kind string
	size     int64
	io.Reader
}

// errPushTooLarge is for the pusher.
var errPushTooLarge = &Refused{Rule: RulePack, Message: "the push holds more than can be looked at: push less at once"}

// open asks for one object.
func (o *objects) open(id string) (*object, error) {
	if o.n++; o.n > maxPushObjects {
		return nil, errPushTooLarge
	}
	if _, err := io.WriteString(o.in, id+"\n"); err != nil {
		return nil, fmt.Errorf("asking git for object %s: %w: %s", id, err, o.told.String())
	}
	line, err := o.out.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("asking git for object %s: %w: %s", id, err, o.told.String())
	}
	parts := strings.Fields(line)
	if len(parts) != 3 || parts[0] != id {
		return nil, fmt.Errorf("asking git for object %s: it says %q", id, line)
	}
	size, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || size < 0 {
		return nil, fmt.Errorf("asking git for object %s: it says %q", id, line)
	}
	if o.read += size; o.read > maxPushBytes {
		return nil, errPushTooLarge
	}
	return &object{id, parts[1], size, io.LimitReader(o.out, size)}, nil
}

// done goes to the end of one that was opened.
func (o *objects) done(b *object) error {
	if _, err := io.Copy(io.Discard, b.Reader); err != nil {
		return err
	}
	if _, err := o.out.Discard(1); err != nil { // the newline behind it
		return fmt.Errorf("reading object %s: %w", b.id, err)
	}
	return nil
}

// whole reads an object of the kind wanted, of at most limit bytes.
func (o *objects) whole(id, kind string, limit int64) ([]byte, error) {
	b, err := o.open(id)
	if err != nil {
		return nil, err
	}
	if b.kind != kind {
		return nil, fmt.Errorf("reading object %s: it is a %s instead of a %s", id, b.kind, kind)
	}
	if b.size > limit {
		return nil, errPushTooLarge
	}
	content := make([]byte, b.size)
	if _, err := io.ReadFull(b, content); err != nil {
		return nil, fmt.Errorf("reading object %s: %w", id, err)
	}
	return content, o.done(b)
}

// entry is one of a folder.
type entry struct{ mode, name, id string }

// Modes that git gives entries.
const (
	modeFolder  = "40000"
	modeLink    = "120000"
	modeGitlink = "160000"
)

var errTree = errors.New("it is no folder of git's")

// tree reads a folder.
func (o *objects) tree(id string, idBytes int) ([]entry, error) {
	content, err := o.whole(id, "tree", maxTreeBytes)
	if err != nil {
		return nil, err
	}
	list, err := parseTree(content, idBytes)
	if err != nil {
		return nil, fmt.Errorf("reading folder %s: %w", id, err)
	}
	return list, nil
}

// parseTree reads the entries of a tree whose ids have idBytes bytes.
func parseTree(b []byte, idBytes int) ([]entry, error) {
	var list []entry
	for len(b) > 0 {
		mode, rest, ok := bytes.Cut(b, []byte{' '})
		name, rest, ok2 := bytes.Cut(rest, []byte{0})
		if !ok || !ok2 || len(rest) < idBytes || len(mode) == 0 || len(mode) > 6 || len(name) == 0 {
			return nil, errTree
		}
		list = append(list, entry{string(mode), string(name), hex.EncodeToString(rest[:idBytes])})
		b = rest[idBytes:]
	}
	return list, nil
}

// firstField gives the id in the first line of a commit ("tree") or a tag ("object"),
// where alone git reads it; empty: it stands elsewhere. A commit's parents are what git
// says: a line that looks like one can stand where git doesn't look.
func firstField(b []byte, name string) string {
	line, _, _ := bytes.Cut(b, []byte{'\n'})
	id, ok := bytes.CutPrefix(line, []byte(name+" "))
	if !ok || !objectid.Is(string(id)) {
		return ""
	}
	return string(id)
}
