package gitgate

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"

	"github.com/bot-bottle/action/internal/doors/decision"
)

// Repository is one that the guest may reach.
type Repository struct {
	Name     string // in the guest's URL, http://ALIAS:9420/NAME.git; letters, digits, dots, dashes and underscores
	Upstream Upstream
	Push     *PushRules // nil: it can be read only
	// Also are full names of refs that are mirrored beside branches and tags. What is
	// reached by them alone counts as nothing that the upstream has: anybody may have
	// put it there, as the head of a fork's pull request.
	Also []string
}

// Options say what a door is made of. All but Epoch, Intercept and Peer are required.
type Options struct {
	Repositories []Repository
	Dir          string // empty folder of the door's own
	Git          Git
	Judge        Judge
	Log          decision.Log
	Epoch        func() uint64 // of the policy in force, for the lines
	// Intercept sees each request first and tells whether it answered; then no lines
	// are written.
	Intercept func(http.ResponseWriter, *http.Request) bool
	// Peer names who connected, for the lines.
	Peer func(net.Conn) string
	// Stall is how long the guest may take for a piece of what it sends or reads; 0:
	// a minute.
	Stall time.Duration
}

// defaultStall is much for a guest on the same host.
const defaultStall = time.Minute

// Door serves the repositories.
type Door struct {
	options Options
	mirrors map[string]*mirror
	rules   map[string]*PushRules
	taken   atomic.Int64    // bytes of packs, of all pushes
	closed  context.Context // done once the door is shut
	shut    context.CancelCauseFunc
}

// nameForm is that of a repository's name.
var nameForm = regexp.MustCompile(`^[0-9A-Za-z_][0-9A-Za-z._-]{0,99}$`)

// New makes a door. Nothing is asked of an upstream yet.
func New(o Options) (*Door, error) {
	d := &Door{options: o, mirrors: map[string]*mirror{}, rules: map[string]*PushRules{}}
	if o.Stall == 0 {
		d.options.Stall = defaultStall
	}
	d.closed, d.shut = context.WithCancelCause(context.Background())
	if err := os.MkdirAll(o.Git.Home, 0o700); err != nil {
		return nil, fmt.Errorf("making a home for git: %w", err)
	}
	for _, r := range o.Repositories {
		if !nameForm.MatchString(r.Name) || d.mirrors[r.Name] != nil {
			return nil, fmt.Errorf("reading the repositories: %q is no name, or there twice", r.Name)
		}
		d.mirrors[r.Name] = &mirror{name: r.Name, dir: filepath.Join(o.Dir, "mirrors", r.Name+".git"), git: o.Git, upstream: r.Upstream, also: r.Also}
		d.rules[r.Name] = r.Push
	}
	return d, nil
}

// errShut is why what was under way has ended.
var errShut = errors.New("the bottle lets nothing pass any more")

// Shut lets nothing pass from now on, and ends what is under way.
func (d *Door) Shut() { d.shut(errShut) }

// Bounds of the door. A push may take as long as it is large; one that doesn't move
// is ended by its connection.
const (
	maxConnections = 32
	maxHeadBytes   = 16 << 10
	headTime       = 10 * time.Second
	keepAliveTime  = time.Minute
)

// Serve answers on l until ctx ends, then closes l and every connection, ends git,
// and returns nil. It returns the error of a listener that breaks.
func (d *Door) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           d,
		ReadHeaderTimeout: headTime,
		IdleTimeout:       keepAliveTime,
		MaxHeaderBytes:    maxHeadBytes,
		ErrorLog:          log.New(io.Discard, "", 0), // it would quote the guest
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, d.peer(c))
		},
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	defer server.Close()
	err := server.Serve(netutil.LimitListener(l, maxConnections))
	if ctx.Err() != nil || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("accepting at the git-gate: %w", err)
}

type peerKey struct{}

func (d *Door) peer(c net.Conn) string {
	if d.options.Peer == nil {
		return ""
	}
	return d.options.Peer(c)
}

// pathForm is what git asks for, and nothing else.
var pathForm = regexp.MustCompile(`^/([0-9A-Za-z_][0-9A-Za-z._-]{0,99})\.git/(info/refs|git-upload-pack|git-receive-pack)$`)

// ServeHTTP answers one request.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if i := d.options.Intercept; i != nil && i(w, r) { // the proof's
		return
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(d.closed, func() { cancel(errShut) })()
	guest := &guest{ResponseWriter: w, control: http.NewResponseController(w), stall: d.options.Stall}
	x := &exchange{door: d, w: guest, r: r.WithContext(ctx), begun: time.Now()}
	if d.closed.Err() != nil {
		x.refuse(refusal{RuleShut, http.StatusForbidden, errShut.Error()})
		return
	}
	parts := pathForm.FindStringSubmatch(r.URL.EscapedPath())
	if parts == nil {
		x.refuse(d.unknownPath(r.URL.Path))
		return
	}
	x.mirror, x.rules = d.mirrors[parts[1]], d.rules[parts[1]]
	if x.mirror == nil {
		x.refuse(refusal{RuleNoRemote, http.StatusNotFound, fmt.Sprintf("this bottle declares no git remote %q", parts[1])})
		return
	}
	x.serve(parts[2])
}

