package forgetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The credential that a KeyForge knows.
const Credential = "host-token"

// Where the two APIs of a KeyForge begin.
const (
	giteaRoot  = "/api/v1"
	githubRoot = "/github"
)

// Key is a deploy key of a KeyForge.
type Key struct {
	ID       int64  `json:"id"`
	Title    string `json:"title"`
	Public   string `json:"key"`
	ReadOnly bool   `json:"read_only"`
}

// landing is a key of a request whose sender died.
type landing struct {
	repository int64
	key        Key
	at         time.Time
}

// KeyForge is a double of a forge that keeps deploy keys, with the API of Gitea
// 1.26 (swagger of that version; answers as seen from a real one) at its URL, and
// of GitHub (https://docs.github.com/rest/deploy-keys) at GitHubURL. Its clock moves
// by Advance alone. All methods may be called concurrently.
type KeyForge struct {
	*httptest.Server

	mu       sync.Mutex
	now      time.Time
	names    map[int64]string  // of repositories
	old      map[string]int64  // names that lead elsewhere
	kinds    map[string]string // of owners: "User", "Organization"
	hidden   map[int64]string  // repositories that the credential may not see
	others   map[int64]bool    // repositories that the credential sees and doesn't administer
	keys     map[int64][]Key
	late     []landing
	lastID   int64
	pageSize int
	admin    bool
	expired  bool
	lose     time.Duration // of the next creation; negative: none is lost
	fault    func(*http.Request) (Answer, bool)
	asked    []string
}

// NewKeyForge starts a double with no repository, whose clock shows now. It ends
// with the test.
func NewKeyForge(t testing.TB, now time.Time) *KeyForge {
	t.Helper()
	f := &KeyForge{now: now, names: map[int64]string{}, old: map[string]int64{}, kinds: map[string]string{}, hidden: map[int64]string{}, others: map[int64]bool{}, keys: map[int64][]Key{}, pageSize: 50, admin: true, lose: -1}
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(func() { f.CloseClientConnections(); f.Close() })
	return f
}

// GitHubURL is where GitHub's API begins.
func (f *KeyForge) GitHubURL() string { return f.URL + githubRoot }

// Add makes a repository.
func (f *KeyForge) Add(id int64, name string) { f.do(func() { f.names[id] = name }) }

// Rename gives a repository another name; the old one redirects to it until it is
// given to another repository.
func (f *KeyForge) Rename(id int64, name string) {
	f.do(func() { f.old[f.names[id]], f.names[id] = id, name })
}

// Hide makes a repository one that the credential may not see; it keeps its keys.
func (f *KeyForge) Hide(id int64) {
	f.do(func() { f.hidden[id] = f.names[id]; delete(f.names, id) })
}

// SetAdmin says whether the credential administers the repositories.
func (f *KeyForge) SetAdmin(admin bool) { f.do(func() { f.admin = admin }) }

// SetExpired says whether the credential has expired.
func (f *KeyForge) SetExpired(expired bool) { f.do(func() { f.expired = expired }) }

// SetPageSize says how many keys are given at once, at most.
func (f *KeyForge) SetPageSize(n int) { f.do(func() { f.pageSize = n }) }

// SetFault has each request answered by fault, where it wants to. It is called
// without the lock, so that it may call methods of f.
func (f *KeyForge) SetFault(fault func(*http.Request) (Answer, bool)) {
	f.do(func() { f.fault = fault })
}

// LoseNext makes the next creation one that gets no answer and comes about after.
func (f *KeyForge) LoseNext(after time.Duration) { f.do(func() { f.lose = after }) }

// Advance moves the clock, and lands what is due.
func (f *KeyForge) Advance(by time.Duration) {
	f.do(func() { f.now = f.now.Add(by); f.land() })
}

// Now is what the clock shows.
func (f *KeyForge) Now() (now time.Time) { f.do(func() { now = f.now }); return now }

