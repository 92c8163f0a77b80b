package ledger

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/bot-bottle/action/internal/term"
)

// Lengths of the random ids. Ten of 32 letters are 50 bits: among the million
// runs that a host may see, two with one id are a matter of one in two
// thousand, and the second would be refused.
const (
	runIDLength  = 10
	hostIDLength = 16
)

// State says whether a run may have left something.
type State string

// The states of a run.
const (
	StateOpen    State = "open"    // live, or dead and not yet settled
	StateSettled State = "settled" // nothing of it is left
)

// Errors about runs, to be found with errors.Is.
var (
	ErrUnknownRun = errors.New("no such run")
	ErrNameTaken  = errors.New("a live run has this name")
	ErrOwing      = errors.New("the run has obligations left")
)

// NewRun is what is known of a run when it begins.
type NewRun struct {
	Name      string // see ValidName; empty: the run's id
	Bottle    string
	Agent     string
	Backend   string
	Isolation string
	Workspace string // the checkout on the host; may be empty
	// Report is the folder that was asked for with --report-dir; empty: the
	// run's own in the state folder. It is where to look, and nothing that is
	// undone is found by it.
	Report string
}

// Outcome is what came of a run.
type Outcome struct {
	ExitCode int
	Reason   string // one phrase, in our words, never the guest's
	Patch    string // digest of changes.patch; empty: there is none
	Files    int    // in the patch, as are Added and Deleted lines
	Added    int
	Deleted  int
}

// Run is one run as the ledger knows it. That it is live is not in here: see
// Ledger.Live.
type Run struct {
	ID       string
	State    State
	Created  time.Time // by the clock of the time; runs are ordered without it
	Finished time.Time // zero: no outcome was recorded
	Alias    netip.Addr
	NewRun
	Outcome *Outcome // nil: none was recorded
}

// ValidRunID tells whether id has the form of a run id. Whoever makes a path
// from an id asks this first.
func ValidRunID(id string) bool {
	return len(id) == runIDLength && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// ValidName tells whether name may name a run: up to 63 of a-z, 0-9 and "-",
// neither first nor last a "-" (as in a host name, RFC 1123 §2.1).
func ValidName(name string) bool { return namePattern.MatchString(name) }

// randomID draws n letters of [a-z2-7].
func randomID(n int) string { return strings.ToLower(rand.Text()[:n]) }

// Begin records a new run with a random id and gives it with its lock, which
// was taken first: there is no moment at which the run is known and not live.
// A name belongs to one live run at a time; that of a dead one is free.
func (l *Ledger) Begin(ctx context.Context, n NewRun) (Run, *Lock, error) {
	r := Run{ID: randomID(runIDLength), State: StateOpen, Created: l.clock.Now(), NewRun: n}
	if r.Name == "" {
		r.Name = r.ID
	}
	if !ValidName(r.Name) {
		return Run{}, nil, term.Errorf(term.StageUsage, "", "naming the run %q: not a run name", r.Name).
			WithHint("use up to 63 of a-z, 0-9 and -, with a letter or digit at both ends")
	}
	lock, err := l.Lock(ctx, r.ID) // waits, for SweepLocks may hold it an instant
	if err != nil {
		return Run{}, nil, err
	}
	err = l.change(ctx, fmt.Sprintf("beginning run %q", r.Name), func(tx *sql.Tx) error {
		return l.insertRun(ctx, tx, r)
	})
	if err != nil {
		return Run{}, nil, errors.Join(err, lock.Remove())
	}
	return r, lock, nil
}

func (l *Ledger) insertRun(ctx context.Context, tx *sql.Tx, r Run) error {
	if err := l.checkName(ctx, tx, r.Name); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO runs (id, name, state, created, bottle, agent, backend, isolation, workspace, report)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		r.ID, r.Name, r.State, r.Created.UnixMicro(), r.Bottle, r.Agent, r.Backend, r.Isolation, r.Workspace, r.Report)
	return err
}

// checkName looks at the locks inside the transaction, so of two runs that
// begin at once with one name the second sees the first, which is locked.
func (l *Ledger) checkName(ctx context.Context, tx *sql.Tx, name string) error {
	runs, err := selectRuns(ctx, tx, `WHERE state = 'open' AND name = ?`, name)
	if err != nil {
		return err
	}
	for _, r := range runs {
		live, err := l.live(r.ID)
		if err != nil {
			return err
		}
		if live {
			return term.Errorf(term.StageUsage, "", "naming the run %q: %w: %s", name, ErrNameTaken, r.ID).
				WithHint("choose another name, or wait until that run is over (bot-bottle ls)")
		}
	}
	return nil
}

// Record writes what came of a run. It may be called again with more.
func (l *Ledger) Record(ctx context.Context, run string, o Outcome) error {
	return l.change(ctx, fmt.Sprintf("recording the outcome of run %q", run), func(tx *sql.Tx) error {
		return one(tx.ExecContext(ctx, `
			UPDATE runs SET finished = ?, exit_code = ?, reason = ?, patch = ?, files = ?, added = ?, deleted = ?
			WHERE id = ?`,
			l.clock.Now().UnixMicro(), o.ExitCode, o.Reason, o.Patch, o.Files, o.Added, o.Deleted, run))
	})
}

// Settled records that nothing of the run is left. It is ErrOwing, wrapped, if
// obligations remain. The caller holds the run's lock.
func (l *Ledger) Settled(ctx context.Context, run string) error {
	what := fmt.Sprintf("recording run %q as settled", run)
	return l.change(ctx, what, func(tx *sql.Tx) error {
		var owing int
		err := tx.QueryRowContext(ctx, `SELECT count(*) FROM obligations WHERE run = ?`, run).Scan(&owing)
		if err != nil {
			return err
		}
		if owing > 0 {
			return fmt.Errorf("%w: %d", ErrOwing, owing)
		}
		return one(tx.ExecContext(ctx, `UPDATE runs SET state = 'settled' WHERE id = ?`, run))
	})
}

// one makes ErrUnknownRun of a statement that changed no row.
func one(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return ErrUnknownRun
}
