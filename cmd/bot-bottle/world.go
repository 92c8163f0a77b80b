package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/bot-bottle/action/backends"
	"github.com/bot-bottle/action/backends/docker"
	"github.com/bot-bottle/action/backends/gvisor"
	"github.com/bot-bottle/action/backends/smolmachines"
	"github.com/bot-bottle/action/internal/image"
	"github.com/bot-bottle/action/internal/manifest"
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
	// config is the host's configuration. What is wrong with it keeps jobs from
	// starting, and nothing from being undone.
	config    manifest.Config
	configErr error
}

// openWorld opens the ledger and tells what happened while doing so.
func openWorld(ctx context.Context, stderr io.Writer) (*world, error) {
	w, err := lookAround(stderr)
	if err != nil {
		return nil, err
	}
	l, notices, err := ledger.Open(ctx, w.deps.Places.State, ledger.Options{})
	if err != nil {
		return nil, err
	}
	for _, n := range notices {
		fmt.Fprintf(stderr, "warning: %s\n", n)
		if n.Hint != "" {
			fmt.Fprintf(stderr, "hint: %s\n", n.Hint)
		}
	}
	w.deps.Ledger, w.deps.Backends = l, allBackends(w.deps.Places, l.HostID(), w.config)
	return w, nil
}

// lookAround gives the world without its ledger, and touches nothing.
func lookAround(stderr io.Writer) (*world, error) {
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
	exe, err := executable()
	if err != nil {
		return nil, err
	}
	config, configErr := manifest.LoadConfig(manifest.HostFolder)
	return &world{settings: s, stderr: stderr, config: config, configErr: configErr, deps: runner.Deps{
		Places:     places,
		Backends:   allBackends(places, "unknown", config),
		Executable: exe,
		Version:    version,
		Registries: registries(os.Getenv),
		Prices:     config.PriceTable(),
		KeyHelper:  keyHelper,
		KeyForge:   keyForge,
		Log:        zerolog.New(zerolog.ConsoleWriter{Out: stderr, NoColor: true}).Level(level).With().Timestamp().Logger(),
	}}, nil
}

// allBackends gives those of this build, the strongest first. What they make carries
// the ledger's id of this host; until the ledger is open they can only look around.
func allBackends(places runner.Places, host string, config manifest.Config) []backends.Backend {
	return []backends.Backend{
		smolmachines.New(places.Records(), smolmachines.Options{
			Mode: smolmachines.Mode(config.Smolvm.Mode), StrictVersion: config.Smolvm.StrictVersion, Pins: config.Smolvm.SHA256,
		}),
		gvisor.New(places.Records()),
		docker.New(docker.Options{Host: os.Getenv("DOCKER_HOST"), Runner: ledger.UnderRunner(os.Getenv), HostID: host, Runtime: config.Docker.Runtime}),
	}
}

// registriesFile is where a host keeps logins of registries for the jobs of a
// runner, in the form of Docker's config.json.
const registriesFile = manifest.HostFolder + "/registries.json"

// registries says whose logins and which proxy images are pulled with: the user's
// own. Under a runner the home folder and the environment are the job's, and what
// counts is the host's file alone.
func registries(getenv func(string) string) image.Registries {
	if ledger.UnderRunner(getenv) {
		return image.Registries{Credentials: registriesFile, OnlyRoot: true}
	}
	r := image.Registries{Proxy: http.ProxyFromEnvironment}
	if dir := cmp.Or(getenv("DOCKER_CONFIG"), filepath.Join(getenv("HOME"), ".docker")); filepath.IsAbs(dir) {
		r.Credentials = filepath.Join(dir, "config.json")
	}
	return r
}

func (w *world) close() { w.deps.Ledger.Close() }
