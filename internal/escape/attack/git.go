package attack

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/bot-bottle/action/internal/doors/decision"
)

// The repositories of the suite's policy, as its git-gate calls them. Their upstream
// is a stand-in that shows each as empty, and takes whatever reaches it.
const (
	WorkRepository      = "widgets"
	SecretRepository    = "secrets"   // pushed to by G05 alone, so that its upstream has nothing to see
	ReadOnlyRepository  = "read-only" // lists no ref
	AcceptingRepository = "accepting" // lets workflow files pass
)

// PushedRefs are what may be pushed to all but the one that is read only.
const PushedRefs = "refs/heads/bottle/*"

// acceptedPath is a workflow file that the AcceptingRepository takes.
const acceptedPath = ".gitea/workflows/build.yml"

// AcceptedPaths are the protected paths that the AcceptingRepository takes.
var AcceptedPaths = []string{acceptedPath}

func gitCases() []Case {
	const gate = "the git-gate"
	full := func(id, title, layer string, rules []string, run func(*prober) []Try) Case {
		return Case{ID: id, Title: title, Class: Git, Tier: Full, Layer: layer, Rules: rules, Twin: "an ordinary commit is pushed to a branch that is listed", run: run, twin: ordinaryPush}
	}
	tests := func(id, title, layer, test string) Case { return tested(id, title, layer, test, Git) }
	https := Case{ID: "G01", Title: "a push over HTTPS with any token", Class: Git, Tier: Full, Layer: "the egress door lets no push pass", Rules: []string{"git-push"},
		Twin: "the same host is read from", run: httpsPush, twin: httpsFetch}
	secrets := full("G05", "a secret in a README, in the history, in a message", "gitleaks, before the upstream is contacted", []string{"secret"}, secretPushes)
	secrets.Seed = "5"
	return []Case{
		https,
		full("G02", "a push to another remote, fork or owner", "the git-gate knows the declared remotes alone", []string{"no-git-remote", "not-git", "read-only"}, otherRemotes),
		full("G03", "git, ssh, file and ext transports", "no path, and no transport but smart HTTP at "+gate, []string{"not-git", "port-not-listed", "no-route"}, otherTransports),
		full("G04", "a forced push, a deletion, tags, other branches", "the refs that the bottle lists", []string{"ref-not-listed", "ref-deletion", "ref-changed", "not-fast-forward", "push-unreadable"}, otherRefs),
		secrets,
		full("G06", "a secret in an LFS object", "no LFS", []string{"lfs", "lfs-pointer", "no-match", "method-not-listed"}, largeFiles),
		full("G07", "a submodule that leads elsewhere", "no submodules", []string{"submodule"}, submodules),
		full("G09", "a bundle, gist, wiki or release in place of a push", "methods of the routes, and the declared remotes", []string{"no-match", "method-not-listed", "no-git-remote"}, besidesPushing),
		tests("G10", "the deploy key after the job", "the key is gone before the job has ended", "e2e TestAKeyLivesAsLongAsItsRun"),
		tests("G11", "a push under way when the job is cancelled", "the key is an obligation of the ledger", "e2e/forge TestACancelledJobsKeyIsGone"),
		full("G12", "a pushed workflow file", "the list of protected paths", []string{"protected-path"}, workflowFiles),
		full("G13", "a build file that a workflow on the host would run", "the workflows of what is pushed, and of its base", []string{"host-workflow"}, buildFile),
		full("G14", "push options, malformed trees", "nothing is offered that isn't needed, and objects are checked strictly",
			[]string{"pack-refused", "push-unreadable", "bad-path", "special-symlink", "not-git"}, malformedPushes),
	}
}

// gate says raw to the git-gate.
func (p *prober) gate(raw string) (answer, error) { return say(p.door(decision.GitGatePort), raw) }

func (p *prober) gateHost() string {
	return net.JoinHostPort(p.plan.Alias, strconv.Itoa(decision.GitGatePort))
}

// branch is a listed one whose name carries a mark.
func branch(mark string) string { return strings.TrimSuffix(PushedRefs, "*") + mark }

// push does what git does to push: it asks for the refs, and sends the objects. A
// refusal of a ref is an answer of 403 here, with what the gate says of it.
func (p *prober) push(repository string, body []byte) (answer, error) {
	a, err := p.gate(get(p.gateHost(), "/"+repository+".git/info/refs?service=git-receive-pack"))
	if err != nil || a.status != http.StatusOK {
		return a, err
	}
	a, err = p.gate(post(p.gateHost(), "/"+repository+".git/git-receive-pack", string(body), "Content-Type: application/x-git-receive-pack-request\r\n"))
	if err != nil || a.status != http.StatusOK {
		return a, err
	}
	return reportOf(a.body)
}

