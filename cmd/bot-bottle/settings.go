package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner/ledger"
	"github.com/caarlos0/env/v11"
)

// settings are what the environment can say; a flag of the same name wins. Where
// bottles come from is not among them: under a runner the environment is the
// job's, and the job does not choose its own policy. The state folder is the
// ledger's to find.
type settings struct {
	Backend  string `env:"BACKEND" envDefault:"auto"`
	LogLevel string `env:"LOG_LEVEL" envDefault:"warn"`
}

const envPrefix = "BOT_BOTTLE_"

func readSettings() (settings, error) {
	s, err := env.ParseAsWithOptions[settings](env.Options{Prefix: envPrefix})
	if err != nil {
		return s, term.Errorf(term.StageUsage, "environment", "reading %s*: %w", envPrefix, err)
	}
	return s, nil
}

// ownFolders are where a user's own bottles or agents are looked for. Under a
// runner the home folder is what the job's environment says, so that it doesn't
// count.
func ownFolders(kind string) []string {
	dirs := []string{filepath.Join("/etc/bot-bottle", kind)}
	if ledger.UnderRunner(os.Getenv) {
		return dirs
	}
	if home, err := os.UserHomeDir(); err == nil {
		dirs = append([]string{filepath.Join(home, ".bot-bottle", kind)}, dirs...)
	}
	return dirs
}

// executable gives our own binary by its real path, which can be bound into a
// guest.
func executable() (string, error) {
	path, err := os.Executable()
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", fmt.Errorf("finding our own binary: %w", err)
	}
	return path, nil
}
