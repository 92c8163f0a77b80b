package smolmachines

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// What Main is asked for.
const (
	stageVersion = "version" // tell the release
	stageCreate  = "create"  // make the machine, and see that it is the planned one
	stageNetwork = "network" // as start, in a network in which only the doors are
	stageStart   = "start"   // start it, see what it was given, start our process in it and wait
)

// How long smolvm may take. It gives its agent 30 s to answer by itself.
const (
	versionTimeout = 10 * time.Second
	createTimeout  = 45 * time.Second
	startTimeout   = 45 * time.Second
)

// message is what Main tells the supervisor, one a line.
type message struct {
	Version string `json:"version,omitempty"` // smolvm's
	VMM     int    `json:"vmm,omitempty"`     // its process id in the jail; all was as planned
	Error   string `json:"error,omitempty"`
}

// Main is the hidden verb: it speaks to smolvm within the jail, where it is the
// parent of everything, or is what smolvm starts in the guest. It gives the exit
// code.
func Main(args []string) int {
	if len(args) > 0 && args[0] == stageInside {
		if err := inside(args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	h := helper{smolvm: jailSmolvm, out: json.NewEncoder(os.Stdout)}
	if err := h.run(args); err != nil {
		h.out.Encode(message{Error: err.Error()})
		return 1
	}
	return 0
}

// helper speaks to smolvm.
type helper struct {
	paths  paths
	smolvm string
	plan   plan
	form   Form
	out    *json.Encoder
}

func (h *helper) run(args []string) error {
	stages := map[string]func(context.Context) error{
		stageVersion: func(context.Context) error { return nil }, stageCreate: h.create, stageStart: h.start, stageNetwork: h.startInNetwork,
	}
	if len(args) != 1 || stages[args[0]] == nil {
		return errors.New("smolvm is started by bot-bottle itself")
	}
	body, err := os.ReadFile(jailPlan)
	if err == nil {
		err = json.Unmarshal(body, &h.plan)
	}
	if err != nil {
		return fmt.Errorf("reading the machine's plan: %w", err)
	}
	h.paths = jailPaths(h.plan.Mode)
	ctx := context.Background()
	if err := h.readVersion(ctx); err != nil {
		return err
	}
	if args[0] == stageVersion {
		return nil
	}
	if err := h.usable(); err != nil {
		return err
	}
	return stages[args[0]](ctx)
}

// readVersion asks smolvm for its version and tells it.
func (h *helper) readVersion(ctx context.Context) error {
	stdout, err := h.smolvmSays(ctx, versionTimeout, "--version")
	if err != nil {
		return err
	}
	v, err := ParseVersion(stdout)
	if err != nil {
		return err
	}
	h.form.Version = v
	return h.out.Encode(message{Version: v.String()})
}

// usable takes the release's form, where it is one for the plan.
func (h *helper) usable() (err error) {
	h.form, err = usableForm(h.form.Version, h.plan.Mode, h.plan.StrictVersion)
	if err != nil {
		return err
	}
	return h.form.check(h.plan.Machine)
}

// create makes the machine and reads what smolvm wrote down of it.
func (h *helper) create(ctx context.Context) error {
	if err := copyTree(filepath.Join(h.paths.state, ownRootName), jailAgentRoot); err != nil {
		return fmt.Errorf("copying the root file system of smolvm's agent: %w", err)
	}
	if _, err := h.smolvmSays(ctx, createTimeout, h.form.createArgs(h.plan.Machine)...); err != nil {
		return err
	}
	if h.plan.Mode == ModeAllowlist {
		if err := ForceAllowlist(ctx, h.paths.database(), h.plan.Machine.Name, h.plan.Machine.AllowCIDRs); err != nil {
			return err
		}
	}
	return h.verifyRow(ctx)
}

func (h *helper) verifyRow(ctx context.Context) error {
	row, err := readRowBytes(ctx, h.paths.database(), h.plan.Machine.Name, busyTimeout)
	if err != nil {
		return fmt.Errorf("reading the row of machine %q: %w", h.plan.Machine.Name, err)
	}
	return verifyRow(row, h.plan.Machine)
}

// start starts the machine in the network of the jail, which is none, or in one of
// its own.
func (h *helper) start(ctx context.Context) error {
	if h.plan.Mode == ModeAllowlist {
		return h.inNetwork()
	}
	return h.startMachine(ctx)
}

// startMachine starts the machine, sees that it was given what was planned, and
// only then lets our own process run in it, with which everything here ends.
func (h *helper) startMachine(ctx context.Context) error {
	if err := h.verifyRow(ctx); err != nil { // again: the one that counts is read at the start
		return err
	}
	file := h.paths.runningFile(h.plan.Machine.Name)
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing what an earlier VMM was handed: %w", err)
	}
	stdout, err := h.smolvmSays(ctx, startTimeout, h.form.startArgs(h.plan.Machine.Name)...)
	if err != nil {
		return err
	}
	vmm, err := parseStarted(stdout, h.plan.Machine.Name)
	if err != nil {
		return err
	}
	handed, err := readBounded(file, maxRowBytes)
	if err != nil {
		return fmt.Errorf("reading what the VMM was handed: %w", err)
	}
	if err := verifyRunning(handed, h.plan.Machine); err != nil {
		return err
	}
	if err := h.out.Encode(message{VMM: vmm}); err != nil {
		return err
	}
	return h.exec()
}

// exec runs our process in the guest to its end. smolvm can't tell its own failure
// from the command's, so that both are an error.
func (h *helper) exec() error {
	var said tail
	cmd := exec.Command(h.smolvm, h.form.execArgs(h.plan.Machine.Name, h.plan.Argv)...)
	cmd.Env, cmd.Dir = h.form.environment(h.paths), "/"
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("running process 1 of the guest: %w (%s)", err, said.String())
	}
	return nil
}

