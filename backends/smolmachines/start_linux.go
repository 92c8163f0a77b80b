package smolmachines

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/internal/confine"
	"github.com/bot-bottle/action/internal/guest/probe"
	"github.com/bot-bottle/action/internal/term"
)

// recordFile, in the run's work folder, holds the jail's processes (confine.Record).
const recordFile = "guest.json"

// Create makes the machine and reads back what smolvm wrote down.
func (b *Backend) Create(ctx context.Context, s backends.Spec, h backends.Handle) error {
	if err := giveToGuest(s, h); err != nil {
		return err
	}
	j, err := b.enter(ctx, s, h, stageCreate)
	if err != nil {
		return fmt.Errorf("creating the machine: %w", err)
	}
	if err := j.ended(ctx); err != nil {
		return fmt.Errorf("creating the machine: %w", err)
	}
	return nil
}

// giveToGuest gives the folders to the guest's user, where that is another one.
func giveToGuest(s backends.Spec, h backends.Handle) error {
	if os.Getuid() != 0 {
		return nil
	}
	sockets, err := filepath.Glob(filepath.Join(s.Doors, "*"))
	if err != nil {
		return fmt.Errorf("listing the doors: %w", err)
	}
	for _, path := range append(sockets, s.Doors, s.Disk) {
		if err := os.Lchown(path, h.UserID, h.UserID); err != nil {
			return fmt.Errorf("giving %q to the guest's user: %w", path, err)
		}
	}
	return nil
}

// Start boots the guest.
func (b *Backend) Start(ctx context.Context, s backends.Spec, h backends.Handle) (backends.Guest, error) {
	j, err := b.enter(ctx, s, h, stageStart)
	if err != nil {
		return nil, fmt.Errorf("starting the machine: %w", err)
	}
	m, err := j.until(ctx, func(m message) bool { return m.VMM != 0 })
	if err != nil {
		j.process.Kill()
		<-j.process.Done()
		return nil, fmt.Errorf("starting the machine: %w", err)
	}
	return &guest{spec: s, handle: h, jailed: j, form: j.form(), vmm: m.VMM}, nil
}

// Remove ends the jail, which is all of the machine's processes whatever smolvm
// thinks of them: it is a pid namespace, whose first process is the one recorded.
// smolvm itself isn't asked, because its `delete` and `stop` differ from release to
// release and may leave the VMM or hang. What it wrote is in the run's disk folder
// and goes with that.
func (b *Backend) Remove(ctx context.Context, h backends.Handle) error {
	r, err := confine.ReadRecord(b.recordPath(h))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return confine.End(ctx, r)
}

func (b *Backend) recordPath(h backends.Handle) string {
	return filepath.Join(b.runs, h.Run, recordFile)
}

// enter starts our own process in a jail for s at the given stage.
func (b *Backend) enter(ctx context.Context, s backends.Spec, h backends.Handle, stage string) (*jailed, error) {
	i, err := b.opts.find()
	if err != nil {
		return nil, err
	}
	spec, err := jail(s, i, newPlan(s, b.opts), stage)
	if err != nil {
		return nil, err
	}
	return startJailed(ctx, spec, func(r confine.Record) error {
		return confine.WriteRecord(b.recordPath(h), r)
	})
}

// jailed is our own process in the jail, and what it tells.
type jailed struct {
	process  *confine.Process
	root     []confine.Entry
	messages *messages
	said     *tail
}

func startJailed(ctx context.Context, spec confine.Spec, recorded func(confine.Record) error) (*jailed, error) {
	j := &jailed{root: spec.Root, messages: newMessages(), said: &tail{}}
	var err error
	j.process, err = confine.Start(ctx, spec, confine.Options{
		Executable: "/proc/self/exe",
		Stdout:     j.messages,
		Stderr:     j.said,
		Recorded:   recorded,
	})
	if err != nil {
		return nil, fmt.Errorf("making smolvm's jail: %w (%s)", err, j.said)
	}
	return j, nil
}

