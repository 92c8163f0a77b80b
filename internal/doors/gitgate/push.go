package gitgate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bot-bottle/action/internal/doors/decision"
)

// Pushed is what a judge looks at: a repository that holds what was pushed, in
// quarantine, above what the upstream has.
type Pushed struct {
	Repository string
	Git        Git
	Dir        string   // of the mirror
	Env        []string // with which git sees the quarantine, too
	New        []string // ids that refs are to have
	Refs       []string // which refs, in the same order
	Base       string   // commit of the upstream's HEAD, whose workflows a pull request may start; empty: none
	Known      []string // ids that the upstream's branches and tags have
	Bytes      int64    // of the pack that was pushed
	// HostWorkflows are the paths of workflow files that may run on the host what is
	// pushed.
	HostWorkflows []string
}

// Judge decides whether a push may go on. It returns nil, or why not: a Refused is
// for the pusher to read, any other error says that it could not finish, and
// nothing passes either way.
type Judge func(ctx context.Context, p Pushed) error

// Refused is a judgement against a push. It holds no secret.
type Refused struct {
	Rule    string   // kebab-case and stable
	Message string   // one line
	Details []string // further lines
}

// Error gives the message.
func (r *Refused) Error() string { return r.Message }

// advertisePush lists the mirror's refs with what this door can do: the beginning of
// a push. The upstream is not asked, unless it never was: nothing of a push reaches
// it before the judge is through.
func (x *exchange) advertisePush() {
	if x.rules == nil {
		x.refuse(refusal{RuleReadOnly, http.StatusForbidden, fmt.Sprintf("the bottle may not push to %q: it can be read only", x.mirror.name)})
		return
	}
	x.pass(func() *refusal {
		refs, format, err := x.mirror.known(x.r.Context())
		if err != nil {
			return x.failed("asking the upstream", err)
		}
		x.answerAs("application/x-git-receive-pack-advertisement")
		x.w.Write(advertisement(refs, format))
		return nil
	})
}

// known gives the refs, as they were when the upstream was last asked; it is asked
// now if it never was.
func (m *mirror) known(ctx context.Context) (refs map[string]string, format string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.format == "" {
		if err := m.refresh(ctx); err != nil {
			return nil, "", err
		}
	}
	refs, err = m.refs(ctx)
	return refs, m.format, err
}

// advertisement tells refs, and no more capabilities than this door has: no push
// options, no deletion, no atomic push, no signed one.
func advertisement(refs map[string]string, format string) []byte {
	b := append(appendPacket(nil, "# service=git-receive-pack\n"), flushPacket...)
	capabilities := "\x00report-status side-band-64k ofs-delta quiet object-format=" + format + " agent=bot-bottle"
	names := make([]string, 0, len(refs))
	for ref := range refs {
		names = append(names, ref)
	}
	slices.Sort(names)
	if len(names) == 0 {
		b = appendPacket(b, zeroID(format)+" capabilities^{}"+capabilities+"\n")
	}
	for _, ref := range names {
		b = appendPacket(b, refs[ref]+" "+ref+capabilities+"\n")
		capabilities = ""
	}
	return append(b, flushPacket...)
}

func zeroID(format string) string {
	if format == "sha256" {
		return strings.Repeat("0", 64)
	}
	return strings.Repeat("0", 40)
}

// push takes a pack, judges it, and forwards it.
func (x *exchange) push() {
	if x.rules == nil {
		x.refuse(refusal{RuleReadOnly, http.StatusForbidden, fmt.Sprintf("the bottle may not push to %q: it can be read only", x.mirror.name)})
		return
	}
	body, err := x.body()
	if err != nil || x.r.Header.Get("Content-Type") != "application/x-git-receive-pack-request" {
		x.refuse(refusal{RuleNotGit, http.StatusBadRequest, "this is no question of git's"})
		return
	}
	in := bufio.NewReaderSize(body, 64<<10)
	req, err := readRequest(in)
	if err != nil {
		x.refuse(refusal{RuleUnreadable, http.StatusBadRequest, err.Error()})
		return
	}
	if len(req.commands) == 0 { // a client that asks whether it may; git-http-push does before a large body
		x.answerAs("application/x-git-receive-pack-result")
		return
	}
	x.mirror.mu.Lock() // one push to a repository at a time
	defer x.mirror.mu.Unlock()
	p := &push{exchange: x, request: req, in: in}
	p.do(x.r.Context())
}

// push is one push, from its commands on.
type push struct {
	*exchange
	request
	in         io.Reader
	quarantine string
	known      map[string]string
	packed     int64 // bytes of the pack
}

// do judges the push step by step, each behind the one before it.
func (p *push) do(ctx context.Context) {
	f := p.receive(ctx)
	if p.quarantine != "" {
		defer os.RemoveAll(p.quarantine)
	}
	if f == nil {
		f = p.judge(ctx)
	}
	if f != nil {
		p.refuseBy(*f, func(f refusal) { p.report(&f) })
		return
	}
	p.pass(func() (f *refusal) {
		if err := p.forward(ctx); err != nil {
			f = &refusal{RuleUpstream, http.StatusOK, fmt.Sprintf("the upstream: %v", err)}
		} else {
			p.moved = moved(p.commands)
		}
		p.report(f)
		return f
	})
}

