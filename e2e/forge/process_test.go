package forge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience bounds every wait. It is only used up where something is broken; a
// machine with much else to do may take many times what an idle one does.
const patience = 3 * time.Minute

// pause is how long it is between two looks at something that can't be awaited.
const pause = 50 * time.Millisecond

// process is a program that runs until it is told to stop, in a process group of
// its own, with what it says in a file.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// launch starts cmd with its output appended to log. The process dies with the
// tests, even where these are killed.
func launch(cmd *exec.Cmd, log string) (*process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, syscall.SIGKILL
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd, log, make(chan struct{})}
	go func() {
		defer close(p.done)
		cmd.Wait()
	}()
	return p, nil
}

// signal sends it to the process alone.
func (p *process) signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// await waits until the process has ended.
func (p *process) await() error {
	select {
	case <-p.done:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("process %d is still there after %v", p.cmd.Process.Pid, patience)
	}
}

// stop ends the process and its group, with a moment to do so in good order.
func (p *process) stop() {
	if !p.ended() {
		p.signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(10 * time.Second):
		}
	}
	if !p.ended() { // its id, and so its group's, is still its own
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
	<-p.done
}

// tail is the end of what it said.
func (p *process) tail() string {
	const most = 8 << 10
	b, _ := os.ReadFile(p.log)
	return string(b[max(0, len(b)-most):])
}

// output runs cmd to its end and gives its stdout.
func output(ctx context.Context, cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%q: %w\n%s%s", cmd.Args, errors.Join(ctx.Err(), err), &stdout, &stderr)
	}
	return stdout.String(), nil
}

// processes lists those whose executable or command line has one of words, each as
// its id and command line. Ended ones that nobody has waited for have neither.
func processes(words ...string) []string {
	paths, _ := filepath.Glob("/proc/[0-9]*")
	var found []string
	for _, p := range paths {
		exe, _ := os.Readlink(p + "/exe")
		b, _ := os.ReadFile(p + "/cmdline")
		line := strings.ReplaceAll(string(b), "\x00", " ")
		for _, word := range words {
			if strings.Contains(exe+" "+line, word) {
				found = append(found, filepath.Base(p)+" "+line)
				break
			}
		}
	}
	return found
}

// id reads the process id of a line that processes gave.
func id(line string) int {
	number, _, _ := strings.Cut(line, " ")
	pid, _ := strconv.Atoi(number)
	return pid
}

// descendants gives the processes below pid, from the field PPid of
// /proc/[pid]/status (proc(5)).
func descendants(pid int) (below []int) {
	paths, _ := filepath.Glob("/proc/[0-9]*")
	parents := map[int]int{}
	for _, p := range paths {
		b, _ := os.ReadFile(p + "/status")
		_, rest, _ := strings.Cut(string(b), "PPid:")
		child, _ := strconv.Atoi(filepath.Base(p))
		var up int
		fmt.Sscan(rest, &up)
		parents[child] = up
	}
	for child := range parents {
		for up := parents[child]; up > 1; up = parents[up] {
			if up == pid {
				below = append(below, child)
				break
			}
		}
	}
	return below
}