// until waits for the message that is wanted. An end before it is an error.
func (j *jailed) until(ctx context.Context, wanted func(message) bool) (message, error) {
	for {
		more := j.messages.more() // before looking, so that nothing is missed
		m, found := j.messages.find(wanted)
		if found {
			return m, nil
		}
		select {
		case <-more:
		case <-j.process.Done():
			if m, found := j.messages.find(wanted); found {
				return m, nil
			}
			return message{}, j.reason()
		case <-ctx.Done():
			return message{}, context.Cause(ctx)
		}
	}
}

// ended waits for the process to end well.
func (j *jailed) ended(ctx context.Context) error {
	select {
	case <-j.process.Done():
		return j.failure()
	case <-ctx.Done():
		j.process.Kill()
		<-j.process.Done()
		return context.Cause(ctx)
	}
}

// failure is why the process ended; nil where it did so by itself.
func (j *jailed) failure() error {
	if j.process.Err() == nil {
		return nil
	}
	return j.reason()
}

func (j *jailed) reason() error {
	if m, found := j.messages.find(func(m message) bool { return m.Error != "" }); found {
		return term.Errorf(term.StageLaunch, "", "%s", m.Error)
	}
	if err := j.process.Err(); err != nil {
		return fmt.Errorf("%w (%s)", err, j.said)
	}
	return errors.New("it ended at once")
}

// form is the form of the release that the process spoke to.
func (j *jailed) form() Form {
	m, _ := j.messages.find(func(m message) bool { return m.Version != "" })
	v, err := ParseVersion("smolvm " + m.Version + "\n")
	if err != nil {
		return Form{}
	}
	f, _ := FormOf(v) // the process would have ended
	return f
}

// messages collects what the process tells. It is safe for concurrent use.
type messages struct {
	mu      sync.Mutex
	partial []byte
	all     []message
	changed chan struct{}
}

const (
	maxMessage  = 64 << 10
	maxMessages = 16
)

func newMessages() *messages { return &messages{changed: make(chan struct{})} }

// Write takes lines; what is too long or too much is dropped.
func (m *messages) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.partial = append(m.partial, p...)
	for {
		line, rest, found := bytes.Cut(m.partial, []byte("\n"))
		if !found {
			break
		}
		m.partial = rest
		var one message
		if json.Unmarshal(line, &one) == nil && len(m.all) < maxMessages {
			m.all = append(m.all, one)
		}
	}
	m.partial = m.partial[:min(len(m.partial), maxMessage)]
	close(m.changed)
	m.changed = make(chan struct{})
	return len(p), nil
}

// more is closed when something was written after the call.
func (m *messages) more() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

func (m *messages) find(wanted func(message) bool) (message, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, one := range m.all {
		if wanted(one) {
			return one, true
		}
	}
	return message{}, false
}

// guest is a started guest.
type guest struct {
	*jailed
	spec   backends.Spec
	handle backends.Handle
	form   Form
	vmm    int // its process id in the jail
}

// Done is closed when no process of the guest is left.
func (g *guest) Done() <-chan struct{} { return g.process.Done() }

// Err tells why the guest ended.
func (g *guest) Err() error { return g.failure() }

// Errnos is what a guest without a network answers.
func (g *guest) Errnos() probe.Errnos { return errnos(g.form.Mode) }

// Held says how each limit is held.
func (g *guest) Held() map[string]string {
	pids := "RLIMIT_NPROC, held by the guest's kernel"
	if g.spec.Root {
		pids += "; not for its root, which the machine's memory binds (best effort)"
	}
	return map[string]string{
		"memory": fmt.Sprintf("the machine's memory; what the VMM uses besides is looked at every %v", confine.WatchInterval),
		"cpus":   "the machine's processors",
		"pids":   pids,
		"disk":   "the size of the machine's disks",
	}
}
