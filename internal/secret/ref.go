package secret

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxBytes bounds a secret that is read from a file. The largest token in use, a
// JSON Web Token or a private key, has a few KiB.
const maxBytes = 64 << 10

// credentialsDirectory is the variable in which systemd names the folder of a
// service's credentials (systemd.exec(5), LoadCredential=).
const credentialsDirectory = "CREDENTIALS_DIRECTORY"

// Ref names where a secret is found, and never holds one. It is one of
//
//	env:NAME         a variable of the host's environment
//	file:/abs/path   a file, of which trailing newlines are cut off
//	credential:NAME  a credential that systemd gave to the service
type Ref string

// MissingError says why a reference gave no secret. It never holds the value.
type MissingError struct {
	Ref  Ref    // empty if it was no reference
	Err  error  // never nil
	Hint string // a whole instruction
}

// Error gives the reference and the cause.
func (e *MissingError) Error() string {
	if e.Ref == "" {
		return e.Err.Error()
	}
	return string(e.Ref) + ": " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *MissingError) Unwrap() error { return e.Err }

// ParseRef checks the form of s. Nothing is looked up.
func ParseRef(s string) (Ref, error) {
	kind, name, _ := strings.Cut(s, ":")
	var err error
	switch kind {
	case "env":
		if name == "" || strings.ContainsAny(name, "=\x00") {
			err = errors.New("it names no variable")
		}
	case "file":
		if !filepath.IsAbs(name) || filepath.Clean(name) != name {
			err = errors.New("it is not an absolute path without dot segments")
		}
	case "credential":
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
			err = errors.New("it names no credential")
		}
	default: // the text may be a token that was pasted here, so it is not quoted
		return "", errors.New("reading a secret's reference: it is none of env:NAME, file:/path, credential:NAME")
	}
	if err != nil {
		return "", fmt.Errorf("reading a secret's reference of kind %q: %w", kind, err)
	}
	return Ref(s), nil
}

// Resolve reads the secret, which then bears the reference as its name. The
// environment is only seen through lookupEnv. The error is a *MissingError; a
// secret that is there but empty is missing as well.
func (r Ref) Resolve(lookupEnv func(string) (string, bool)) (Value, error) {
	if _, err := ParseRef(string(r)); err != nil {
		return Value{}, &MissingError{Err: err, Hint: "write env:NAME, file:/path or credential:NAME"}
	}
	kind, name, _ := strings.Cut(string(r), ":")
	value, err := "", error(nil)
	switch kind {
	case "env":
		value, err = r.fromEnv(name, lookupEnv)
	case "file":
		value, err = r.fromFile(name)
	case "credential":
		value, err = r.fromCredential(name, lookupEnv)
	}
	if err != nil {
		return Value{}, err
	}
	if value == "" {
		return Value{}, r.missing(errors.New("the secret is empty"), "put the secret at %s, or remove what refers to it", r)
	}
	return New(string(r), value), nil
}

func (r Ref) fromEnv(name string, lookupEnv func(string) (string, bool)) (string, error) {
	value, ok := lookupEnv(name)
	if !ok {
		return "", r.missing(fmt.Errorf("the environment has no variable %q", name),
			"set %s in the environment of bot-bottle", name)
	}
	return value, nil
}

func (r Ref) fromCredential(name string, lookupEnv func(string) (string, bool)) (string, error) {
	dir, ok := lookupEnv(credentialsDirectory)
	if !ok || !filepath.IsAbs(dir) {
		return "", r.missing(fmt.Errorf("the environment has no folder %q", credentialsDirectory),
			"add LoadCredential=%s:/path/of/the/secret to the systemd unit", name)
	}
	return r.fromFile(filepath.Join(dir, name))
}

func (r Ref) fromFile(path string) (string, error) {
	f, err := openRegular(path)
	if err != nil {
		return "", r.missing(fmt.Errorf("opening the secret's file: %w", err),
			"make %s a regular file that the user of bot-bottle can read", path)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return "", r.missing(fmt.Errorf("reading the secret's file: %w", err), "check the disk that %s is on", path)
	}
	if len(b) > maxBytes {
		return "", r.missing(fmt.Errorf("reading the secret's file: it has more than %d bytes", maxBytes),
			"%s is not a token; point the reference at the file that holds it", path)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// openRegular opens without waiting for a writer, which a FIFO would require,
// and looks at what it has opened rather than at the name.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("opening %q: it is not a regular file", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (r Ref) missing(err error, hint string, args ...any) error {
	return &MissingError{Ref: r, Err: err, Hint: fmt.Sprintf(hint, args...)}
}
