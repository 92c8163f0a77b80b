package confine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/bot-bottle/action/internal/mutation"
	"golang.org/x/sys/unix"
)

// The files that the outer process inherits.
const (
	specFD   = 3 // read to its end: the Spec as JSON
	statusFD = 4 // written: one JSON status a line
)

// status is a line that the outer or the inner process tells the caller.
type status struct {
	Record *Record `json:"record,omitempty"` // the helper is about to be started
	Exited *int    `json:"exited,omitempty"` // the helper ended with this code
	Memory int64   `json:"memory,omitempty"` // it was ended: it used so many bytes
	Error  string  `json:"error,omitempty"`  // it could not be started
}

// Process is a running helper.
type Process struct {
	record Record
	done   chan struct{}
	err    error // set before done is closed
	cmd    *exec.Cmd
}

// Options are the caller's side of Start.
type Options struct {
	Executable string    // the static binary whose hidden verb runs Main
	Stdout     io.Writer // the helper's standard output; nil discards it
	Stderr     io.Writer // likewise
	// Recorded is called with the processes before the helper runs; an error
	// ends the start. It is where the caller makes them durable.
	Recorded func(Record) error
}

// Start runs the helper of spec. The helper lives until it ends by itself, Kill
// is called, or the calling process dies. ctx bounds the start only.
func Start(ctx context.Context, spec Spec, opts Options) (*Process, error) {
	body, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("encoding the helper's description: %w", err)
	}
	statusR, statusW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making the status pipe: %w", err)
	}
	specR, specW, err := os.Pipe()
	if err != nil {
		statusR.Close()
		statusW.Close()
		return nil, fmt.Errorf("making the description pipe: %w", err)
	}
	p := &Process{done: make(chan struct{})}
	p.cmd = exec.Command(opts.Executable, Verb, "outer")
	p.cmd.Args[0] = argv0
	p.cmd.Env = mutation.Environ()
	p.cmd.Dir = "/"
	p.cmd.Stdout, p.cmd.Stderr = opts.Stdout, opts.Stderr
	p.cmd.ExtraFiles = []*os.File{specR, statusW}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	p.cmd.WaitDelay = time.Second
	waited, err := startOnOwnThread(p.cmd)
	specR.Close()
	statusW.Close()
	if err != nil {
		specW.Close()
		statusR.Close()
		return nil, fmt.Errorf("starting %q: %w", opts.Executable, err)
	}
	go func() { <-p.done; specW.Close() }()
	return p, p.follow(ctx, statusR, waited, func(r Record) error {
		defer specW.Close()
		if opts.Recorded != nil {
			if err := opts.Recorded(r); err != nil {
				return err
			}
		}
		_, err := specW.Write(body) // without it nothing is run
		return err
	})
}

// startOnOwnThread starts cmd from a thread that lives as long as cmd does: the
// kernel sends Pdeathsig when the starting thread ends, and Go may end a thread
// at any time (golang.org/issue/27505).
func startOnOwnThread(cmd *exec.Cmd) (waited <-chan error, err error) {
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	return ended, <-started
}

// follow reads the status lines; it returns once the helper is recorded and
// about to run, and goes on until it has ended.
func (p *Process) follow(ctx context.Context, r *os.File, waited <-chan error, recorded func(Record) error) error {
	lines := make(chan status)
	go func() {
		defer close(lines)
		for dec := json.NewDecoder(r); ; {
			var s status
			if dec.Decode(&s) != nil {
				return
			}
			lines <- s
		}
	}()
	first := make(chan error, 1)
	go func() {
		defer close(p.done)
		defer r.Close()
		p.err = p.run(lines, first, recorded)
		if err := <-waited; p.err == nil && err != nil {
			p.err = fmt.Errorf("the helper's processes: %w", err)
		}
		select {
		case first <- p.err:
		default:
		}
	}()
	select {
	case err := <-first:
		return err
	case <-ctx.Done():
		p.Kill()
		<-p.done
		return context.Cause(ctx)
	}
}

