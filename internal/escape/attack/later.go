package attack

import (
	"os"
	"strings"
)

func pending(id, title, seed, waits string, class Class, layer string) Case {
	return Case{ID: id, Title: title, Class: class, Seed: seed, Tier: Pending, Waits: waits, Layer: layer}
}

const waitsApprove = "supervise"

func runnerCases() []Case {
	p := func(id, title, waits, layer string) Case { return pending(id, title, "", waits, Runner, layer) }
	tests := func(id, title, layer, test string) Case { return tested(id, title, layer, test, Runner) }
	return []Case{
		after("R01", "workflow commands and escapes in the agent's output", "the neutraliser", Runner),
		{ID: "R02", Title: "the runner's files of commands", Class: Runner, Tier: Quick, Layer: "the guest's environment is made anew",
			Twin: "the guest's own variables are there", run: variables(runnerFiles), twin: ownVariables},
		tests("R03", "an output's value that adds another", "random delimiters", "action TestOutputsCantBeForged"),
		{ID: "R04", Title: "the runner's and the forge's tokens, and the runner's own credentials", Class: Runner, Tier: Quick, Layer: "the guest's environment is made anew",
			Twin: "the guest's own variables are there", run: runnerTokens, twin: ownVariables},
		tests("R05", "Markdown, mentions and a faked verdict in what is posted", "the escaping of reports", "internal/report TestInMarkdownOnlyOurWordsAreMoreThanText"),
		tests("R06", "what the agent leaves for a later job to run", "changes leave by their digest, and a person applies them", "e2e TestChangesApplyOnce"),
		tests("R08", "a trigger by somebody without the right to write", "the judge of triggers", "action TestWhatStartsNoJob"),
		tests("R09", "a policy in the repository that widens", "bottles come from the host alone", "runner TestBottlesOfARepositoryAreIgnoredWithAWarning"),
		tests("R10", "the job killed at any step", "the ledger", "e2e TestKilledAnywhereReapLeavesNothing"),
		tests("R11", "two jobs at once", "an alias, folders and doors for each", "e2e TestBottlesAtOnceDontMeet"),
		p("R12", "forged, reused and late approvals", waitsApprove, "supervise"),
		tests("R13", "a secret in the log, the patch, an output, a refused URL", "what others read is scanned, and refused strings stay on the host", "action TestWhatHoldsASecretIsNotPosted"),
		tests("R14", "a guest that lies on the control channel, and forged results of the probe", "the proof is judged on the host", "internal/guest/probe FuzzJudgeNeverHoldsOnForeignResults"),
		tests("R15", "another process of the host connecting to a door", "the user of each connection is looked at", "internal/doors TestOnlyListedUsersMayConnect"),
	}
}

func tested(id, title, layer, test string, class Class) Case {
	return Case{ID: id, Title: title, Class: class, Tier: Tests, Layer: layer, Test: test}
}

// Variables by which a runner takes commands, and by which it gives rights.
var (
	runnerFiles  = []string{"GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY", "RUNNER_TEMP", "RUNNER_TOOL_CACHE"}
	runnerRights = []string{
		"GITHUB_TOKEN", "GITEA_TOKEN", "FORGEJO_TOKEN", "ACTIONS_RUNTIME_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
		"ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_CACHE_URL",
	}
)

func variables(names []string) func(*prober) []Try {
	return func(*prober) (tries []Try) {
		for _, name := range names {
			tries = append(tries, call("the variable "+name, WantDenied, func() error { return inEnvironments(name) }))
		}
		return tries
	}
}

func runnerTokens(p *prober) []Try {
	tries := variables(runnerRights)(p)
	for _, path := range []string{"/github", "/home/runner", "/opt/hostedtoolcache", "/var/lib/gitea-runner", "/.runner"} {
		tries = append(tries, call("the path "+path, WantDenied, func() error { _, err := os.Stat(path); return err }))
	}
	return tries
}

func ownVariables(*prober) Try {
	return call("HTTPS_PROXY", "", func() error {
		if !strings.HasPrefix(os.Getenv("HTTPS_PROXY"), "http://127.") {
			return errNothing
		}
		return nil
	})
}