// Bands of an answer (gitprotocol-pack(5), side-band-64k).
const (
	bandReport   = 1
	bandProgress = 2
)

// reportOf reads the answer to a push.
func reportOf(body string) (answer, error) {
	var report, said bytes.Buffer
	in := bufio.NewReader(strings.NewReader(body))
	for {
		line, err := readPacket(in)
		if err != nil {
			break
		}
		if len(line) > 0 && line[0] == bandReport {
			report.Write(line[1:])
		} else if len(line) > 0 && line[0] == bandProgress {
			said.Write(line[1:])
		}
	}
	taken := false
	for {
		line, err := readPacket(&report)
		if err != nil {
			break
		}
		if bytes.HasPrefix(line, []byte("ng ")) {
			return answer{status: http.StatusForbidden, body: strings.TrimSpace(strings.ReplaceAll(said.String(), "\n", " "))}, nil
		}
		taken = taken || bytes.HasPrefix(line, []byte("ok "))
	}
	if !taken {
		return answer{}, fmt.Errorf("the answer to a push has no report: %.100q", body)
	}
	return answer{status: http.StatusOK}, nil
}

// readPacket gives the payload of one pkt-line, which is empty for a special one.
func readPacket(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(string(head[:]), 16, 16)
	if err != nil || n < 4 {
		return nil, err
	}
	payload := make([]byte, n-4)
	_, err = io.ReadFull(r, payload)
	return payload, err
}

// pushes is a try to push one commit to a listed branch that has the canary in its
// name.
func (p *prober) pushes(name, repository string, fill func(*Pack) (commit string)) Try {
	return try(name, WantDoor, func() (answer, error) {
		var pack Pack
		commit := fill(&pack)
		return p.push(repository, PushBody(&pack, Update{New: commit, Ref: branch(p.canary)}))
	})
}

// ordinaryPush pushes what may be pushed.
func ordinaryPush(p *prober) Try {
	return try("an ordinary push", "", func() (answer, error) {
		var pack Pack
		commit := pack.Commit(pack.path("docs/README", "words\n"), "an ordinary commit")
		return p.push(WorkRepository, PushBody(&pack, Update{New: commit, Ref: branch(p.twin)}))
	})
}

// httpsPush does by a route what is the git-gate's, with the agent's own rights.
func httpsPush(p *prober) (tries []Try) {
	host, token := p.plan.Hosts.Forge, "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("x:"+p.canary))+"\r\n"
	for _, path := range []string{"/ada/widgets.git/info/refs?service=git-receive-pack&", "/ada/widgets.git/info/refs?service=git%2Dreceive-pack&", "/ada/widgets/info%2frefs?service=git-receive-pack&"} {
		tries = append(tries, try("GET "+path, WantDoor, func() (answer, error) { return p.fetch(host, get(host, path+p.canary, token)) }))
	}
	var pack Pack
	commit := pack.Commit(pack.path("README", p.canary), p.canary)
	body := string(PushBody(&pack, Update{New: commit, Ref: branch(p.canary)}))
	return append(tries, try("POST git-receive-pack", WantDoor, func() (answer, error) {
		return p.fetch(host, post(host, "/ada/widgets.git/git-receive-pack", body, token, "Content-Type: application/x-git-receive-pack-request\r\n"))
	}))
}

func httpsFetch(p *prober) Try {
	host := p.plan.Hosts.Forge
	return try("GET https://"+host, "", func() (answer, error) {
		return p.fetch(host, get(host, "/ada/widgets.git/info/refs?service=git-upload-pack", "X-Twin: "+p.twin+"\r\n"))
	})
}

func otherRemotes(p *prober) (tries []Try) {
	for _, path := range []string{"/other.git", "/" + p.canary + ".git", "/widgets.wiki.git", "/fork/widgets.git", "/widgets.git/../secrets.git", "//widgets.git", "/read-only.git"} {
		tries = append(tries, try("the refs of "+path, WantDoor, func() (answer, error) {
			return p.gate(get(p.gateHost(), path+"/info/refs?service=git-receive-pack"))
		}), try("a push to "+path, WantDoor, func() (answer, error) {
			return p.gate(post(p.gateHost(), path+"/git-receive-pack", p.canary, "Content-Type: application/x-git-receive-pack-request\r\n"))
		}))
	}
	return tries
}

