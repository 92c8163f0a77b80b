// Package decision is the record of what the doors of a bottle decided: one
// verdict line before the first byte passes, and one end line with the same id
// after the last. Reports, metrics and the escape suite's judge read these lines
// and nothing else.
package decision

import "time"

// Door names a guarded way out.
type Door string

// The doors that a guest reaches on its alias, and the ports they have there.
const (
	Egress    Door = "egress"
	GitGate   Door = "git-gate"
	Supervise Door = "supervise"

	EgressPort    = 9099
	SupervisePort = 9100
	GitGatePort   = 9420
)

// Kind is what a line reports.
type Kind string

// The kinds of lines.
const (
	KindVerdict Kind = "verdict" // a request was judged
	KindEnd     Kind = "end"     // the judged request is over
	KindDropped Kind = "dropped" // Count lines were not written because the log was full
)

// Verdict is the outcome of a judgement.
type Verdict string

// The verdicts.
const (
	Allow  Verdict = "allow"
	Refuse Verdict = "refuse"
)

// Line is one line of decisions.jsonl. What the guest chose (method, host,
// path) is bounded in length before it gets here and must never leave the host
// for a refused request.
type Line struct {
	ID      uint64    `json:"id"`              // set by the log; the same in verdict and end
	Kind    Kind      `json:"kind"`            // set by the log
	Time    time.Time `json:"time"`            // set by the log; UTC
	Phase   string    `json:"phase,omitempty"` // set by the log: the stage of the job, "prove", "escape", "work", "collect"
	Door    Door      `json:"door"`
	Epoch   uint64    `json:"epoch,omitempty"` // of the policy that judged
	Verdict Verdict   `json:"verdict,omitempty"`
	Rule    string    `json:"rule,omitempty"`  // stable, kebab-case reason: "no-route", "credential-dropped"
	Route   string    `json:"route,omitempty"` // "host:port" of the listed route; the policy's words, safe to publish

	Method  string   `json:"method,omitempty"`
	Scheme  string   `json:"scheme,omitempty"`
	Host    string   `json:"host,omitempty"`
	Port    uint16   `json:"port,omitempty"`
	Path    string   `json:"path,omitempty"`    // without the query
	Dropped []string `json:"dropped,omitempty"` // credential fields that were removed
	Peer    string   `json:"peer,omitempty"`    // "uid/pid" of what connected, on the host

	Status   int           `json:"status,omitempty"`   // end: what the guest was answered
	Sent     int64         `json:"sent,omitempty"`     // end: body bytes towards the upstream
	Received int64         `json:"received,omitempty"` // end: body bytes towards the guest
	Duration time.Duration `json:"duration,omitempty"` // end: nanoseconds since the verdict
	Error    string        `json:"error,omitempty"`
	Usage    *Usage        `json:"usage,omitempty"`  // end: what a call to a model's API took
	Warned   []string      `json:"warned,omitempty"` // end: rules that found something in what passed
	Moved    []Moved       `json:"moved,omitempty"`  // end: what a push changed upstream; of many the first
	Count    int64         `json:"count,omitempty"`  // dropped: how many
}

// Moved is a ref that the upstream of the git-gate took.
type Moved struct {
	Ref    string `json:"ref"`    // full name
	Commit string `json:"commit"` // object id in hex
}

// Usage is what a call to a model's API took, in tokens.
type Usage struct {
	Model      string `json:"model,omitempty"` // as the upstream calls it, bounded, or the table of prices
	Input      int64  `json:"input,omitempty"`
	Output     int64  `json:"output,omitempty"`
	CacheWrite int64  `json:"cache_write,omitempty"`
	CacheRead  int64  `json:"cache_read,omitempty"`
	Estimated  bool   `json:"estimated,omitempty"`         // by the bytes, at least in part
	Cost       *int64 `json:"cost_microdollars,omitempty"` // nil: there is no price
}

// Log takes the lines of one bottle. It is safe for concurrent use.
type Log interface {
	// Verdict writes l as a verdict line, durably enough to survive the death of
	// this process, and gives its id. An error means that nothing may pass.
	Verdict(l Line) (id uint64, err error)
	// End writes l as the end line of id.
	End(id uint64, l Line)
}
