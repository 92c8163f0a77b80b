package manifest

import (
	"fmt"
	"strings"

	"github.com/bot-bottle/action/internal/policy"
)

// KeyDoc describes one key of a file, for docs/reference/manifest.md.
type KeyDoc struct {
	Key     string // as messages write it; "[]" stands for an entry of a list, "NAME" for a name that the file chooses
	Type    string
	Default string // empty: the key is required where what holds it stands
	Meaning string
}

// BottleKeys lists the keys of a bottle file, AgentKeys those of an agent's.
func BottleKeys() []KeyDoc {
	return []KeyDoc{
		{"extends", "name", "none", "The bottle that this one builds on: one of the host's, or built in (" + strings.Join(BuiltIn(), ", ") + ")."},
		{"for", "mapping", "no job of a runner", "The jobs of a runner that the bottle serves. Without a runner it is not looked at."},
		{"for.repositories", "list of patterns", "", "`owner/name`; `*` stands for anything but a slash, `**` for anything. Letters of either case are equal."},
		{"for.events", "list of patterns", "every event", "Names of events, such as `issue_comment`."},
		{"for.refs", "list of patterns", "every ref", "Whole refs, such as `refs/heads/main`."},
		{"isolation", "`vm`, `gvisor` or `container`", "`gvisor`", "The weakest isolation that is acceptable."},
		{"image", "`host-tools`, text or mapping", "`host-tools`", "What the guest's file system is made of: the host's own programs, read-only, or one of the following. Text is an archive if it is an absolute path that ends in `.tar`, `.tar.gz` or `.tgz`, and a reference if it has a tag or a digest. [docs/backends.md](../backends.md#images) tells the rest."},
		{"image.rootfs", "absolute path", "none", "A folder of the host that holds a root file system."},
		{"image.archive", "absolute path", "none", "A file as `docker save` or an OCI tool writes it, with one image for this machine. It is unpacked once, as hostile input."},
		{"image.ref", "`NAME:TAG` or `NAME@sha256:DIGEST`", "none", "An image of a registry, Docker Hub's where the name has none. A tag that is left out is an error. It is pulled once; the report has its digest."},
		{"env", "mapping", "empty", "Variables of the guest."},
		{"env.NAME", "text", "", "`?PROMPT`: a secret that is asked for on the terminal. `${HOST_VAR}`: the value of that variable of the host, a secret. Anything else: itself. Secrets among them **enter the guest**: the agent can read them."},
		{"agent_provider", "mapping", "none", "The agent CLI that works in the bottle."},
		{"agent_provider.template", "`" + strings.Join(templates(), "`, `") + "`", "", "Which one; `command` is whatever the agent file or the command line says."},
		{"agent_provider.auth_token", "reference", "the provider's own", "Its credential. It stays on the host; the guest has a placeholder."},
		{"agent_provider.allow", "list", "empty", "What of the model's API is allowed beyond messages and tools that run in the guest: `mcp_servers`, `web_search`, `beta:NAME` and others, as the provider's page lists them."},
		{"egress", "mapping", "nothing", "What the guest reaches over HTTP. All else is refused."},
		{"egress.presets", "list", "empty", "Read-only routes of package registries: " + strings.Join(PresetNames(), ", ") + ". What a registry does with a name it doesn't know is a way out for a few bytes."},
		{"egress.routes", "list", "empty", "Routes. The first whose matches hold decides."},
		{"egress.routes[].host", "name, address or `*.`name", "", "`*.` stands for one or more labels."},
		{"egress.routes[].port", "1 to 65535", "`443`", ""},
		{"egress.routes[].matches", "list", "GET and HEAD, any path", "Alternatives, as in the Gateway API's HTTPRoute: one of them has to hold, with all that it says."},
		{"egress.routes[].matches[].path", "mapping", "every path", "Compared in canonical form, without the query."},
		{"egress.routes[].matches[].path.type", "`Exact`, `PathPrefix` or `RegularExpression`", "`PathPrefix`", "A prefix is of whole path elements; a regular expression is RE2 and has to match the whole path."},
		{"egress.routes[].matches[].path.value", "text", "", ""},
		{"egress.routes[].matches[].methods", "list", "every method", ""},
		{"egress.routes[].matches[].headers", "list", "none", "All of them have to match."},
		{"egress.routes[].matches[].headers[].type", "`Exact` or `RegularExpression`", "`Exact`", ""},
		{"egress.routes[].matches[].headers[].name", "text", "", ""},
		{"egress.routes[].matches[].headers[].value", "text", "", ""},
		{"egress.routes[].auth", "mapping", "none", "A credential that the door adds. The agent's own is dropped."},
		{"egress.routes[].auth.scheme", "text", "none", "`Bearer`, `Basic`, `token`; none: the credential alone."},
		{"egress.routes[].auth.header", "text", "`authorization`", ""},
		{"egress.routes[].auth.token_ref", "reference", "", "The credential. It stays on the host."},
		{"egress.routes[].credentials", "list", "empty", "The agent's own credentials that may pass: names of header fields, and `?NAME` for parameters of the query."},
		{"egress.routes[].addresses", "list", "empty", "Non-public addresses, or ranges of them, that the host may resolve to."},
		{"egress.routes[].connect_to", "`host:port`", "the host itself", "Where to connect instead; the name in TLS and in the request stays."},
		{"egress.routes[].dlp", "mapping", "everything is looked for", "What is looked for in what passes by the route. See docs/dlp.md."},
		{"egress.routes[].dlp.outbound_detectors", "list, or `false`", "the first two", "What is looked for in what leaves by the route: `known_secrets` (the run's own), `token_patterns` (gitleaks' rules), `entropy` (warns of what looks random in a body, and refuses nothing)."},
		{"egress.routes[].dlp.inbound_detectors", "list, or `false`", "`naive_injection_detection`; `false` to a model", "What is looked for in answers: `naive_injection_detection` (phrases that speak to an agent). One is told, several are withheld."},
		{"egress.routes[].dlp.outbound_on_match", "`supervise`, `redact` or `block`", "`supervise`; `redact` to a model", "What becomes of a request in which something is found: a person is asked (in this build: it is refused), it is made unreadable, it is refused."},
		{"egress.routes[].ca_file", "path", "the host's CAs", "Certificates of the CAs to trust for this route, in PEM; relative to the bottle."},
		{"git-gate", "mapping", "nothing", "What the guest does with git."},
		{"git-gate.user", "mapping", "none", "Who commits."},
		{"git-gate.user.name", "text", "none", ""},
		{"git-gate.user.email", "text", "none", ""},
		{"git-gate.repos", "mapping", "empty", "Remotes that the guest can reach, through the git-gate, under the URL that they have. One called `self` is the repository of a runner's job, whose URL nobody writes down: without the input `workspace` the guest's workspace is a clone of it, at the commit of the event and on the branch that it may push."},
		{"git-gate.repos.NAME.url", "SSH URL", "", "`ssh://user@host[:port]/path` or `user@host:path`. `self` has none."},
		{"git-gate.repos.NAME.key", "mapping", "", "The key that reaches it."},
		{"git-gate.repos.NAME.key.provider", "`static`, `gitea` or `github`", "", "A key of the host's, or a deploy key that the forge makes for each run and that goes with it. The forge is asked with the host's credential, `forges` in /etc/bot-bottle/config.yaml."},
		{"git-gate.repos.NAME.key.path", "absolute path", "none", "Of a static key."},
		{"git-gate.repos.NAME.key.server", "URL", "`https://` and the host of `url`", "The forge, as `forges` names it."},
		{"git-gate.repos.NAME.host_key", "`TYPE BASE64`", "", "Pins the server; `bot-bottle hostkey` prints it. Of `self` that of `forges` in the host's configuration, if it isn't here."},
		{"git-gate.repos.NAME.push", "list", "`[" + policy.DefaultPush + "]`", "Refs that may be made or moved forward, never by force: `refs/heads/NAME` or `refs/tags/NAME`, `{run}` for the run's id, `/*` at the end for all below. Empty: it can be read only."},
		{"git-gate.repos.NAME.protected", "list", "empty", "Patterns of paths that a push may change although a forge or the host would run or obey them: `.github`, `.gitea`, `.forgejo`, `action.yml`, `CODEOWNERS` and the like."},
		{"git-gate.repos.NAME.host_workflows", "list", "empty", "Workflow files, by their exact paths, that may run on the host what is pushed, outside of any bottle: `[.gitea/workflows/ci.yml]`. Without them a job that may push to a repository with such a workflow doesn't start (exit 3), and the push of a commit that has one is refused."},
		{"git-gate.repos.NAME.max_push", "size", "`1GiB`", "Of one push."},
		{"supervise", "`true` or `false`", "`false`", "The agent may ask a human. *`true` is read and merged; this build can't enforce it and refuses the bottle.*"},
		{"limits", "mapping", "as below", "There is no unlimited one."},
		{"limits.memory", "size", "`" + showSize(policy.DefaultMemoryBytes) + "`", "A whole number and a unit: KiB, MiB, GiB, TiB, kB, MB, GB, TB."},
		{"limits.cpus", "number", fmt.Sprintf("`%d`", policy.DefaultCPUs), "Whole processors."},
		{"limits.pids", "number", fmt.Sprintf("`%d`", policy.DefaultPIDs), "Processes and threads of the agent."},
		{"limits.disk", "size", "`" + showSize(policy.DefaultDiskBytes) + "`", ""},
		{"limits.timeout", "time", "`1h`", "Of the agent's work: `90s`, `30m`, `1h30m`."},
		{"limits.requests", "number", fmt.Sprintf("`%d`", policy.DefaultRequests), "Requests that the egress door passes on, in the whole job. Beyond it: status 429."},
		{"limits.egress_bytes", "size", "`" + showSize(policy.DefaultEgressBytes) + "`", "What the egress door sends upstream in the whole job, heads and bodies. A body is cut there."},
		{"limits.tokens", "number", fmt.Sprintf("`%d`", policy.DefaultTokens), "Tokens of all kinds that calls to the model's API take in the whole job, as the upstream counts them. A call that may take more than what is left: status 429."},
		{"limits.cost", "US dollars", "none", "What these calls cost in the whole job, by the operator's table of prices: `5.00`, with at most six decimals. A model without a price is refused then."},
		{"limits.best_effort", "`true` or `false`", "`false`", "Start even if this host can't hold one of the limits; otherwise that is an error."},
	}
}