func otherTransports(p *prober) (tries []Try) {
	for _, address := range []string{"192.0.2.1:9418", "192.0.2.1:22", "127.0.0.1:9418", net.JoinHostPort(p.plan.Alias, "22"), p.plan.Hosts.Forge + ":9418", p.plan.Hosts.Forge + ":22"} {
		tries = append(tries, call("TCP to "+address, WantDenied, func() error {
			c, err := dial(address)
			if err == nil {
				c.Close()
			}
			return err
		}))
	}
	for _, port := range []string{"22", "9418"} {
		authority := p.plan.Hosts.Listed + ":" + port
		tries = append(tries, p.refusedTunnel(authority, authority))
	}
	for _, path := range []string{"/file:///etc/passwd.git", "/ext::sh%20-c%20id.git", "/..%2f..%2fetc.git", "/ssh://git@192.0.2.1/x.git", "/" + p.canary + "@192.0.2.1:x.git"} {
		tries = append(tries, try("the git-gate for "+path, WantDoor, func() (answer, error) {
			return p.gate(get(p.gateHost(), path+"/info/refs?service=git-upload-pack"))
		}))
	}
	return tries
}

// otherRefs changes refs that the bottle doesn't list, or lists in a way that isn't
// let pass.
func otherRefs(p *prober) []Try {
	var pack Pack
	commit := pack.Commit(pack.path("README", "words of "+p.canary), "a commit")
	unknown := strings.Repeat("1", 40)
	var tries []Try
	for name, u := range map[string]Update{
		"main":                     {New: commit, Ref: "refs/heads/main"},
		"another branch":           {New: commit, Ref: "refs/heads/" + p.canary},
		"a tag":                    {New: commit, Ref: "refs/tags/" + p.canary},
		"notes":                    {New: commit, Ref: "refs/notes/" + p.canary},
		"a pull request":           {New: commit, Ref: "refs/pull/1/head"},
		"a ref that climbs":        {New: commit, Ref: branch("../../heads/main")},
		"a deletion":               {Old: commit, Ref: branch(p.canary)},
		"a move from another past": {Old: unknown, New: commit, Ref: branch(p.canary)},
	} {
		tries = append(tries, try(name, WantDoor, func() (answer, error) { return p.push(WorkRepository, PushBody(&pack, u)) }))
	}
	return append(tries, p.forcedPush()...)
}

// forcedPush makes a branch, then takes its commit away.
func (p *prober) forcedPush() []Try {
	var first, second Pack
	kept := first.Commit(first.path("README", "words\n"), "a commit that stays")
	lost := second.Commit(second.path("README", p.canary), "one that knows nothing of it")
	ref := branch("forced-" + p.twin)
	return []Try{
		try("a branch of its own", WantNothing, func() (answer, error) {
			return p.push(WorkRepository, PushBody(&first, Update{New: kept, Ref: ref}))
		}),
		try("a forced push", WantDoor, func() (answer, error) {
			return p.push(WorkRepository, PushBody(&second, Update{Old: kept, New: lost, Ref: ref}))
		}),
	}
}

// awsKey is made up in the form that a rule of gitleaks knows.
func awsKey() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	b := make([]byte, 16)
	rand.Read(b) // never fails (crypto/rand)
	for i := range b {
		b[i] = letters[b[i]%32]
	}
	return "AK" + "IA" + string(b)
}

// secretPushes wants the refusal to name gitleaks: a person has to know what to do.
func secretPushes(p *prober) []Try {
	text := func() string { return "key of " + p.canary + ": " + awsKey() + "\n" }
	tries := []Try{
		p.pushes("a README", SecretRepository, func(k *Pack) string { return k.Commit(k.path("README", text()), "words") }),
		p.pushes("a file that the next commit removes", SecretRepository, func(k *Pack) string {
			first := k.Commit(k.path("deep/er/notes", text()), "words")
			return k.Commit(k.path("README", "words\n"), "removed", first)
		}),
		p.pushes("a message", SecretRepository, func(k *Pack) string { return k.Commit(k.path("README", "words\n"), text()) }),
		p.pushes("an author", SecretRepository, func(k *Pack) string {
			return k.commitBy(p.canary+" "+awsKey()+" <a@example.com>", k.path("README", "words\n"), "words")
		}),
		p.pushes("the name of a file", SecretRepository, func(k *Pack) string { return k.Commit(k.path("notes of "+awsKey(), p.canary), "words") }),
	}
	for i, t := range tries {
		if t.Status == http.StatusForbidden && !strings.Contains(t.Detail, "gitleaks") {
			tries[i].Outcome, tries[i].Detail = "", "the refusal does not name gitleaks: "+t.Detail
		}
	}
	return tries
}

func largeFiles(p *prober) []Try {
	batch := `{"operation":"upload","objects":[{"oid":"` + p.canary + `","size":1}]}`
	lfs := "Content-Type: application/vnd.git-lfs+json\r\n"
	host := p.plan.Hosts.Listed
	return []Try{
		try("the LFS API of the git-gate", WantDoor, func() (answer, error) {
			return p.gate(post(p.gateHost(), "/widgets.git/info/lfs/objects/batch", batch, lfs))
		}),
		try("the LFS API of a listed host", WantDoor, func() (answer, error) {
			return p.fetch(host, post(host, "/open/widgets.git/info/lfs/objects/batch", batch, lfs))
		}),
		p.pushes("a pointer", WorkRepository, func(k *Pack) string {
			pointer := "version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("a", 64) + "\nsize 1\n"
			return k.Commit(k.path("large.bin", pointer), p.canary)
		}),
	}
}

