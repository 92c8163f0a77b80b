package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/backends/gvisor"
	"github.com/bot-bottle/action/backends/smolmachines"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
	"github.com/bot-bottle/action/runner/ledger"
	"github.com/rs/zerolog"
)

// world is what the verbs need of this host: settings, folders, the ledger and
// the backends.
type world struct {
	settings settings
	deps     runner.Deps
	stderr   io.Writer
}

// openWorld opens the ledger and tells what happened while doing so.
func openWorld(ctx context.Context, stderr io.Writer) (*world, error) {
	s, err := readSettings()
	if err != nil {
		return nil, err
	}
	level, err := zerolog.ParseLevel(s.LogLevel)
	if err != nil {
		return nil, term.Errorf(term.StageUsage, envPrefix+"LOG_LEVEL", "reading the log level: %q is not a level", s.LogLevel).
			WithHint("use trace, debug, info, warn or error")
	}
	state, err := ledger.DefaultDir(os.Getenv, os.Getuid())
	if err != nil {
		return nil, err
	}
	places, err := runner.DefaultPlaces(state, os.Getuid(), ledger.UnderRunner(os.Getenv))
	if err != nil {
		return nil, err
	}
	l, notices, err := ledger.Open(ctx, state, ledger.Options{})
	if err != nil {
		return nil, err
	}
	for _, n := range notices {
		fmt.Fprintf(stderr, "warning: %s\n", n)
		if n.Hint != "" {
			fmt.Fprintf(stderr, "hint: %s\n", n.Hint)
		}
	}
	exe, err := executable()
	if err != nil {
		return nil, err
	}
	w := &world{settings: s, stderr: stderr}
	w.deps = runner.Deps{
		Places:     places,
		Ledger:     l,
		Backends:   []backends.Backend{smolmachines.New(places.Records(), smolmachines.Options{}), gvisor.New(places.Records())},
		Executable: exe,
		Version:    version,
		Log:        zerolog.New(zerolog.ConsoleWriter{Out: stderr, NoColor: true}).Level(level).With().Timestamp().Logger(),
	}
	return w, nil
}

func (w *world) close() { w.deps.Ledger.Close() }