func (p *Process) run(lines <-chan status, first chan<- error, recorded func(Record) error) error {
	var reason error
	for s := range lines {
		switch {
		case s.Record != nil:
			p.record = *s.Record
			if err := recorded(p.record); err != nil {
				p.Kill()
				reason = err
				continue
			}
			first <- nil
		case s.Memory != 0:
			reason = fmt.Errorf("%w: the guest used %d bytes", ErrMemory, s.Memory)
		case s.Error != "":
			reason = errors.New(s.Error)
		case s.Exited != nil && reason == nil && *s.Exited != 0:
			reason = fmt.Errorf("the helper ended with code %d", *s.Exited)
		}
	}
	return reason
}

// Record gives the processes of p.
func (p *Process) Record() Record { return p.record }

// Done is closed when every process inside has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err tells, after Done, why the helper ended; nil if it did so by itself with
// code 0.
func (p *Process) Err() error { return p.err }

// Kill ends everything inside. It returns before that has happened: wait for
// Done.
func (p *Process) Kill() { p.cmd.Process.Kill() } // the inner process dies with its parent

// End makes the processes of r absent and waits until they are seen gone. It
// works in any process, and does nothing where they are gone already or were of
// another boot.
func End(ctx context.Context, r Record) error {
	id, err := BootID()
	if err != nil {
		return err
	}
	if r.BootID != id {
		return nil
	}
	if err := r.checkNamespace(); err != nil {
		return err
	}
	for _, ref := range []ProcessRef{r.Outer, r.Inner} {
		if err := ref.end(ctx); err != nil {
			return fmt.Errorf("ending process %d: %w", ref.PID, err)
		}
	}
	return nil
}

// checkNamespace refuses a record whose process ids mean other processes here.
func (r Record) checkNamespace() error {
	here, err := PIDNamespace()
	if err != nil || here == r.PIDNamespace {
		return err
	}
	return fmt.Errorf("the processes were recorded in another pid namespace (%d, this is %d): reap where the job ran", r.PIDNamespace, here)
}

// PIDNamespace gives the number of the pid namespace that this process is in
// (pid_namespaces(7)): process ids mean something within one only.
func PIDNamespace() (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &st); err != nil {
		return 0, fmt.Errorf("looking at the pid namespace: %w", err)
	}
	return st.Ino, nil
}

// RecordOf gives the record of two running processes; inner may be 0.
func RecordOf(outer, inner int) (r Record, err error) {
	if r.BootID, err = BootID(); err != nil {
		return Record{}, err
	}
	if r.PIDNamespace, err = PIDNamespace(); err != nil {
		return Record{}, err
	}
	if r.Outer, err = RefOf(outer); err != nil {
		return Record{}, err
	}
	if inner != 0 {
		r.Inner, err = RefOf(inner)
	}
	return r, err
}

// Alive tells whether ref is still the same running process. One that has ended
// and waits for its parent to notice runs nothing any more.
func (ref ProcessRef) Alive() bool {
	state, start, err := readStat(ref.PID)
	return err == nil && start == ref.Start && state != "Z" && state != "X"
}

func (ref ProcessRef) end(ctx context.Context) error {
	if ref.PID <= 1 {
		return nil
	}
	fd, err := unix.PidfdOpen(ref.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if !ref.Alive() { // after the open, so that fd is of the process looked at
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return waitPidfd(ctx, fd)
}

// waitPidfd returns when the process of fd has ended: poll(2) says it is
// readable then (pidfd_open(2)).
func waitPidfd(ctx context.Context, fd int) error {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 50)
		if n > 0 {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// BootID gives the kernel's random id of this boot.
func BootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("reading the boot id: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// RefOf gives the running process pid its start time.
func RefOf(pid int) (ProcessRef, error) {
	_, start, err := readStat(pid)
	return ProcessRef{PID: pid, Start: start}, err
}

// readStat reads fields 3 and 22 of /proc/PID/stat (proc(5)); the command's name
// before them is in parentheses and may hold anything.
func readStat(pid int) (state string, start uint64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0, err
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 20 {
		return "", 0, fmt.Errorf("reading the state of process %d: unexpected format", pid)
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	return fields[0], start, err
}