// Rules by which the door refuses; they stand in decision lines.
const (
	RuleNoRemote     = "no-git-remote"      // the bottle declares no such repository
	RuleNotGit       = "not-git"            // no request of git's
	RuleLFS          = "lfs"                // large files go another way, which no door scans
	RuleShut         = "door-shut"          // the agent has ended
	RuleReadOnly     = "read-only"          // the bottle doesn't push there
	RuleRef          = "ref-not-listed"     // a ref that the bottle doesn't list
	RuleForce        = "not-fast-forward"   // it would take commits away
	RuleDelete       = "ref-deletion"       // it would take a ref away
	RuleStale        = "ref-changed"        // the ref is not what the client thinks
	RulePack         = "pack-refused"       // broken, too large, or of what isn't taken
	RuleUnreadable   = "push-unreadable"    // not of git's form
	RuleUpstream     = "upstream"           // it could not be reached, or refused
	RuleNotJudged    = "not-judged"         // the judge could not finish
	RuleBroken       = "broken-off"         // git, or the guest, did not come to the end
	RuleUnrecordable = "decision-not-taken" // the decision could not be written down
)

// refusal is what a request is refused with. message is ours, for a terminal.
type refusal struct {
	rule    string
	status  int
	message string
}

func (d *Door) unknownPath(path string) refusal {
	if strings.Contains(path, "/info/lfs") {
		return refusal{RuleLFS, http.StatusNotImplemented, "Git LFS is not served: its objects go past git, where nothing scans them"}
	}
	return refusal{RuleNotGit, http.StatusNotFound, "this is the git-gate of a bottle: it serves git's smart HTTP and nothing else"}
}

// exchange is one request.
type exchange struct {
	door   *Door
	w      *guest
	r      *http.Request
	begun  time.Time
	mirror *mirror
	rules  *PushRules
	moved  []decision.Moved // by a push that the upstream took
}

// serve answers one of git's four questions.
func (x *exchange) serve(what string) {
	service := Service(x.r.URL.Query().Get("service"))
	switch {
	case what == "info/refs" && x.r.Method == http.MethodGet && service == UploadPack:
		x.advertise()
	case what == "info/refs" && x.r.Method == http.MethodGet && service == ReceivePack:
		x.advertisePush()
	case what == string(UploadPack) && x.r.Method == http.MethodPost:
		x.fetch()
	case what == string(ReceivePack) && x.r.Method == http.MethodPost:
		x.push()
	default:
		x.refuse(refusal{RuleNotGit, http.StatusBadRequest, "this is no question of git's smart HTTP; the dumb one is not served"})
	}
}

// line is the record of the request.
func (x *exchange) line(v decision.Verdict, rule string) decision.Line {
	l := decision.Line{Door: decision.GitGate, Verdict: v, Rule: rule, Method: short(x.r.Method, 16), Path: short(x.r.URL.EscapedPath(), 256)}
	if x.door.options.Epoch != nil {
		l.Epoch = x.door.options.Epoch()
	}
	if x.mirror != nil {
		l.Route = x.mirror.name
	}
	l.Peer, _ = x.r.Context().Value(peerKey{}).(string)
	return l
}

func short(s string, n int) string { return s[:min(len(s), n)] }

// refuse records the refusal and answers it in words that git prints.
func (x *exchange) refuse(f refusal) { x.refuseBy(f, x.answerRefusal) }

// refuseBy records the refusal around what tells it.
func (x *exchange) refuseBy(f refusal, tell func(refusal)) {
	id, err := x.door.options.Log.Verdict(x.line(decision.Refuse, f.rule))
	tell(f)
	if err == nil {
		x.door.options.Log.End(id, decision.Line{Door: decision.GitGate, Rule: f.rule, Status: f.status, Duration: time.Since(x.begun)})
	}
}

func (x *exchange) answerRefusal(f refusal) {
	h := x.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8") // git prints it behind "remote: "
	h.Set("X-Bot-Bottle-Rule", f.rule)
	h.Set("Cache-Control", "no-store")
	x.w.WriteHeader(f.status)
	io.WriteString(x.w, "bot-bottle: "+f.message+"\n") // the guest may have gone
}

// pass records that the request passes, has do answer it, and records how it ended: do
// gives what stood in the way, which it has told. Where the verdict can't be recorded
// nothing passes.
func (x *exchange) pass(do func() *refusal) {
	id, err := x.door.options.Log.Verdict(x.line(decision.Allow, ""))
	if err != nil {
		x.answerRefusal(refusal{RuleUnrecordable, http.StatusServiceUnavailable, "the decision could not be written down, so nothing passes"})
		return
	}
	f := do()
	l := decision.Line{Door: decision.GitGate, Status: http.StatusOK, Sent: max(0, x.r.ContentLength), Received: x.w.n, Duration: time.Since(x.begun), Moved: x.moved}
	if f != nil {
		l.Status, l.Rule, l.Error = f.status, f.rule, short(f.message, 1000)
	}
	x.door.options.Log.End(id, l)
}

// guest is where answers go. Each piece has its own time, is counted, and is sent at
// once: progress is for somebody who waits.
type guest struct {
	http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
	n       int64
}

// Write writes one piece.
func (g *guest) Write(p []byte) (int, error) {
	g.control.SetWriteDeadline(time.Now().Add(g.stall))
	n, err := g.ResponseWriter.Write(p)
	if g.n += int64(n); err == nil {
		err = g.control.Flush()
	}
	return n, err
}

// body is what the guest sends, unpacked where it says so. What it unpacks to is
// bounded by whoever reads it.
func (x *exchange) body() (io.Reader, error) {
	switch encoding := x.r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		return x.r.Body, nil
	case "gzip":
		return gzip.NewReader(x.r.Body)
	default:
		return nil, fmt.Errorf("reading the body: its encoding %.20q is not known", encoding)
	}
}