// Put registers a key without being asked over HTTP, and gives its id.
func (f *KeyForge) Put(repository int64, title, public string, write bool) (id int64) {
	f.do(func() { id = f.put(repository, Key{Title: title, Public: public, ReadOnly: !write}).ID })
	return id
}

// Held gives the keys of a repository.
func (f *KeyForge) Held(repository int64) (keys []Key) {
	f.do(func() { keys = slices.Clone(f.keys[repository]) })
	return keys
}

// Asked gives method and path of the requests so far.
func (f *KeyForge) Asked() (asked []string) {
	f.do(func() { asked = slices.Clone(f.asked) })
	return asked
}

func (f *KeyForge) do(what func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	what()
}

func (f *KeyForge) put(repository int64, k Key) Key {
	f.lastID++
	k.ID = f.lastID
	f.keys[repository] = append(f.keys[repository], k)
	return k
}

func (f *KeyForge) land() {
	f.late = slices.DeleteFunc(f.late, func(l landing) bool {
		due := !f.now.Before(l.at)
		if due {
			f.put(l.repository, l.key)
		}
		return due
	})
}

func (f *KeyForge) serve(w http.ResponseWriter, r *http.Request) {
	var fault func(*http.Request) (Answer, bool)
	f.do(func() { f.asked = append(f.asked, r.Method+" "+r.URL.Path); fault = f.fault })
	body, err := io.ReadAll(r.Body) // all of it: only then the server sees the client go
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if fault != nil {
		if a, ok := fault(r); ok {
			w.Header().Set("Date", f.Now().UTC().Format(http.TimeFormat))
			a.write(w, r)
			return
		}
	}
	f.mu.Lock()
	a := f.answer(r)
	w.Header().Set("Date", f.now.UTC().Format(http.TimeFormat))
	f.mu.Unlock()
	a.write(w, r)
}

func (a Answer) write(w http.ResponseWriter, r *http.Request) {
	if a.Do != nil {
		a.Do(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	for name, value := range a.Header {
		w.Header().Set(name, value)
	}
	if a.Status != 0 {
		w.WriteHeader(a.Status)
	}
	_, _ = w.Write([]byte(a.Body)) // the client may have gone
}

func refusal(status int, message string) Answer {
	return Answer{Status: status, Body: fmt.Sprintf(`{"message": %q}`, message)}
}

// answer is what a forge in order says. The lock is held.
func (f *KeyForge) answer(r *http.Request) Answer {
	path, hub := strings.CutPrefix(r.URL.Path, githubRoot)
	path = strings.TrimPrefix(path, giteaRoot)
	token := r.Header.Get("Authorization")
	if f.expired || token != "token "+Credential && token != "Bearer "+Credential {
		return refusal(http.StatusUnauthorized, "user does not exist")
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case len(parts) == 3 && (parts[0] == "users" && (!hub || f.kinds[parts[1]] == "User") || hub && parts[0] == "orgs" && f.kinds[parts[1]] == "Organization") && parts[2] == "repos":
		return f.ownedBy(r, parts[1])
	case hub && path == "/user/repos":
		return f.ownedBy(r, CredentialOwner)
	case hub && path == "/user":
		return f.account(CredentialOwner)
	case hub && len(parts) == 2 && parts[0] == "users":
		return f.account(parts[1])
	case len(parts) == 2 && parts[0] == "repositories" && r.Method == http.MethodGet:
		return f.repository(number(parts[1]))
	case len(parts) == 3 && parts[0] == "repos" && r.Method == http.MethodGet:
		return f.repository(f.named(parts[1] + "/" + parts[2]))
	case len(parts) >= 4 && parts[0] == "repos" && parts[3] == "keys":
		return f.ofRepository(r, hub, parts[1]+"/"+parts[2], parts[4:])
	}
	return refusal(http.StatusNotFound, "Not Found")
}

func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64) // 0 is none
	return n
}