// maxMoved bounds the names that an end line tells, which has no room for more.
const maxMoved = 1000

// moved is what is told of a push: of many refs the first.
func moved(commands []command) (told []decision.Moved) {
	left := maxMoved
	for _, c := range commands {
		if left -= len(c.Ref) + len(c.New); left < 0 {
			break
		}
		told = append(told, decision.Moved{Ref: c.Ref, Commit: c.New})
	}
	return told
}

// receive judges the refs and takes the pack into quarantine.
func (p *push) receive(ctx context.Context) *refusal {
	if p.mirror.format == "" {
		return &refusal{RuleStale, http.StatusOK, "nothing was advertised before this: fetch, then push again"}
	}
	for _, c := range p.commands {
		if len(c.New) != len(zeroID(p.mirror.format)) {
			return &refusal{RuleUnreadable, http.StatusOK, "the ids are not of this repository's kind"}
		}
	}
	var err error
	if p.known, err = p.mirror.refs(ctx); err != nil {
		return &refusal{RuleNotJudged, http.StatusOK, fmt.Sprintf("reading the mirror: %v", err)}
	}
	if f := p.rules.judgeRefs(p.commands, p.known); f != nil {
		return f
	}
	if err := p.takePack(ctx); err != nil {
		return &refusal{RulePack, http.StatusOK, fmt.Sprintf("taking the pack: %v", err)}
	}
	return p.connected(ctx)
}

// env lets git see the quarantine above the mirror.
func (p *push) env() []string {
	return []string{
		"GIT_OBJECT_DIRECTORY=" + filepath.Join(p.quarantine, "objects"),
		"GIT_ALTERNATE_OBJECT_DIRECTORIES=" + filepath.Join(p.mirror.dir, "objects"),
	}
}

// git runs git on what was pushed.
func (p *push) git(ctx context.Context, in io.Reader, args ...string) ([]byte, error) {
	return p.mirror.git.run(ctx, p.mirror.dir, p.env(), in, args...)
}

// takePack stores what follows the commands, checked as git-fsck(1) does.
func (p *push) takePack(ctx context.Context) (err error) {
	if p.quarantine, err = os.MkdirTemp(filepath.Dir(p.mirror.dir), "push-"); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(p.quarantine, "objects", "pack"), 0o700); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, refreshTime, fmt.Errorf("not done within %v", refreshTime))
	defer cancel()
	limit := min(p.rules.maxBytes(), maxRunBytes-p.door.taken.Load())
	if limit <= 0 {
		return fmt.Errorf("this bottle has pushed all that one may, %d bytes", int64(maxRunBytes))
	}
	pack := p.pack(limit + 64<<10) // git says in better words what is too large
	defer func() {
		p.packed = limit + 64<<10 - pack.left
		p.door.taken.Add(p.packed)
	}()
	defer pack.over()
	_, err = p.git(ctx, pack, "index-pack", "--stdin", "--fix-thin", "--strict", fmt.Sprintf("--max-input-size=%d", limit), "--threads=1")
	return err
}

// limited is a body that is bounded in bytes, and in the time between two of them.
type limited struct {
	r       io.Reader
	left    int64
	control *http.ResponseController
	stall   time.Duration
}

// Read reads, and is an error beyond the bound.
func (l *limited) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, errors.New("the pack is too large")
	}
	l.control.SetReadDeadline(time.Now().Add(l.stall))
	n, err := l.r.Read(b[:min(int64(len(b)), l.left)])
	l.left -= int64(n)
	return n, err
}

// pack is what follows the commands, at most limit bytes of it.
func (p *push) pack(limit int64) *limited {
	return &limited{r: p.in, left: limit, control: p.w.control, stall: p.w.stall}
}

// over says that nothing is waited for any more: a deadline that passes while a push
// is judged would end its connection.
func (l *limited) over() { l.control.SetReadDeadline(time.Time{}) }

// connected sees that everything is there that the new tips need, that they are
// commits, and that no commit is taken away.
func (p *push) connected(ctx context.Context) *refusal {
	ctx, cancel := context.WithTimeoutCause(ctx, localTime, fmt.Errorf("not done within %v", localTime))
	defer cancel()
	var tips strings.Builder
	for _, c := range p.commands {
		tips.WriteString(c.New + "\n")
	}
	if _, err := p.git(ctx, strings.NewReader(tips.String()), "rev-list", "--objects", "--quiet", "--stdin", "--not", "--all"); err != nil {
		return &refusal{RulePack, http.StatusOK, fmt.Sprintf("the pack lacks what it needs: %v", err)}
	}
	for _, c := range p.commands {
		kind, err := p.git(ctx, nil, "cat-file", "-t", c.New)
		if err != nil || strings.TrimSpace(string(kind)) != "commit" && strings.HasPrefix(c.Ref, "refs/heads/") {
			return &refusal{RulePack, http.StatusOK, fmt.Sprintf("%q would not lead to a commit", c.Ref)}
		}
		if c.creates() {
			continue
		}
		if _, err := p.git(ctx, nil, "merge-base", "--is-ancestor", c.Old, c.New); err != nil {
			return &refusal{RuleForce, http.StatusOK, fmt.Sprintf("%q would lose commits: it is not moved by force", c.Ref)}
		}
	}
	return nil
}

