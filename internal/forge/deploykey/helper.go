package deploykey

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"github.com/bot-bottle/action/internal/forge"
	"github.com/bot-bottle/action/internal/neutralize"
	"github.com/bot-bottle/action/internal/secret"
	"github.com/bot-bottle/action/internal/term"
)

// Verb is the hidden verb of our binary that runs Serve: in a process of its own,
// which ends, so that no process that reads a guest's bytes has ever held the
// credential that makes keys.
const Verb = "deploy-key"

// Connection is a repository, asked with the host's credential.
type Connection interface {
	// Repository finds it by its name.
	Repository(ctx context.Context) (forge.Repository, error)
	// Of gives the deploy keys of the repository with an id.
	Of(id int64) forge.Keys
}

// Connect connects to where a key is to let in, with the credential that the host
// has for its server now.
type Connect func(Place) (Connection, error)

// request is what a helper is asked, one line of JSON: to find the repository, or to
// register a key.
type request struct {
	Place Place  `json:"place"`
	Args  *Args  `json:"args,omitempty"`
	Key   string `json:"key,omitempty"` // in PEM
}

// reply is its answer.
type reply struct {
	RepositoryID int64     `json:"repository_id,omitempty"`
	Name         string    `json:"name,omitempty"`
	Now          time.Time `json:"now,omitzero"` // by the forge's clock
	Error        string    `json:"error,omitempty"`
	Stage        string    `json:"stage,omitempty"`
	Hints        []string  `json:"hints,omitempty"`
	Refused      bool      `json:"refused,omitempty"` // no request for the key is under way
}

// maxMessage bounds a request and a reply.
const maxMessage = 64 << 10

// Serve does what one request on in asks for, and replies on out.
func Serve(ctx context.Context, in io.Reader, out io.Writer, connect Connect) error {
	b, err := io.ReadAll(io.LimitReader(in, maxMessage))
	if err != nil {
		return err
	}
	var r request
	if err := json.Unmarshal(b, &r); err != nil {
		return term.Errorf(term.StageUsage, Verb, "reading what is asked: it is no request").
			WithHint("bot-bottle starts this verb by itself")
	}
	answer, err := r.do(ctx, connect)
	if err != nil {
		answer = reply{Error: err.Error(), Stage: string(term.StageOf(err, term.StageLaunch)), Hints: term.Hints(err), Refused: r.Args == nil || Refused(err)}
	}
	return json.NewEncoder(out).Encode(answer)
}

func (r request) do(ctx context.Context, connect Connect) (reply, error) {
	c, err := connect(r.Place)
	if err != nil {
		return reply{}, refused{err}
	}
	if r.Args != nil {
		key, err := FromSecret(secret.New("deploy key", r.Key), r.Place.Write)
		if err != nil {
			return reply{}, refused{err}
		}
		return reply{}, Register(ctx, c.Of(r.Place.RepositoryID), key, *r.Args)
	}
	repository, err := c.Repository(ctx)
	if err != nil {
		return reply{}, err
	}
	rights, err := c.Of(repository.ID).Rights(ctx)
	return reply{RepositoryID: repository.ID, Name: repository.FullName, Now: rights.Now}, err
}

// Helper starts the process that serves one request.
type Helper func(ctx context.Context) *exec.Cmd

// Locate finds the repository of place by its name, confirms that the host's
// credential administers it, and tells the forge's time.
func (h Helper) Locate(ctx context.Context, place Place) (Place, time.Time, error) {
	answer, err := h.ask(ctx, request{Place: place})
	if err != nil {
		return place, time.Time{}, err
	}
	place.RepositoryID, place.Repository = answer.RepositoryID, answer.Name
	return place, answer.Now, nil
}

// Register is Register in the helper's process. Where it didn't say that nothing is
// under way, something may be.
func (h Helper) Register(ctx context.Context, place Place, key *Key, args Args) error {
	pem, err := key.Secret()
	if err != nil {
		return refused{err}
	}
	_, err = h.ask(ctx, request{Place: place, Args: &args, Key: pem.Reveal()})
	return err
}

func (h Helper) ask(ctx context.Context, r request) (reply, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return reply{}, refused{err}
	}
	var out, said bytes.Buffer
	cmd := h(ctx)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(line), &out, &said
	if err := cmd.Run(); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return reply{}, term.Errorf(term.StageLaunch, "", "asking for a deploy key in a process of its own: %w: %s", err, neutralize.Text(term.Shorten(said.String(), 500)))
	}
	var answer reply
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil {
		return reply{}, term.Errorf(term.StageLaunch, "", "asking for a deploy key in a process of its own: its answer is none")
	}
	if answer.Error == "" {
		return answer, nil
	}
	told := term.Errorf(term.Stage(answer.Stage), "", "%w", errors.New(neutralize.Text(answer.Error)))
	for _, hint := range answer.Hints {
		told.WithHint("%s", hint)
	}
	if answer.Refused {
		return reply{}, refused{told}
	}
	return reply{}, told
}

// PlaceOf is where a remote's key lets in: a repository on a server, by its path there.
func PlaceOf(kind, server, path string, write bool) (Place, error) {
	p := Place{Forge: kind, Server: server, Repository: path, Write: write}
	if _, _, err := forge.SplitRepository(path); err != nil {
		return p, fmt.Errorf("reading the repository of a git remote: %w", err)
	}
	return p, checkServer(server)
}
