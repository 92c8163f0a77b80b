package manifest

// Job is what a runner says of the job that asks for a bottle: what `for` is
// judged against. The fields are as the forge writes them.
type Job struct {
	Repository string // "owner/name"
	Event      string // name of the event, such as "issue_comment"
	Ref        string // full, such as "refs/heads/main"
}
