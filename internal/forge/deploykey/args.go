package deploykey

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/term"
)

// Kind is the name of the obligation in the ledger, Version the form of Args.
const (
	Kind    = "deploy-key"
	Version = 1
)

// The forges that a Place may be on. Forgejo is asked as Gitea.
const (
	Gitea  = "gitea"
	GitHub = "github"
)

// Place is where a key is to let in.
type Place struct {
	Forge        string // Gitea or GitHub
	Server       string // as the host's configuration has it, which has the credential
	Repository   string // "owner/name" at the time
	RepositoryID int64  // the forge's
	Write        bool   // else the key may only fetch
}

// Args are what the obligation of a key keeps: enough to find it, and the host's
// credential for its server, in any process. There is nothing secret in them.
type Args struct {
	Forge        string `json:"forge"`
	Server       string `json:"server"`
	Repository   string `json:"repository"` // for messages; the id is what counts
	RepositoryID int64  `json:"repository_id"`
	Fingerprint  string `json:"fingerprint"`
	Title        string `json:"title"`
}

// maxArgs is more than Args of the longest names.
const maxArgs = 4096

// Decode reads Args that anybody could have written.
func Decode(version int, raw json.RawMessage) (Args, error) {
	var a Args
	if version != Version {
		return Args{}, fmt.Errorf("reading the obligation: it has version %d, not %d", version, Version)
	}
	if len(raw) > maxArgs {
		return Args{}, fmt.Errorf("reading the obligation: it has more than %d bytes", maxArgs)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&a); err != nil {
		return Args{}, fmt.Errorf("reading the obligation: %w", err)
	}
	return a, a.check()
}

// check refuses what Generate doesn't make.
func (a Args) check() error {
	if a.Forge != Gitea && a.Forge != GitHub {
		return fmt.Errorf("reading the forge %q: it is neither %q nor %q", term.Shorten(a.Forge, 40), Gitea, GitHub)
	}
	if err := checkServer(a.Server); err != nil {
		return err
	}
	if _, _, err := forge.SplitRepository(a.Repository); err != nil {
		return err
	}
	if a.RepositoryID <= 0 {
		return fmt.Errorf("reading the id of %q: %d is none", a.Repository, a.RepositoryID)
	}
	if err := checkFingerprint(a.Fingerprint); err != nil {
		return err
	}
	_, err := ParseTitle(a.Title)
	return err
}

func checkServer(server string) error {
	u, err := url.Parse(server)
	if err != nil || len(server) > 1024 || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("reading the forge's server: it is not the URL of one")
	}
	return nil
}

func checkFingerprint(fingerprint string) error {
	digest, ok := strings.CutPrefix(fingerprint, "SHA256:")
	sum, err := base64.RawStdEncoding.Strict().DecodeString(digest)
	if !ok || err != nil || len(sum) != 32 || len(fingerprint) > 64 {
		return fmt.Errorf("reading the fingerprint %q: it is none of SHA-256", term.Shorten(fingerprint, 64))
	}
	return nil
}