func (f *KeyForge) repository(id int64) Answer {
	name, ok := f.names[id]
	if !ok {
		return refusal(http.StatusNotFound, "Not Found")
	}
	return Answer{Body: fmt.Sprintf(`{"id": %d, "full_name": %q, "permissions": {"admin": %t, "push": true, "pull": true}}`, id, name, f.admin && !f.others[id])}
}

func (f *KeyForge) ofRepository(r *http.Request, hub bool, name string, rest []string) Answer {
	id := f.named(name)
	switch {
	case id == 0 && f.old[name] != 0:
		return Answer{Status: http.StatusMovedPermanently, Header: map[string]string{"Location": strings.Replace(r.URL.Path, name, f.names[f.old[name]], 1)}, Body: `{"message": "Moved Permanently"}`}
	case id == 0, hub && (!f.admin || f.others[id]):
		return refusal(http.StatusNotFound, "Not Found")
	case !f.admin, f.others[id]:
		return refusal(http.StatusForbidden, "user should be an owner or a collaborator with admin write of a repository")
	case r.Method == http.MethodGet && len(rest) == 0:
		return f.list(r, id)
	case r.Method == http.MethodPost && len(rest) == 0:
		return f.create(r, id)
	case r.Method == http.MethodDelete && len(rest) == 1:
		return f.remove(id, number(rest[0]), hub)
	}
	return refusal(http.StatusNotFound, "Not Found")
}

func (f *KeyForge) named(name string) int64 {
	for id, n := range f.names {
		if n == name {
			return id
		}
	}
	return 0
}

// list gives a page; a limit beyond the forge's own is cut to it.
func (f *KeyForge) list(r *http.Request, id int64) Answer {
	query := r.URL.Query()
	size := f.pageSize
	for _, name := range []string{"limit", "per_page"} {
		if n := int(number(query.Get(name))); n > 0 {
			size = min(size, n)
		}
	}
	all := f.keys[id]
	from := min(len(all), (max(1, int(number(query.Get("page"))))-1)*size)
	body, err := json.Marshal(append([]Key{}, all[from:min(len(all), from+size)]...))
	if err != nil {
		return refusal(http.StatusInternalServerError, err.Error())
	}
	return Answer{Body: string(body), Header: map[string]string{"X-Total-Count": strconv.Itoa(len(all))}}
}

func (f *KeyForge) create(r *http.Request, id int64) Answer {
	var k Key
	if err := json.NewDecoder(r.Body).Decode(&k); err != nil {
		return refusal(http.StatusUnprocessableEntity, err.Error())
	}
	if f.lose >= 0 {
		f.late = append(f.late, landing{id, k, f.now.Add(f.lose)})
		f.lose = -1
		f.land()
		return Answer{Do: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }}
	}
	if f.known(k.Public) {
		return refusal(http.StatusUnprocessableEntity, "This key has already been added to this repository")
	}
	body, err := json.Marshal(f.put(id, k))
	if err != nil {
		return refusal(http.StatusInternalServerError, err.Error())
	}
	return Answer{Status: http.StatusCreated, Body: string(body)}
}

func (f *KeyForge) known(public string) bool {
	for _, keys := range f.keys {
		if slices.ContainsFunc(keys, func(k Key) bool { return k.Public == public }) {
			return true
		}
	}
	return false
}

// remove answers as each forge does where there is no such key.
func (f *KeyForge) remove(repository, id int64, hub bool) Answer {
	before := len(f.keys[repository])
	f.keys[repository] = slices.DeleteFunc(f.keys[repository], func(k Key) bool { return k.ID == id })
	if hub && len(f.keys[repository]) == before {
		return refusal(http.StatusNotFound, "Not Found")
	}
	return Answer{Status: http.StatusNoContent}
}

// Delete removes a key without being asked over HTTP.
func (f *KeyForge) Delete(repository, id int64) { f.do(func() { f.remove(repository, id, false) }) }

// Landing gives how many keys are still to come about.
func (f *KeyForge) Landing() (n int) { f.do(func() { n = len(f.late) }); return n }
