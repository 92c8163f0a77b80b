// Command helper is what the tests of package doors run: the sidecar itself, which
// on SIGUSR1 tries what it must not be able to do, and a supervisor to be killed.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/bot-bottle/action/internal/doors"
	"github.com/bot-bottle/action/internal/doors/decision"
	"github.com/bot-bottle/action/internal/policy"
	"github.com/bot-bottle/action/internal/term"
)

func main() {
	var err error
	switch os.Args[1] {
	case doors.Verb:
		go attemptOnSignal()
		err = doors.Main(context.Background(), os.Args[2:])
	case "attempt": // by a process that isn't confined
		err = json.NewEncoder(os.Stdout).Encode(Attempts{Everyday: attempt(everyday()), Necessary: attempt(necessary())})
	case "supervise":
		err = supervise(os.Args[2])
	}
	if err != nil {
		fmt.Fprint(os.Stderr, term.Explain(err))
		os.Exit(1)
	}
}

// attemptOnSignal prints what came of the attempts as a line on standard error.
func attemptOnSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	for range signals {
		json.NewEncoder(os.Stderr).Encode(Attempts{attempt(everyday()), attempt(grave()), attempt(necessary())})
	}
}

// Supervised is what the supervisor prints once the doors are open.
type Supervised struct {
	PID   int
	Ready doors.Ready
}

// supervise starts a sidecar with its sockets in dir, and waits to be killed.
func supervise(dir string) error {
	log, err := os.OpenFile(filepath.Join(dir, "decisions.jsonl"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	listeners := map[decision.Door]*net.UnixListener{}
	for _, door := range []decision.Door{decision.Egress, decision.GitGate, decision.Supervise} {
		listeners[door], err = net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, string(door)), Net: "unix"})
		if err != nil {
			return err
		}
	}
	s, err := doors.Start(context.Background(), doors.StartOptions{
		Executable: "/proc/self/exe", Listeners: listeners, Decisions: log, UID: os.Getuid(), GID: os.Getgid(), Stderr: os.Stderr,
	})
	if err != nil {
		return err
	}
	ready, err := s.Configure(context.Background(), doors.Config{
		Policy: policy.Policy{Epoch: 1, Bottle: "test"}, Nonce: strings.Repeat("0", 32), Peers: []int{os.Getuid()},
	})
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(Supervised{s.PID(), ready}); err != nil {
		return err
	}
	<-s.Done()
	return s.Err()
}