// AgentKeys lists the keys of an agent file.
func AgentKeys() []KeyDoc {
	return []KeyDoc{
		{"name", "text", "the file's", "Has to be the file's."},
		{"description", "text", "none", "For people."},
		{"bottle", "name", "none", "The bottle it asks for. Without one, --bottle has to name one."},
		{"provider", "`" + strings.Join(templates(), "`, `") + "`", "the bottle's", "The only provider that the agent is for."},
		{"command", "list, or line for the shell", "none", "What runs in place of an agent CLI."},
		{"model", "text", "the provider's own", "--model wins."},
		{"skills", "list of names", "empty", "*This build can't enforce an agent's skills and refuses any.*"},
		{"git-gate", "mapping", "the bottle's", "An agent may set the user alone."},
		{"git-gate.user", "mapping", "the bottle's", "Each field that is set wins over the bottle's."},
		{"git-gate.user.name", "text", "the bottle's", ""},
		{"git-gate.user.email", "text", "the bottle's", ""},
		{"color", "text", "none", "Read for the sake of other tools, and not used."},
		{"memory", "text", "none", "Read for the sake of other tools, and not used."},
	}
}

// Reference gives docs/reference/manifest.md.
func Reference() string {
	var b strings.Builder
	b.WriteString(`# Bottles and agents

<!-- Made from internal/manifest/reference.go by: go test ./internal/manifest -run Reference -update -->

A bottle or an agent is a Markdown file, NAME.md, whose front matter between two lines
of three hyphens is YAML. Names are kebab-case. The rest of a bottle's file is notes; the
rest of an agent's is what the agent is told. Unknown and repeated keys, YAML's anchors,
aliases and tags, and values of another type are errors; ` + "`bot-bottle validate`" + ` lists all
of them.

## Where they come from

Bottles come from ` + "`~/.bot-bottle/bottles`, then `/etc/bot-bottle/bottles`" + `, or from the folder
of --bottles-dir. Under a runner they come from /etc/bot-bottle/bottles alone, or from the
folder that /etc/bot-bottle/config.yaml names (` + "`bottles_dir`" + `), and each has to serve the job (` + "`for`" + `). A bottle in a repository is never read.

Agents come from ` + "`~/.bot-bottle/agents`, `/etc/bot-bottle/agents`" + `, or the folder of --agents-dir,
and then from ` + "`.bot-bottle/agents`" + ` of the workspace as a commit of its base branch has it.
An agent grants nothing: the bottle says what it may do.

## The host's configuration

/etc/bot-bottle/config.yaml, which has to be root's, as its folder has, with nobody else able to write
it. No environment and no flag takes its place. ` + "`prices`" + ` may stand in prices.yaml beside it instead.

<!-- host -->
` + "```yaml" + `
bottles_dir: /srv/bottles            # where a runner's bottles come from; default: /etc/bot-bottle/bottles
forges:                              # credentials to ask a forge what a job's own token can't
  - url: https://gitea.example       # sent there alone
    token: credential:gitea          # or file:/absolute/path
    ssh: git@gitea.example:22        # how its repositories are reached; default: git@ and the host of url
    host_key: ssh-ed25519 AAAA…      # of that server, for ` + "`self`; `bot-bottle hostkey`" + ` prints it
docker:
  runtime: runsc-bottle              # the engine's name of it; default: the strongest that is registered
smolmachines:
  mode: socket                       # or allowlist, for smolvm 0.8.0 to 1.1.2
  strict_version: false              # true refuses releases newer than the newest that was read
  sha256: {}                         # of smolvm and of its libraries, by the file's name
prices:                              # what a model's tokens cost, in place of the built-in table; see docs/budgets.md
  - model: claude-opus-4-5*          # the first that fits counts; US dollars for a million tokens
    input: 5.00
    output: 25.00
    cache_write: 10.00               # default: input
    cache_read: 0.50                 # default: input
` + "```" + `

## References

A secret is never written into a file but referred to: ` + "`env:NAME`" + ` (a variable of
bot-bottle's environment), ` + "`file:/absolute/path`, or `credential:NAME`" + ` (systemd's LoadCredential).

## Merging

A bottle is laid over the one that it extends, and bottles that are named at launch are
laid over each other in their order, by the same rules: of ` + "`env`, `limits` and `git-gate.user`" + `
each name on its own, the later wins; every other key is replaced whole by a bottle that has
it, so that an empty list clears, and kept by one that hasn't. Of bottles that are named at
launch every one has to serve the job.

## Keys of a bottle

`)
	table(&b, BottleKeys())
	b.WriteString("\n## Keys of an agent\n\n")
	table(&b, AgentKeys())
	return b.String()
}

func table(b *strings.Builder, keys []KeyDoc) {
	b.WriteString("| key | type | default | meaning |\n|---|---|---|---|\n")
	for _, k := range keys {
		otherwise := k.Default
		if otherwise == "" {
			otherwise = "*required*"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", k.Key, k.Type, otherwise, k.Meaning)
	}
}
