package forge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
	"golang.org/x/sys/unix"
)

// HostFile is the host's own list of forges and credentials. It is the host's
// alone: nothing of a job may name another.
const HostFile = "/etc/bot-bottle/forges.json"

// maxHostFile bounds it.
const maxHostFile = 1 << 20

// HostForge is one entry of HostFile: {"url": "https://gitea.example", "token":
// "credential:gitea"}.
type HostForge struct {
	URL   string     `json:"url"`   // as a browser has it
	Token secret.Ref `json:"token"` // file: or credential:; a job could set a variable
}

// hostConfig is the whole of HostFile.
type hostConfig struct {
	Forges []HostForge `json:"forges"`
}

// HostCredential reads, from the file at path, the host's credential for the
// forge at server. It is empty, without an error, where there is no file or no
// entry. The URLs are compared by scheme, host, port and path: a credential is
// never sent anywhere else.
// The file has to be root's, with nobody else able to write it: whoever can send
// the question elsewhere gets the credential.
func HostCredential(path, server string, lookup func(string) (string, bool)) (secret.Value, error) {
	return hostCredential(path, server, lookup, 0)
}

func hostCredential(path, server string, lookup func(string) (string, bool), owner int) (secret.Value, error) {
	config, err := readHostFile(path, owner)
	if err != nil {
		return secret.Value{}, term.Errorf(term.StageUsage, path, "reading the host's forges: %w", err).
			WithHint(`write {"forges": [{"url": "https://gitea.example", "token": "credential:gitea"}]}`)
	}
	for _, f := range config.Forges {
		if sameServer(f.URL, server) {
			return f.resolve(path, lookup)
		}
	}
	return secret.Value{}, nil
}

func readHostFile(path string, owner int) (hostConfig, error) {
	var config hostConfig
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return config, nil
	}
	if err != nil {
		return config, err
	}
	defer f.Close()
	if err := checkOwner(f, owner); err != nil {
		return config, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxHostFile+1))
	if err != nil {
		return config, err
	}
	if len(b) > maxHostFile {
		return config, fmt.Errorf("it has more than %d bytes", maxHostFile)
	}
	return parseHostFile(b)
}

func checkOwner(f *os.File, owner int) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var s unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &s); err != nil {
		return err
	}
	if !info.Mode().IsRegular() || int(s.Uid) != owner || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others than root can change it (%v, of user %d)", info.Mode(), s.Uid)
	}
	return nil
}

// parseHostFile is strict: a misspelt key would be a credential that is not used.
func parseHostFile(b []byte) (hostConfig, error) {
	var config hostConfig
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&config); err != nil {
		return hostConfig{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return hostConfig{}, errors.New("something follows the object")
	}
	for _, f := range config.Forges {
		if err := f.check(); err != nil {
			return hostConfig{}, err
		}
	}
	return config, nil
}

func (f HostForge) check() error {
	if u, err := url.Parse(f.URL); err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("the url %q is not that of a server", f.URL)
	}
	if _, err := secret.ParseRef(string(f.Token)); err != nil {
		return err
	}
	if strings.HasPrefix(string(f.Token), "env:") {
		return errors.New("a token from the environment would be the job's under a runner: use file: or credential: instead")
	}
	return nil
}

func (f HostForge) resolve(path string, lookup func(string) (string, bool)) (secret.Value, error) {
	value, err := f.Token.Resolve(lookup)
	if err != nil {
		told := term.Errorf(term.StagePreflight, path, "reading the host's credential for %q: %w", f.URL, err)
		var missing *secret.MissingError
		if errors.As(err, &missing) && missing.Hint != "" {
			told.WithHint("%s", missing.Hint)
		}
		return secret.Value{}, told
	}
	return value, nil
}

func sameServer(a, b string) bool {
	ua, errA := url.Parse(a)
	ub, errB := url.Parse(b)
	return errA == nil && errB == nil && ua.Scheme == ub.Scheme && strings.EqualFold(ua.Host, ub.Host) &&
		strings.TrimRight(ua.Path, "/") == strings.TrimRight(ub.Path, "/")
}