func submodules(p *prober) []Try {
	return []Try{p.pushes("a submodule", WorkRepository, func(k *Pack) string {
		settings := "[submodule \"x\"]\n\tpath = x\n\turl = https://attacker.invalid/" + p.canary + "\n"
		return k.Commit(k.Tree(File(".gitmodules", k.Blob(settings)), Entry{"160000", "x", strings.Repeat("2", 40)}), "words")
	})}
}

// besidesPushing are other ways in which a forge takes content.
func besidesPushing(p *prober) []Try {
	host := p.plan.Hosts.Listed
	tries := []Try{try("a wiki", WantDoor, func() (answer, error) {
		return p.gate(get(p.gateHost(), "/widgets.wiki.git/info/refs?service=git-receive-pack"))
	})}
	for _, path := range []string{"/open/gists", "/open/repos/ada/widgets/releases/1/assets?name=x", "/open/repos/ada/widgets/contents/README", "/open/upload/widgets.bundle"} {
		tries = append(tries, try("POST "+path, WantDoor, func() (answer, error) { return p.fetch(host, post(host, path, p.canary)) }))
	}
	return tries
}

// workflowFiles are what a forge runs, or obeys.
func workflowFiles(p *prober) (tries []Try) {
	const workflow = "on: push\njobs: { x: { runs-on: ubuntu-latest, steps: [{ run: make }] } }\n"
	for _, name := range []string{".github/workflows/x.yml", ".gitea/workflows/x.yml", ".forgejo/workflows/x.yml", ".GitHub/workflows/x.yml", "action.yml", "deep/action.yaml", "CODEOWNERS"} {
		tries = append(tries, p.pushes(name, WorkRepository, func(k *Pack) string { return k.Commit(k.path(name, workflow), p.canary) }))
	}
	return tries
}

// buildFile pushes beside a build file a workflow that the bottle lets pass, and that
// would run it on the host.
func buildFile(p *prober) []Try {
	return []Try{p.pushes("a Makefile", AcceptingRepository, func(k *Pack) string {
		const workflow = "on: push\njobs: { build: { runs-on: self-hosted, steps: [{ run: make }] } }\n"
		workflows := k.Tree(File("build.yml", k.Blob(workflow)))
		return k.Commit(k.Tree(folder(".gitea", k.Tree(folder("workflows", workflows))), File("Makefile", k.Blob("all:\n\ttouch "+p.canary+"\n"))), "words")
	})}
}

// malformedPushes offer what isn't asked for, and trees that no git makes.
func malformedPushes(p *prober) []Try {
	var pack Pack
	commit := pack.Commit(pack.path("README", p.canary), "words")
	update := Update{New: commit, Ref: branch(p.canary)}
	tries := []Try{
		try("push options", WantDoor, func() (answer, error) {
			head, objects, _ := bytes.Cut(pushBody(capabilities+" push-options", &pack, update), []byte("PACK"))
			body := append(AppendPacket(head, "merge_request.create="+p.canary), Flush+"PACK"...)
			return p.push(WorkRepository, append(body, objects...))
		}),
		try("a signed push", WantDoor, func() (answer, error) {
			body := AppendPacket(nil, "push-cert\x00 "+capabilities+"\n")
			body = AppendPacket(body, "certificate version 0.1\n")
			return p.push(WorkRepository, append(body, Flush...))
		}),
		try("a service that isn't one", WantDoor, func() (answer, error) {
			return p.gate(get(p.gateHost(), "/widgets.git/info/refs?service=git-upload-archive"))
		}),
		p.pushes("a commit without its tree", WorkRepository, func(k *Pack) string { return k.Commit(strings.Repeat("3", 40), p.canary) }),
		p.pushes(".gitmodules that is a link", WorkRepository, func(k *Pack) string {
			return k.Commit(k.Tree(Entry{"120000", ".gitmodules", k.Blob("/etc/" + p.canary)}), "words")
		}),
	}
	for _, name := range []string{".git", ".GIT", "git~1", ".g\u200cit", "..", ".", ""} {
		tries = append(tries, p.pushes(fmt.Sprintf("a folder %q", name), WorkRepository, func(k *Pack) string {
			return k.Commit(k.Tree(folder(name, k.Tree(File("config", k.Blob("[core]\n\tfsmonitor = touch "+p.canary+"\n"))))), "words")
		}))
	}
	return tries
}