// judge has the push judged.
func (p *push) judge(ctx context.Context) *refusal {
	pushed := Pushed{Repository: p.mirror.name, Git: p.mirror.git, Dir: p.mirror.dir, Env: p.env(), HostWorkflows: p.rules.HostWorkflows, Bytes: p.packed}
	for _, c := range p.commands {
		pushed.New, pushed.Refs = append(pushed.New, c.New), append(pushed.Refs, c.Ref)
	}
	var err error
	if pushed.Base, err = p.mirror.head(ctx, p.known); err != nil {
		return &refusal{RuleNotJudged, http.StatusOK, fmt.Sprintf("reading the mirror: %v", err)}
	}
	for ref, id := range p.known {
		if !slices.Contains(p.mirror.also, ref) {
			pushed.Known = append(pushed.Known, id)
		}
	}
	slices.Sort(pushed.Known)
	pushed.Known = slices.Compact(pushed.Known)
	p.progress("bot-bottle: looking at what is pushed …\n")
	err = p.door.options.Judge(ctx, pushed)
	var refused *Refused
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return &refusal{refused.Rule, http.StatusOK, strings.Join(append([]string{refused.Message}, refused.Details...), "\n")}
	}
	return &refusal{RuleNotJudged, http.StatusOK, fmt.Sprintf("the push could not be judged: %v", err)}
}

// forward sends the quarantine's objects to the upstream, without force, and keeps
// them.
func (p *push) forward(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, forwardTime, fmt.Errorf("not done within %v", forwardTime))
	defer cancel()
	s, err := p.mirror.upstream.Dial(ctx, ReceivePack)
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := s.greet(); err != nil {
		return err
	}
	args := []string{"push", "--porcelain", "--no-verify", "--no-signed", "--no-follow-tags", "--no-recurse-submodules", "fd::3,4"}
	for _, c := range p.commands {
		args = append(args, c.New+":"+c.Ref)
	}
	if err := p.mirror.over(ctx, s, p.env(), args...); err != nil {
		return err
	}
	p.keep(ctx)
	return nil
}

// keep makes the quarantine part of the mirror, so that the next push need not bring
// it again. What fails of it is no matter: the next refresh brings it.
func (p *push) keep(ctx context.Context) {
	packs, _ := filepath.Glob(filepath.Join(p.quarantine, "objects", "pack", "pack-*"))        // the pattern is good
	slices.SortStableFunc(packs, func(a, b string) int { return indexLast(a) - indexLast(b) }) // with its index a pack counts
	for _, path := range packs {
		if os.Rename(path, filepath.Join(p.mirror.dir, "objects", "pack", filepath.Base(path))) != nil {
			return
		}
	}
	for _, c := range p.commands {
		p.mirror.git.run(ctx, p.mirror.dir, nil, nil, "update-ref", c.Ref, c.New)
	}
}

func indexLast(path string) int {
	if filepath.Ext(path) == ".idx" {
		return 1
	}
	return 0
}

// Bands of a response (gitprotocol-pack(5), side-band-64k).
const (
	bandReport   = 1
	bandProgress = 2
)

// progress tells the person behind the push something.
func (p *push) progress(text string) {
	if !p.has("side-band-64k") || p.has("quiet") {
		return
	}
	p.answerAs("application/x-git-receive-pack-result")
	p.w.Write(band(nil, bandProgress, text))
}

// maxDrained is how much is read of a push that is refused already.
const maxDrained = 64 << 20

// report answers the push: every ref was taken, or none was, and why.
func (p *push) report(f *refusal) {
	io.Copy(io.Discard, p.pack(maxDrained)) // a client that still sends reads no answer
	p.answerAs("application/x-git-receive-pack-result")
	var b []byte
	status := appendPacket(nil, "unpack ok\n")
	for _, c := range p.commands {
		line := "ok " + c.Ref + "\n"
		if f != nil {
			line = "ng " + c.Ref + " bot-bottle: " + f.rule + "\n"
		}
		status = appendPacket(status, line)
	}
	status = append(status, flushPacket...)
	if !p.has("side-band-64k") {
		p.w.Write(status)
		return
	}
	if f != nil {
		b = band(b, bandProgress, "bot-bottle: "+f.message+"\n")
	}
	b = band(b, bandReport, string(status))
	p.w.Write(append(b, flushPacket...))
}

// band adds text in one band, in pieces that fit.
func band(b []byte, number byte, text string) []byte {
	for piece := range slices.Chunk([]byte(text), maxPacket-5) {
		b = appendPacket(b, string(append([]byte{number}, piece...)))
	}
	return b
}
