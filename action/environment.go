package action

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/term"
)

// Environment is what the runner tells of the job
// (docs.github.com, "Variables reference"; Gitea's runner sets the same ones).
type Environment struct {
	EventName, EventPath string
	Repository           string // "owner/name"
	Ref                  string // full
	SHA                  string
	ServerURL, APIURL    string
	TriggeringActor      string // who started this attempt; empty where the forge has no such variable
	Attempt              int    // from 1
	Workspace            string // absolute
	Gitea                bool   // or Forgejo
	Workflow, Job        string // names, which the workflow's author chose
	Runner               string // the runner's name; may be empty
	RunURL               string // of the job's log, for a browser; empty: not told
}

// ReadEnvironment reads it and refuses what is not there.
func ReadEnvironment(getenv func(string) string) (Environment, error) {
	e := Environment{
		EventName: getenv("GITHUB_EVENT_NAME"), EventPath: getenv("GITHUB_EVENT_PATH"),
		Repository: getenv("GITHUB_REPOSITORY"), Ref: getenv("GITHUB_REF"), SHA: getenv("GITHUB_SHA"),
		ServerURL: strings.TrimSuffix(getenv("GITHUB_SERVER_URL"), "/"), APIURL: getenv("GITHUB_API_URL"),
		TriggeringActor: getenv("GITHUB_TRIGGERING_ACTOR"),
		Workspace:       getenv("GITHUB_WORKSPACE"),
		Gitea:           getenv("GITEA_ACTIONS") == "true" || getenv("FORGEJO_ACTIONS") == "true",
		Workflow:        getenv("GITHUB_WORKFLOW"), Job: getenv("GITHUB_JOB"), Runner: getenv("RUNNER_NAME"),
		Attempt: 1,
	}
	e.RunURL = runURL(e, getenv)
	if getenv("GITHUB_ACTIONS") != "true" {
		return e, term.Errorf(term.StageUsage, "GITHUB_ACTIONS", "reading the runner's environment: no runner of GitHub, Gitea or Forgejo started this").
			WithHint("this verb is for action.yml; a person uses bot-bottle run")
	}
	if _, _, err := forge.SplitRepository(e.Repository); err != nil {
		return e, err
	}
	if attempt := getenv("GITHUB_RUN_ATTEMPT"); attempt != "" {
		n, err := strconv.Atoi(attempt)
		if err != nil || n < 1 {
			return e, term.Errorf(term.StageUsage, "GITHUB_RUN_ATTEMPT", "reading the runner's environment: %q is no attempt", term.Shorten(attempt, 20))
		}
		e.Attempt = n
	}
	return e, nil
}

// runForm is that of a run's number.
var runForm = regexp.MustCompile(`^[0-9]{1,20}$`)

// runURL is the page of the run: by its id, and on Forgejo by its number in the
// repository (routers/web/web.go of each).
func runURL(e Environment, getenv func(string) string) string {
	run := getenv("GITHUB_RUN_ID")
	if getenv("FORGEJO_ACTIONS") == "true" {
		run = getenv("GITHUB_RUN_NUMBER")
	}
	if e.ServerURL == "" || !runForm.MatchString(run) {
		return ""
	}
	return e.ServerURL + "/" + e.Repository + "/actions/runs/" + run
}
