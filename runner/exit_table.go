package runner

// ExitMeaning explains one exit code to a person.
type ExitMeaning struct {
	Code    ExitCode
	Meaning string
}

// ExitMeanings gives every exit code in the order in which they count: where a
// job has several, the first does. docs/reference/exit-codes.md is made from it.
func ExitMeanings() []ExitMeaning {
	words := map[ExitCode]string{
		ExitUsage:       "wrong usage, input or manifest; or whoever caused the job may not",
		ExitPreflight:   "this host can't, or it would run what the agent pushes, outside of the bottle",
		ExitUnproven:    "confinement could not be proven; no agent code ran",
		ExitEscape:      "an attack of the suite succeeded, or a required case did not run",
		ExitTimeLimit:   "the time limit was reached; everything is settled",
		ExitInterrupted: "interrupted; everything is settled",
		ExitTerminated:  "terminated, or whoever started the job is gone; everything is settled",
		ExitBroken:      "the bottle or a door broke in mid-run",
		ExitAgent:       "the agent ended with an error, or its changes were refused",
		ExitSettle:      "done, but something could not be undone; `bot-bottle reap` tries again",
		ExitPost:        "done, but the results could not be posted",
		ExitOK:          "the agent finished and everything asked for passed",
	}
	var all []ExitMeaning
	for _, code := range append(append([]ExitCode(nil), precedence...), ExitOK) {
		all = append(all, ExitMeaning{code, words[code]})
	}
	return all
}
