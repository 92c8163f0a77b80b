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

// systemCredentials is where systemd keeps the credentials of the system's services, in
// a folder that is root's (systemd.exec(5), "Credentials").
const systemCredentials = "/run/credentials"

// hostLookup gives what the host's own credentials may be found by. Under a runner the
// environment is the job's, but for the folder of credentials, which nobody but root can
// make there.
func hostLookup() func(name string) (string, bool) {
	if !ledger.UnderRunner(os.Getenv) {
		return os.LookupEnv
	}
	return func(name string) (string, bool) {
		dir, is := os.LookupEnv(name)
		if name != "CREDENTIALS_DIRECTORY" || filepath.Dir(dir) != systemCredentials || filepath.Clean(dir) != dir {
			return "", false
		}
		return dir, is
	}
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
