package main

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/forge/deploykey"
	"github.com/bot-bottle/action/internal/forge/gitea"
	"github.com/bot-bottle/action/internal/forge/github"
	"github.com/bot-bottle/action/internal/manifest"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner/ledger"
)

// keyPatience is for the few requests that a key takes: a forge that restarts is
// waited for no longer than a person would.
var keyPatience = forge.Patience{Tries: 3, First: forge.Posting.First, Most: 5 * forge.Posting.First}

// keyForge connects with the credential that the host has for the place's server, read
// anew each time. A job's token is never asked with, and under a runner neither is
// anything that a job could have put into the environment.
func keyForge(place deploykey.Place) (deploykey.Connection, error) {
	token, err := keyCredential(place)
	if err != nil {
		return nil, err
	}
	return connectKeys(place, token)
}

// keyCredential is the host's for the place's server; none is an error.
func keyCredential(place deploykey.Place) (secret.Value, error) {
	token, err := hostCredential(place.Server)
	if err == nil && token.IsEmpty() {
		err = term.Errorf(term.StagePreflight, place.Server, "asking %q for deploy keys: the host has no credential for it", place.Server).
			WithHint("name one in %s/config.yaml under `forges`, of an account that administers %s", manifest.HostFolder, cmp.Or(place.Repository, "the repositories"))
	}
	return token, err
}

// ownedBy lists the repositories of an owner on the place's server, of which no
// repository is used.
func ownedBy(ctx context.Context, place deploykey.Place, owner string) ([]forge.OwnedRepository, error) {
	token, err := keyCredential(place)
	if err != nil {
		return nil, err
	}
	if place.Forge == deploykey.GitHub {
		return github.Owned(ctx, github.Config{API: githubAPI(place.Server), Token: token, Patience: keyPatience}, owner)
	}
	return gitea.Owned(ctx, gitea.Config{Server: place.Server, Host: token, Patience: keyPatience}, owner)
}

// hostCredential is the host's for the forge at server, read anew; empty: none is named.
func hostCredential(server string) (secret.Value, error) {
	config, err := manifest.LoadConfig(manifest.HostFolder)
	if err != nil {
		return secret.Value{}, err
	}
	return forge.HostCredential(config.Forges, server, hostLookup())
}

func connectKeys(place deploykey.Place, token secret.Value) (deploykey.Connection, error) {
	if place.Forge == deploykey.GitHub {
		return github.New(github.Config{API: githubAPI(place.Server), Repository: place.Repository, Token: token, Patience: keyPatience})
	}
	return gitea.New(gitea.Config{Server: place.Server, Repository: place.Repository, Host: token, Patience: keyPatience})
}

// githubAPI is where the API of a GitHub is (docs.github.com, "REST API", "Getting
// started").
func githubAPI(server string) string {
	server = strings.TrimSuffix(server, "/")
	if server == "https://github.com" {
		return "https://api.github.com"
	}
	return server + "/api/v3"
}

// keyHelper is our own binary, which reads the credential, makes its request and ends.
// It is given what it needs to know that it is under a runner, and no more.
func keyHelper(ctx context.Context) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", deploykey.Verb)
	cmd.Args[0] = "bot-bottle"
	cmd.Env = []string{}
	names := []string{"CI", "GITHUB_ACTIONS", "GITEA_ACTIONS", "FORGEJO_ACTIONS", "CREDENTIALS_DIRECTORY"}
	if !ledger.UnderRunner(os.Getenv) {
		names = append(names, "SSL_CERT_FILE", "SSL_CERT_DIR") // a job doesn't say whose word counts
	}
	for _, name := range names {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// serveDeployKey is that process.
func serveDeployKey() error {
	if err := harden(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), deploykey.LandsIn/2)
	defer cancel()
	return deploykey.Serve(ctx, os.Stdin, os.Stdout, keyForge)
}
