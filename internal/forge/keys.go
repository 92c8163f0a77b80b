package forge

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/bot-bottle/action/internal/term"
)

// Keys are the deploy keys of one repository, which is known by its id: a name may
// lead to another one tomorrow. All methods may be called concurrently.
type Keys interface {
	// Rights asks the forge whether the credential administers the repository
	// now, what the repository is called now, and what time it is. A repository
	// that was renamed is still found; one that is gone or hidden is ErrAbsent,
	// wrapped, and says nothing about its keys.
	Rights(ctx context.Context) (Rights, error)
	// DeployKeys gives all keys of the repository, or an error: never a part. The
	// rights are confirmed before and after.
	DeployKeys(ctx context.Context) ([]DeployKey, error)
	// CreateDeployKey registers a key, given as a line of authorized_keys, and
	// gives its id. ErrTaken, wrapped, says that the forge has that key, here or
	// elsewhere. After any other error the key may be there, or come about later.
	CreateDeployKey(ctx context.Context, title, public string, write bool) (int64, error)
	// DeleteDeployKey asks for the removal of a key. That there is none with the
	// id is no error on every forge: only DeployKeys tells whether it is gone.
	DeleteDeployKey(ctx context.Context, id int64) error
}

// Rights say that the credential administers a repository.
type Rights struct {
	Repository Repository // as it is called now
	Now        time.Time  // by the forge's clock (RFC 9110 §6.6.1), in whole seconds
}

// DeployKey is a key that lets in to one repository.
type DeployKey struct {
	ID          int64
	Title       string // anybody's who administers the repository
	Fingerprint string // of the key's own text, as Fingerprint gives it
	ReadOnly    bool
}

// ErrTaken says that the forge has a key already.
var ErrTaken = errors.New("the forge has this key already")

// MaxDeployKeys is how many keys of a repository are read: a key that stands for
// a job is one of a few, and a listing has to end. More are an error.
const MaxDeployKeys = 5000

// maxListings is how often a listing that changes under way is begun again.
const maxListings = 5

// Errors of a listing that isn't whole.
var (
	errTooManyKeys = fmt.Errorf("reading the deploy keys: there are more than %d", MaxDeployKeys)
	errUnsteady    = errors.New("reading the deploy keys: they keep changing")
	errNoKeys      = errors.New("reading the deploy keys: the answer lacks what was asked for")
)

// Fingerprint gives the SHA-256 fingerprint of a line of authorized_keys, in the
// form of ssh-keygen -l (RFC 4648 §4 without padding, after "SHA256:"). It reads
// the key's text rather than its parts, so that it knows each kind of key.
func Fingerprint(public string) (string, error) {
	fields := strings.Fields(public)
	if len(fields) < 2 {
		return "", errors.New("reading a public key: it is no line of authorized_keys")
	}
	blob, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil {
		return "", fmt.Errorf("reading a public key: %w", err)
	}
	if kind, ok := firstString(blob); !ok || kind != fields[0] {
		return "", fmt.Errorf("reading a public key: it is not of the kind %q", term.Shorten(fields[0], 40))
	}
	sum := sha256.Sum256(blob)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]), nil
}

// firstString reads a string of SSH's wire format (RFC 4251 §5).
func firstString(blob []byte) (string, bool) {
	if len(blob) < 4 {
		return "", false
	}
	n := binary.BigEndian.Uint32(blob)
	if uint64(n) > uint64(len(blob)-4) {
		return "", false
	}
	return string(blob[4 : 4+n]), true
}

// ListDeployKeys reads page after page, from the first, until one brings nothing
// new. For keys that take more than one page it does so until two listings in a row
// agree: a key that another job removes meanwhile moves a later one across the
// border of two pages, where it would be missed.
func ListDeployKeys(page func(number int) ([]DeployKey, error)) ([]DeployKey, error) {
	var before map[int64]DeployKey
	for range maxListings {
		keys, pages, err := listOnce(page)
		if err != nil {
			return nil, err
		}
		if pages <= 1 || before != nil && sameKeys(before, keys) {
			return keys, nil
		}
		before = byID(keys)
	}
	return nil, errUnsteady
}

