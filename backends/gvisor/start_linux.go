package gvisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/backends/guestroot"
	"github.com/bot-bottle/action/internal/confine"
	"github.com/bot-bottle/action/internal/guest/probe"
)

// recordFile, in the run's work folder, holds the guest's processes (confine.Record).
const recordFile = "guest.json"

// Create gives the disk folder to the guest's user; everything else of the guest
// exists in memory only, once it is started.
func (b *Backend) Create(_ context.Context, s backends.Spec, h backends.Handle) error {
	if os.Getuid() != 0 {
		return nil
	}
	for _, dir := range []string{s.Disk, s.Doors} {
		if err := os.Chown(dir, h.UserID, h.UserID); err != nil {
			return fmt.Errorf("giving %q to the guest's user: %w", dir, err)
		}
	}
	sockets, err := os.ReadDir(s.Doors)
	if err != nil {
		return fmt.Errorf("reading the doors: %w", err)
	}
	for _, f := range sockets {
		if err := os.Lchown(filepath.Join(s.Doors, f.Name()), h.UserID, h.UserID); err != nil {
			return fmt.Errorf("giving a door to the guest's user: %w", err)
		}
	}
	return nil
}

// Start boots the guest.
func (b *Backend) Start(ctx context.Context, s backends.Spec, h backends.Handle) (backends.Guest, error) {
	entries, err := guestroot.Entries(s)
	if err != nil {
		return nil, err
	}
	l, err := newLayout(s, entries)
	if err != nil {
		return nil, err
	}
	g := &guest{spec: s, handle: h, layout: l, diagnosis: &tail{}}
	g.process, err = confine.Start(ctx, l.confine, confine.Options{
		Executable: "/proc/self/exe",
		Stdout:     g.diagnosis,
		Stderr:     g.diagnosis,
		Recorded:   func(r confine.Record) error { return confine.WriteRecord(b.recordPath(h), r) },
	})
	if err != nil {
		return nil, g.explain(fmt.Errorf("booting the guest: %w", err))
	}
	return g, nil
}

// Remove ends the recorded processes and waits until they are gone. Without a
// record the guest never ran: its processes start only after it is written, and
// die with the one that started them.
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

// guest is a started guest.
type guest struct {
	spec      backends.Spec
	handle    backends.Handle
	layout    layout
	process   *confine.Process
	diagnosis *tail
}

// Done is closed when no process of the guest is left.
func (g *guest) Done() <-chan struct{} { return g.process.Done() }

// Err tells why the guest ended.
func (g *guest) Err() error { return g.explain(g.process.Err()) }

// explain adds what runsc said last.
func (g *guest) explain(err error) error {
	if said := g.diagnosis.String(); err != nil && said != "" {
		return fmt.Errorf("%w (runsc: %s)", err, said)
	}
	return err
}

// Errnos is what a guest without a network answers.
func (g *guest) Errnos() probe.Errnos { return probe.GVisorErrnos() }

// Held says how each limit is held.
func (g *guest) Held() map[string]string {
	pids := "RLIMIT_NPROC, held by gVisor; root can't become another user"
	switch {
	case !g.spec.Root:
		pids = "RLIMIT_NPROC, held by gVisor"
	case g.spec.Limits.BestEffort:
		pids = "RLIMIT_NPROC of each user, held by gVisor; root can become many users (best effort)"
	}
	return map[string]string{
		"memory": fmt.Sprintf("looked at every %v, the guest is ended beyond it", confine.WatchInterval),
		"cpus":   "processor affinity",
		"pids":   pids,
		"disk":   "size of the overlay, held by gVisor",
	}
}

// Wanted is two processes with nothing, a loopback, and the shares of the layout.
func (g *guest) Wanted() backends.Given {
	uid := g.handle.UserID
	if os.Getuid() != 0 {
		uid = os.Getuid()
	}
	w := backends.Given{
		Processes: []backends.Process{
			{Name: gofer, UserID: uid, NoNewPrivs: true, Seccomp: true},
			{Name: sandbox, UserID: uid, NoNewPrivs: true, Seccomp: true},
		},
		Interfaces: []string{"lo"},
		Sockets:    []string{backends.EgressSocket, backends.GitGateSocket, backends.SuperviseSocket},
		Shares:     wantedShares(g.layout),
	}
	return w
}

// tail keeps the last bytes that were written to it. It is safe for concurrent
// use.
type tail struct {
	mu   sync.Mutex
	last []byte
}

const tailBytes = 2048

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, p...)
	if n := len(t.last) - tailBytes; n > 0 {
		t.last = bytes.Clone(t.last[n:])
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.last))
}
