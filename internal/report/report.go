// Package report holds the one type that tells what a job did, and its
// renderings: report.json for programs, report.md for a forge or a browser, a
// table for a terminal.
//
// What it promises: the verdict, the numbers and the words around them are ours;
// what a guest chose (file names, its exit) stands apart, made harmless for
// terminals, runners and Markdown, and can't pass for ours. Of requests that a
// door refused a report has counts, rules and listed routes, never what was
// asked for: that could carry a secret out of the host.
//
// What it does not promise: that the names of changed files hold no secret. They
// have to pass the scanner before a report leaves the host.
package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io/fs"
	"time"
)

// Schema is the version of the JSON form. It grows when a field changes its
// meaning or goes; new fields alone don't change it.
const Schema = 1

// Report is what a job did. Durations are nanoseconds in JSON, times are UTC.
type Report struct {
	Schema     int         `json:"schema"` // set when written
	Run        Run         `json:"run"`
	Versions   Versions    `json:"versions"`
	Started    time.Time   `json:"started"`
	Finished   time.Time   `json:"finished"`
	Bottle     string      `json:"bottle"`
	Backend    string      `json:"backend"`
	Isolation  string      `json:"isolation"`       // what the backend gave: "vm", "gvisor" or "container"
	Image      *Image      `json:"image,omitempty"` // nil: the host's tools, or a folder
	Outcome    Outcome     `json:"outcome"`
	Stages     []Stage     `json:"stages"`
	Proof      *Proof      `json:"proof,omitempty"` // nil: the job never came to it
	Doors      Doors       `json:"doors"`
	Usage      *Usage      `json:"usage,omitempty"`   // nil: no model was called
	Pushes     []Push      `json:"pushes,omitempty"`  // in the order in which the upstreams took them
	Agent      *Agent      `json:"agent,omitempty"`   // nil: no agent code ran
	Changes    *Changes    `json:"changes,omitempty"` // nil: there was no workspace, or it was not collected
	Limits     []Limit     `json:"limits,omitempty"`
	Sidecar    []Hardening `json:"sidecar,omitempty"`
	Remainders []Remainder `json:"remainders,omitempty"`
	Notes      []string    `json:"notes,omitempty"` // of ours, each a sentence

	// Dir is the folder the report is in. It isn't part of the JSON form, which
	// may be read in another place.
	Dir string `json:"-"`
}

// Run names the job.
type Run struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Host string `json:"host"` // random id of the host, from the ledger
}

// Image is what the guest's root was unpacked from.
type Image struct {
	Source   string `json:"source"`             // path of the archive, or the reference
	Manifest string `json:"manifest,omitempty"` // digest by which the registry has it
	Config   string `json:"config"`             // digest of the configuration, which names the layers by their content
}

// digest is the one by which others can get the same image.
func (i Image) digest() string { return cmp.Or(i.Manifest, i.Config) }

// Versions says what ran the job.
type Versions struct {
	BotBottle string `json:"bot_bottle"`
	Backend   string `json:"backend,omitempty"` // of runsc, smolvm and so on
	Kernel    string `json:"kernel,omitempty"`  // of the host
}

// Outcome is how the job ended.
type Outcome struct {
	Verdict  Verdict  `json:"verdict"`
	ExitCode int      `json:"exit_code"`        // of bot-bottle; see the table of exit codes
	Stage    string   `json:"stage,omitempty"`  // in which it failed
	Reason   string   `json:"reason,omitempty"` // why, as one line
	Hints    []string `json:"hints,omitempty"`  // what to do next
}

// Verdict sums an outcome up.
type Verdict string

// The verdicts. Each follows from the exit code; see VerdictOf.
const (
	Passed     Verdict = "passed"     // the agent finished and everything asked for passed
	Failed     Verdict = "failed"     // the agent or what it made failed; confinement held
	Refused    Verdict = "refused"    // wrong input, or this host can't; nothing was started
	Unproven   Verdict = "unproven"   // confinement could not be proven; no agent code ran
	Escaped    Verdict = "escaped"    // an attack succeeded
	Broken     Verdict = "broken"     // the bottle or a door broke in mid-run
	Stopped    Verdict = "stopped"    // by time limit or signal
	Incomplete Verdict = "incomplete" // done, but posting or cleaning up was not
)

// VerdictOf gives the verdict that belongs to an exit code of bot-bottle.
func VerdictOf(exitCode int) Verdict {
	verdict, ok := map[int]Verdict{
		0: Passed, 1: Failed, 2: Refused, 3: Refused, 4: Unproven, 5: Escaped, 6: Incomplete, 7: Incomplete,
		8: Broken, 124: Stopped, 130: Stopped, 143: Stopped,
	}[exitCode]
	if !ok {
		return Broken
	}
	return verdict
}