// listOnce also gives how many pages had something.
func listOnce(page func(int) ([]DeployKey, error)) (all []DeployKey, pages int, err error) {
	seen := map[int64]bool{}
	for ; ; pages++ {
		keys, err := page(pages + 1)
		if err != nil {
			return nil, 0, err
		}
		before := len(all)
		for _, k := range keys {
			if !seen[k.ID] {
				seen[k.ID] = true
				all = append(all, k)
			}
		}
		if len(all) > MaxDeployKeys {
			return nil, 0, errTooManyKeys
		}
		if len(all) == before {
			return all, pages, nil
		}
	}
}

func byID(keys []DeployKey) map[int64]DeployKey {
	m := make(map[int64]DeployKey, len(keys))
	for _, k := range keys {
		m[k.ID] = k
	}
	return m
}

func sameKeys(before map[int64]DeployKey, keys []DeployKey) bool {
	for _, k := range keys {
		if before[k.ID] != k {
			return false
		}
	}
	return len(before) == len(keys)
}

// Clock reads the time of the forge from an answer (RFC 9110 §6.6.1).
func Clock(h http.Header) (time.Time, error) {
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the forge's clock: %w", err)
	}
	return now, nil
}

// KeyError is Explain for keys: it also tells a key that is there already, and a
// redirect, which isn't followed since a credential would go with it.
func KeyError(err error, status int, right, question string, args ...any) error {
	if err == nil {
		return nil
	}
	asked := fmt.Sprintf(question, args...)
	switch status {
	case http.StatusConflict, http.StatusUnprocessableEntity:
		return term.Errorf(term.StagePreflight, "", "%s: %w (HTTP %d, %w)", asked, ErrTaken, status, err).
			WithHint("see the repository's deploy keys; a key can stand in one repository only")
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return term.Errorf(term.StagePreflight, "", "%s: it answers from another place, where no credential is sent (HTTP %d, %w)", asked, status, err).
			WithHint("if the forge moved, correct its URL; if the repository was renamed meanwhile, try again")
	}
	return Explain(err, status, right, "%s", asked)
}

// Located gives the parts of the name of a repository that Rights found.
func Located(rights Rights, err error) (owner, name string, _ error) {
	if err != nil {
		return "", "", err
	}
	return SplitRepository(rights.Repository.FullName)
}

// Confirmed lists the keys of the repository that rights finds, and asks for the
// rights once more: had it been renamed meanwhile, the listing were of the one that
// has the name now.
func Confirmed(rights func() (Rights, error), page func(owner, name string, number int) ([]DeployKey, error)) ([]DeployKey, error) {
	before, err := rights()
	owner, name, err := Located(before, err)
	if err != nil {
		return nil, err
	}
	keys, err := ListDeployKeys(func(n int) ([]DeployKey, error) { return page(owner, name, n) })
	if err != nil {
		return nil, err
	}
	after, err := rights()
	if err != nil {
		return nil, err
	}
	if after.Repository != before.Repository {
		return nil, fmt.Errorf("listing the deploy keys of %q, which is called %q now: %w", before.Repository.FullName, after.Repository.FullName, errUnsteady)
	}
	return keys, nil
}

// ReadKeys makes keys of a client library's, which give says in parts: the key
// without its fingerprint, and its text. One key that can't be read is an error for
// all: it might be the one that is looked for. So is a list that is nil: an answer
// without a list is not one without keys.
func ReadKeys[K any](list []K, give func(K) (DeployKey, string)) ([]DeployKey, error) {
	if list == nil {
		return nil, errNoKeys
	}
	keys := make([]DeployKey, 0, len(list))
	for _, entry := range list {
		key, public := give(entry)
		fingerprint, err := Fingerprint(public)
		if err != nil {
			return nil, fmt.Errorf("reading deploy key %d: %w", key.ID, err)
		}
		if key.ID <= 0 {
			return nil, errNoKeys
		}
		key.Fingerprint = fingerprint
		keys = append(keys, key)
	}
	return keys, nil
}
