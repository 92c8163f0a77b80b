package action

import (
	"io"
	"sync"
	"time"

	"github.com/bot-bottle/action/internal/neutralize"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
	"github.com/bot-bottle/action/runner"
	"github.com/sethvargo/go-githubactions"
)

// voice speaks to the runner: plain lines, and the only workflow commands that
// this program writes. Whatever is not its own text goes through neutralize.
type voice struct {
	out    *freshLine
	action *githubactions.Action
}

func newVoice(w runner.Output, getenv func(string) string) *voice {
	out := &freshLine{w: w, fresh: true}
	return &voice{out, githubactions.New(githubactions.WithWriter(commands{out}), githubactions.WithGetenv(getenv))}
}

// mask has the runner hide a secret in its logs.
func (v *voice) mask(s secret.Value) {
	if !s.IsEmpty() {
		v.action.AddMask(s.Reveal()) // the runner knows it: it came from there
	}
}

// failure tells of err: an annotation, and its hints as plain lines.
func (v *voice) failure(err error) {
	v.action.Errorf("bot-bottle: %s", neutralize.Text(err.Error()))
	for _, hint := range term.Hints(err) {
		v.line("hint: " + hint)
	}
}

func (v *voice) warning(text string) {
	v.action.Warningf("bot-bottle: %s", neutralize.Text(text))
}

func (v *voice) line(text string) {
	_, _ = io.WriteString(commands{v.out}, neutralize.Text(text)+"\n") // of a step nobody reads
}

// Begin opens a group for what the agent prints.
func (v *voice) Begin(stage string) {
	if stage == runner.WorkStage {
		v.action.Group("agent")
	}
}

// End closes it, and tells how long each stage took.
func (v *voice) End(stage string, took time.Duration, ok bool) {
	if stage == runner.WorkStage {
		v.action.EndGroup()
	}
	ending := "done"
	if !ok {
		ending = "failed"
	}
	v.line(stage + " " + ending + " after " + term.Duration(took))
}

// freshLine passes text on and remembers whether a line is under way. It is safe
// for concurrent use, and never an error: a step that nobody reads goes on.
type freshLine struct {
	mu    sync.Mutex
	w     runner.Output
	fresh bool
}

// Write passes p on.
func (f *freshLine) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.write(p)
	return len(p), nil
}

func (f *freshLine) write(p []byte) {
	if len(p) > 0 {
		_, _ = f.w.Write(p)
		f.fresh = p[len(p)-1] == '\n'
	}
}

// Hurry says that the work is over.
func (f *freshLine) Hurry() { f.w.Hurry() }

// commands writes to the same place, each piece at the start of a line, where
// alone a runner takes it for a command.
type commands struct{ *freshLine }

// Write passes p on, after a newline if a line is under way.
func (c commands) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.fresh {
		c.write([]byte("\n"))
	}
	c.write(p)
	return len(p), nil
}