// Stage is one part of the job and how long it took.
type Stage struct {
	Name     string        `json:"name"`
	Duration time.Duration `json:"duration_ns"`
}

// Proof is what was shown, inside the fresh guest, before any agent code ran.
type Proof struct {
	Held       bool          `json:"held"`
	Reason     string        `json:"reason,omitempty"` // why it didn't hold
	Duration   time.Duration `json:"duration_ns"`
	Users      []string      `json:"users"`            // as whom the tries were made
	Doors      []string      `json:"doors"`            // which saw this boot's nonce
	Tries      int           `json:"tries"`            // ways out that were tried, by all users together
	Refused    int           `json:"refused"`          // of these, how many failed fast with an error of the backend's table
	Silent     int           `json:"silent,omitempty"` // and how many were on channels declared silent
	Collectors int           `json:"collectors"`       // listeners and files on the host, shown alive just before
	Hits       int           `json:"hits"`             // what arrived at them from the guest
	Absent     []string      `json:"absent,omitempty"` // collectors this host can't have, such as IPv6
	// Evidence has each try by itself, as the judge gives it, and Given what the
	// running machine was read to have.
	Evidence json.RawMessage `json:"evidence,omitempty"`
	Given    json.RawMessage `json:"given,omitempty"`
}

// Push is a ref that an upstream of the git-gate took from the agent. Its name is one
// that the bottle lists.
type Push struct {
	Repository string `json:"repository"` // as the bottle calls it
	Ref        string `json:"ref"`        // full name
	Commit     string `json:"commit"`     // object id in hex
}

// Agent is the work that was done in the guest.
type Agent struct {
	Name     string        `json:"name,omitempty"`
	Argv     []string      `json:"argv"`
	User     string        `json:"user"`             // in the guest
	ExitCode int           `json:"exit_code"`        // the guest's word; -1 if there is none
	Signal   string        `json:"signal,omitempty"` // that ended it
	Duration time.Duration `json:"duration_ns"`
	Output   Output        `json:"output"`
}

// Output is how much the agent printed.
type Output struct {
	Bytes   int64 `json:"bytes"`
	Dropped int64 `json:"dropped,omitempty"` // beyond the bound, not shown and not kept
}

// Changes is what came out of the workspace.
type Changes struct {
	Files   []File `json:"files"`
	Digest  string `json:"digest"`            // SHA-256 of changes.patch, in hex
	Base    string `json:"base"`              // commit the guest's copy was made from
	Refused string `json:"refused,omitempty"` // why the patch was not taken; then there are no files
	// Withheld is why the patch is handed to no later step: it may hold a secret.
	Withheld string `json:"withheld,omitempty"`
}

// File is one changed file. Its path was the guest's choice.
type File struct {
	Path    string      `json:"path"`
	Kind    Kind        `json:"kind"`
	Added   int64       `json:"added"`
	Deleted int64       `json:"deleted"`
	Binary  bool        `json:"binary,omitempty"`
	Mode    fs.FileMode `json:"mode,omitempty"`
	AutoRun string      `json:"auto_run,omitempty"` // which tool would run it by itself
}

// Kind is what happened to a file: "add", "modify", "delete", or "mode" where the
// content stayed.
type Kind string

// Lines gives how many lines were added and deleted in all.
func (c *Changes) Lines() (added, deleted int64) {
	for _, f := range c.Files {
		added += f.Added
		deleted += f.Deleted
	}
	return added, deleted
}

// Limit is a bound of the guest and by what it is held.
type Limit struct {
	Name   string `json:"name"`    // "memory", "cpu", "pids", "disk", "time"
	Value  string `json:"value"`   // as a person writes it
	HeldBy string `json:"held_by"` // the mechanism; empty: not held (best effort)
}

// Hardening is one measure by which the sidecar is confined.
type Hardening struct {
	Name   string `json:"name"`
	Held   bool   `json:"held"`
	Detail string `json:"detail,omitempty"`
}

// Remainder is an obligation that could not be undone and stays in the ledger.
type Remainder struct {
	Kind   string `json:"kind"`
	Reason string `json:"reason"`
}

// marshal gives the JSON form, indented, with a final newline.
func (r Report) marshal() ([]byte, error) {
	r.Schema = Schema
	r.Started, r.Finished = r.Started.UTC(), r.Finished.UTC()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false) // names of files would become six times as long
	if err := e.Encode(r); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
