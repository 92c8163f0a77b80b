package collector

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/bot-bottle/action/internal/guest/probe"
	"golang.org/x/sys/unix"
)

// planted collects openings of a file, by inotify(7). It is told of everybody's,
// by whatever mount, but not of who it was.
type planted struct {
	set     *Set
	name    string
	path    string
	tries   []probe.Try
	fd      int // of events
	events  *os.File
	watch   int32 // the file's watch descriptor
	running sync.WaitGroup

	mu      sync.Mutex
	ours    bool // the openings until the next mark are the host's
	witness bool // one of these has shown
}

// plantFile makes a file with the nonce, which must not be there, and watches it.
func (s *Set) plantFile(name, path string, tries []probe.Try) (member, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString(s.nonce)
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(path)
		return nil, err
	}
	p := &planted{set: s, name: name, path: path, tries: tries}
	if err := p.start(); err != nil {
		os.Remove(path)
		return nil, fmt.Errorf("watching %q: %w", path, err)
	}
	return p, nil
}

func (p *planted) start() error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return err
	}
	wd, err := unix.InotifyAddWatch(fd, p.path, unix.IN_OPEN|unix.IN_ACCESS|unix.IN_ATTRIB)
	if err != nil {
		unix.Close(fd)
		return err
	}
	p.fd, p.watch, p.events = fd, int32(wd), os.NewFile(uintptr(fd), "inotify")
	p.running.Go(p.follow)
	return nil
}

func (p *planted) describe() probe.Collector {
	return probe.Collector{Name: p.name, Address: p.path, Tries: p.tries}
}

// follow reads events until the file is closed.
func (p *planted) follow() {
	buf := make([]byte, 64*unix.SizeofInotifyEvent)
	for {
		n, err := p.events.Read(buf)
		if err != nil {
			return
		}
		for at := 0; at+unix.SizeofInotifyEvent <= n; {
			event := buf[at:]
			p.happened(int32(binary.NativeEndian.Uint32(event)), binary.NativeEndian.Uint32(event[4:]))
			at += unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(event[12:]))
		}
	}
}

// happened sorts an event: our mark, our own opening, or a hit. Lost events
// (IN_Q_OVERFLOW) are a hit, and so is the end of the file.
func (p *planted) happened(watch int32, mask uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case mask&unix.IN_IGNORED != 0 && watch != p.watch:
		p.ours = false
		if p.witness {
			p.set.arrived(p.name, "", []byte(p.set.token))
		}
	case p.ours && mask&(unix.IN_OPEN|unix.IN_ACCESS) != 0:
		p.witness = true
	default:
		p.set.arrived(p.name, "somebody who opened or changed it", nil)
	}
}

// touch opens the file the first time, to show that openings are seen, and puts a
// mark behind what happened so far.
func (p *planted) touch(_ context.Context, round int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if round == 1 {
		p.ours = true
		if _, err := os.ReadFile(p.path); err != nil {
			return err
		}
	}
	return p.mark()
}

// mark queues an event that nothing else can cause or merge with: the end of
// another watch.
func (p *planted) mark() error {
	wd, err := unix.InotifyAddWatch(p.fd, "/", unix.IN_DELETE_SELF)
	if err != nil {
		return fmt.Errorf("putting a mark: %w", err)
	}
	if _, err := unix.InotifyRmWatch(p.fd, uint32(wd)); err != nil {
		return fmt.Errorf("putting a mark: %w", err)
	}
	return nil
}

func (p *planted) close() {
	p.events.Close()
	p.running.Wait()
	os.Remove(p.path)
}