// smolvmSays runs smolvm and gives what it printed.
func (h *helper) smolvmSays(ctx context.Context, limit time.Duration, args ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %v", limit))
	defer cancel()
	var said tail
	out := bounded{left: maxPrinted}
	cmd := exec.CommandContext(ctx, h.smolvm, args...)
	cmd.Env, cmd.Dir = h.form.environment(h.paths), "/"
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.WaitDelay = time.Second // the VMM may have kept the streams
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it ended well itself
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("running smolvm %s: %w (%s)", args[:min(len(args), 2)], err, said.String())
	}
	return out.buf.String(), nil
}

// maxPrinted bounds what smolvm may print.
const maxPrinted = 64 << 10

// bounded keeps the first bytes that are written to it and takes the rest.
type bounded struct {
	buf  bytes.Buffer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	kept := min(len(p), b.left)
	b.left -= kept
	b.buf.Write(p[:kept])
	return len(p), nil
}

func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%q has more than %d bytes", path, limit)
	}
	return data, err
}

// copyTree copies folders, files and links; smolvm's agent has nothing else. A copy
// that is there in part, from an attempt before, is replaced.
func copyTree(to, from string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return os.CopyFS(to, os.DirFS(from))
}

// usableForm gives the form of a release, where it may be used in mode.
func usableForm(v Version, mode Mode, strict bool) (Form, error) {
	f, err := FormOf(v)
	switch {
	case err != nil:
		return f, err
	case f.Mode != mode && mode == ModeSocket:
		return f, fmt.Errorf("using smolvm %s: it works only with the mode %q, which has to be chosen", v, f.Mode)
	case f.Mode != mode:
		return f, fmt.Errorf("using smolvm %s: the mode %q is for 0.8.0 to 1.1.2", v, mode)
	case f.Unread && strict:
		return f, fmt.Errorf("using smolvm %s: it is newer than %s, the newest that was read, and strict_version is set", v, Newest)
	}
	return f, nil
}
